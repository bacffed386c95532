"""A release for another user that fails gives the volume back: the old one runs again and can write."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import make_panel, remove_all_of, until
from tests.faults.machine import BUSYBOX, await_death
from tests.sites import Site

from orca.tasks.run import HELD_AFTER

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(600)]
DOCKERFILE = """\
FROM scratch
COPY busybox /bin/busybox
COPY busybox /bin/chown
COPY index.html /www/index.html
CMD ["/bin/busybox", "sh", "-c", "while /bin/busybox sleep 0.2; do /bin/busybox date +%s > /www/data/time; done & \
exec /bin/busybox httpd -f -p 8080 -h /www"]
"""
TREE = {"Dockerfile": DOCKERFILE, "index.html": "here", "busybox": BUSYBOX.read_bytes()}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    panel = make_panel(tmp_path / "panel")
    panel.start()
    panel.wait_ready(120)
    volume = {"name": "data", "path": "/www/data", "owner": "1001:1001", "mode": "0750"}
    site = Site(panel, "owned", {
        "type": "web", "ports": [{"port": 8080, "public": True}], "user": "1001:1001", "volumes": [volume],
        "stop_grace": 1,
    }).create()  # fmt: skip
    site.go_live(TREE)
    assert site.hostname
    yield site
    panel.stop()
    remove_all_of(panel)


def writes(site: Site) -> bool:
    before = site.answers("/data/time")
    return until(lambda: site.answers("/data/time") not in {before, ""}, seconds=15, what="the old release writes")


def own(site: Site, owner: str) -> None:
    [volume] = site.get(f"/api/v1/services/{site.id}/volumes")
    with site.panel.client() as http:
        answer = http.patch(f"/api/v1/services/{site.id}/volumes/{volume['id']}", json={"owner": owner})
        assert answer.status_code == 200, answer.text


def test_a_failed_release_gives_its_volume_back_also_after_kills(site: Site) -> None:
    assert writes(site)
    site.edit({"user": "1002:1002", "health": {"type": "http", "path": "/missing", "start_period": 2}})
    own(site, "1002:1002")
    for point, deaths in (("", 0), ("start_release.done", 1), ("undo.removed", 1), ("undo.removed", HELD_AFTER)):
        if point:
            restart(site, ORC_CRASH_AT=point)
        deployment_id = site.deploy(TREE)
        for death in range(1, deaths + 1):
            await_death(site.panel)
            site.panel.start(**({"ORC_CRASH_AT": point} if death < deaths else {}))
        site.panel.wait_ready(120)
        ended = site.wait(deployment_id, 120)
        code = "never-healthy" if deaths < HELD_AFTER else "step-failed"
        assert (ended["state"], ended["code"]) == ("failed", code), (ended, site.log_of(deployment_id))
        until(
            lambda made=deployment_id: "belongs to 1001:1001 again" in site.log_of(made), seconds=60, what="it is paid"
        )
        assert "belongs to 1002:1002 now" in site.log_of(deployment_id)
        assert site.deployment(deployment_id)["warnings"] == []
        assert until(lambda: site.answers("/data/time"), seconds=60, what="the old release runs")
        assert writes(site)


def restart(site: Site, **settings: str) -> None:
    site.panel.stop()
    site.panel.start(**settings)
    site.panel.wait_ready(120)
