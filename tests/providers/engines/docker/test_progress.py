"""What a pull says, and what its failure means, by tables of status codes."""

import pytest

from orca.errors import CredentialsRejected, ProviderUnavailable, RequestRefused
from orca.providers.engines.docker.progress import PullReport, explain_pull
from orca.providers.engines.docker.pull import render_auth
from orca.providers.engines.docker.references import parse_reference
from orca.sdk.containers import RegistryLogin

IMAGE = parse_reference("registry.example.org/app:1")


@pytest.mark.parametrize(
    ("pull", "registry", "failure"),
    [
        (500, 401, CredentialsRejected),
        (404, 403, CredentialsRejected),
        (404, 404, RequestRefused),
        (404, 200, RequestRefused),
        (404, None, RequestRefused),
        (500, 404, RequestRefused),
        (400, 200, RequestRefused),
        (500, 500, ProviderUnavailable),
        (500, 200, ProviderUnavailable),
        (500, None, ProviderUnavailable),
        (500, 429, ProviderUnavailable),
    ],
)
def test_failures_by_status(pull, registry, failure):
    explained = explain_pull(IMAGE, pull=pull, registry=registry, said="cause", login=True)
    assert type(explained) is failure
    assert "registry.example.org" in explained.message + explained.hint


def layer(name, current, total=40_000_000):
    return {"id": name, "status": "Downloading", "progressDetail": {"current": current, "total": total}}


def test_lines_are_few_and_standstill_is_seen():
    report = PullReport()
    assert report.take({"id": "1", "status": "Pulling from app"}, 100.0) == (True, "1: Pulling from app")
    assert report.take(layer("a", 1_000_000), 100.1) == (True, None)
    assert report.take(layer("a", 2_000_000), 101.5) == (True, "a: Downloading 2.0 of 40.0 MB")
    assert report.take(layer("b", 2_000_000), 101.6) == (True, None)
    assert report.take(layer("a", 2_000_000), 103.0) == (False, "a: Downloading 2.0 of 40.0 MB")
    assert report.take({"status": "Digest: sha256:12"}, 103.1) == (True, "Digest: sha256:12")
    assert report.take({"status": "Status: Downloaded"}, 103.2) == (True, "Status: Downloaded")


@pytest.mark.parametrize(
    ("registry", "reference"),
    [
        ("registry.example.org", "registry.example.org/app"),
        ("https://registry.example.org/", "registry.example.org/app"),
        ("docker.io", "team/app"),
        ("https://index.docker.io/v1/", "team/app"),
    ],
)
def test_credentials_go_to_their_registry(registry, reference):
    assert render_auth(parse_reference(reference), RegistryLogin(registry, "user", "canary"))["X-Registry-Auth"]


@pytest.mark.parametrize("reference", ["team/app", "registry.example.org.evil.example/app", "other.example.org/app"])
def test_credentials_go_nowhere_else(reference):
    with pytest.raises(RequestRefused) as failure:
        render_auth(parse_reference(reference), RegistryLogin("registry.example.org", "user", "canary"))
    assert "canary" not in failure.value.message + failure.value.hint
