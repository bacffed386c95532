"""What may go into a path of the API, by tables of friendly and hostile names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orca.errors import RequestRefused
from orca.providers.engines.docker.references import (
    check_container_id,
    check_image,
    check_name,
    check_network_name,
    find_digest,
    parse_reference,
)

DIGEST = f"sha256:{'ab' * 32}"
HOSTILE = [
    "",
    "-x",
    "a b",
    "a;b",
    "a/../b",
    "..",
    "a?b",
    "a#b",
    "a%2fb",
    "a\nb",
    "a\n",
    "a\0b",
    "a" * 600,
    "ä",
    "$(x)",
    "a//b",
]


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("alpine", "docker.io/library/alpine:latest"),
        ("alpine:3.20", "docker.io/library/alpine:3.20"),
        ("team/app", "docker.io/team/app:latest"),
        ("docker.io/team/app:1", "docker.io/team/app:1"),
        ("index.docker.io/alpine", "docker.io/library/alpine:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app:1", "localhost:5000/app:1"),
        ("127.0.0.1:5000/a/b/c:v1.2_3-4", "127.0.0.1:5000/a/b/c:v1.2_3-4"),
        ("registry.example.org/app", "registry.example.org/app:latest"),
        (f"ghcr.io/a/b@{DIGEST}", f"ghcr.io/a/b@{DIGEST}"),
        (f"ghcr.io/a/b:1@{DIGEST}", f"ghcr.io/a/b@{DIGEST}"),
    ],
)
def test_references_by_docker_s_rules(text, full):
    assert str(parse_reference(text)) == full


@pytest.mark.parametrize("text", [*HOSTILE, "App", "a:", "a@sha256:12", "a:b:c", "http://x/y", "a/", "/a", "a..b/c"])
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(RequestRefused):
        parse_reference(text)


@pytest.mark.parametrize("text", [*HOSTILE, "."])
@pytest.mark.parametrize("check", [check_image, check_container_id, check_name, check_network_name])
def test_hostile_names_are_refused_everywhere(check, text):
    with pytest.raises(RequestRefused):
        check(text)


@given(st.text())
def test_what_passes_is_safe_in_a_path(text):
    for check in (check_image, check_container_id, check_name):
        try:
            check(text)
        except RequestRefused:
            continue
        assert not set(text) & set("?#%\\ \n\r\t\0&;|<>$`'\"")
        assert ".." not in text.split("/")


@pytest.mark.parametrize("name", ["bridge", "host", "none", "default", "container:web"])
def test_networks_that_join_the_host_are_refused(name):
    with pytest.raises(RequestRefused):
        check_network_name(name)


def test_ids_and_names_pass():
    assert check_image(DIGEST) == DIGEST
    assert check_container_id("0123456789ab") == "0123456789ab"
    assert check_name("orca-3f_a.b") == "orca-3f_a.b"


@pytest.mark.parametrize(
    ("reference", "digest"),
    [
        ("alpine:3", f"sha256:{'1' * 64}"),
        ("ghcr.io/a/b", f"sha256:{'2' * 64}"),
        ("ghcr.io/other", None),
        (DIGEST, f"sha256:{'1' * 64}"),
        (None, f"sha256:{'1' * 64}"),
    ],
)
def test_the_digest_is_that_of_the_repository(reference, digest):
    repo_digests = [f"alpine@sha256:{'1' * 64}", f"ghcr.io/a/b@sha256:{'2' * 64}"]
    assert find_digest(repo_digests, reference) == digest
