"""A registry accepts connections and never answers: what needs it fails in time, and nothing else waits."""

import socket
from collections.abc import Iterator

import pytest
from tests.faults.machine import Machine, web

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("machine"), pytest.mark.timeout(240)]

PULL_SECONDS = 100


@pytest.fixture
def registry() -> Iterator[str]:
    """The kernel accepts connections for a listener whose process never calls accept()."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_a_hung_registry_holds_up_only_who_needs_it(computer: Machine, registry: str) -> None:
    pulling = computer.make_site("pulling", build_source={"type": "image", "image": f"{registry}/app:1"})
    building = computer.make_site("building on")
    hung = [
        (pulling, str(pulling.post(f"/api/v1/services/{pulling.id}/deployments", {})["id"]), "provider-unavailable"),
        (building, building.deploy({"Dockerfile": f"FROM {registry}/base:1\n"}), "base-image-unavailable"),
    ]
    computer.site.go_live(web("others go on"), seconds=25)
    assert [site.deployment(deployment_id)["state"] for site, deployment_id, _ in hung] == ["running", "running"]
    for site, deployment_id, code in hung:
        ended = site.wait(deployment_id, PULL_SECONDS)
        assert (ended["state"], ended["code"]) == ("failed", code), ended
        assert registry in ended["reason"]
    assert computer.commands(str(computer.panel.data_dir / "work")) == [], "the build went on"
