"""A registry accepts connections and never answers: who needs it is told so in time, and nobody else waits."""

import socket
from collections.abc import Iterator

import pytest
from tests.faults.machine import Machine, web

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("machine"), pytest.mark.timeout(240)]

PULL_SECONDS = 100


@pytest.fixture
def registry() -> Iterator[str]:
    """The kernel accepts for a listener that nobody asks."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_a_hung_registry_holds_up_its_own_deployment_only(computer: Machine, registry: str) -> None:
    source = {"type": "image", "image": f"{registry}/app:1"}
    hung = computer.make_site("hung", build_source=source)
    hung_id = str(hung.post(f"/api/v1/services/{hung.id}/deployments", {})["id"])
    computer.site.go_live(web("others go on"), seconds=30)
    assert hung.deployment(hung_id)["state"] == "running"
    ended = hung.wait(hung_id, PULL_SECONDS)
    assert (ended["state"], ended["code"]) == ("failed", "provider-unavailable"), ended
    assert registry in ended["reason"] + ended["hint"]


def test_what_is_here_needs_no_registry(computer: Machine, registry: str) -> None:
    site = computer.make_site("here")
    site.go_live(web("first"))
    computer.docker(
        "tag", computer.docker("inspect", "--format", "{{.Image}}", site.containers()[0]["name"]), f"{registry}/app:1"
    )
    for kind in ("restart", "stop", "start"):
        ended = site.wait(site.post(f"/api/v1/services/{site.id}/{kind}")["id"])
        assert ended["state"] == "succeeded", ended
    assert computer.ask(site).strip() == "first"
