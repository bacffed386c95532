"""What each kind needs, and where volumes may be."""

from contextlib import nullcontext

import pytest

from orca.errors import BadInput
from orca.features.services.forms import check_port_chosen
from orca.features.services.rules import (
    Listening,
    check_mount_path,
    find_kind_problems,
    find_mount_problems,
    port_to_announce,
)


@pytest.mark.parametrize(
    ("kind", "ports", "public", "health", "health_port", "fields"),
    [
        ("web", (), (), "auto", None, set()),
        ("web", (8080,), (8080,), "http", None, set()),
        ("static", (8080,), (8080,), "auto", None, set()),
        ("worker", (), (), "auto", None, set()),
        ("worker", (9000,), (), "tcp", None, set()),
        ("worker", (), (), "tcp", 9000, set()),
        ("worker", (), (), "command", None, set()),
        ("worker", (9000,), (9000,), "auto", None, {"ports"}),
        ("worker", (), (), "http", None, {"health"}),
    ],
)
def test_a_worker_has_no_public_ports_and_needs_one_to_be_asked(kind, ports, public, health, health_port, fields):
    assert set(find_kind_problems(kind, Listening(ports, public, health, health_port))) == fields


def test_port_is_announced_only_when_there_is_exactly_one_public_port():
    assert port_to_announce([]) is None
    assert port_to_announce([3000]) == "3000"
    assert port_to_announce([3000, 3001]) is None


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("/data", "/data"),
        ("/var/lib/my-app_1.0/", "/var/lib/my-app_1.0"),
        ("/root/.cache", "/root/.cache"),
        ("/developer", "/developer"),
    ],
)
def test_mount_paths_in_their_plain_form(path, plain):
    assert check_mount_path(path) == plain


@pytest.mark.parametrize(
    "path",
    ["", "/", "//", "data", "./data", "/a/../b", "/..", "/a//b", "/a:ro", "/a,b", "/a b", "/a\nb", "/a\x00", "/$(x)", "/a;b",
     "/ä", "/proc", "/proc/1/root", "/sys/fs", "/dev/shm", "-v", "@x", "C:\\data"],
)  # fmt: skip
def test_mount_paths_that_are_refused(path):
    with pytest.raises(ValueError, match=r"absolute path|belongs to the system"):
        check_mount_path(path)


def test_each_mount_has_a_name_and_a_path_of_its_own():
    assert find_mount_problems([("a", "/a"), ("b", "/b")]) is None
    assert "named twice" in str(find_mount_problems([("a", "/a"), ("a", "/b")]))
    assert "cannot both be at /a" in str(find_mount_problems([("a", "/a"), ("b", "/a")]))


@pytest.mark.parametrize(
    ("form", "asked"),
    [
        ({"port_choices_git": "3000 9000"}, True), ({"port_choices_git": "3000 9000", "port": "9000"}, False),
        ({"port_choices_git": "3000 9000", "kind": "worker"}, False), ({}, False),
        ({"port_choices_git": "3000 9000", "source_type": "image"}, False),
    ],
)  # fmt: skip
def test_a_new_service_says_which_of_several_ports_is_for_visitors(form: dict[str, str], asked: bool) -> None:
    with pytest.raises(BadInput, match="3000, 9000") if asked else nullcontext():
        check_port_chosen(form)
