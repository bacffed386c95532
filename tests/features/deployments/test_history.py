"""What the pages and the API say of deployments and releases that went well, failed, or are under way."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.attacks.people import local_client
from tests.features.deployments.bench import Bench
from tests.features.deployments.test_doors import make_service

from orca.db import now
from orca.features.deployments.history import find_last_good, list_deployment_lines, list_release_lines
from orca.features.deployments.models import Build, Deployment, DeploymentStep, LiveRelease, Release
from orca.features.routing.models import Route
from orca.features.services.models import Service

pytestmark = pytest.mark.slow


@dataclass
class History:
    """A service whose rows the test writes, and the doors to look at them."""

    app: FastAPI
    http: httpx.AsyncClient
    service_id: str
    team_id: str

    async def add(self, row: Any) -> Any:
        row.team_id, row.service_id = self.team_id, self.service_id
        async with self.app.state.resources.db.write() as session:
            session.add(row)
        return row

    async def release(self, number: int, *, good: bool = True, replicas: int = 1, image: str = "") -> Release:
        went_live_at = now() if good else None
        config = {"kind": "web", "replicas": replicas}
        image = image or f"sha256:{number:064x}"
        return await self.add(Release(number=number, image=image, config=config, went_live_at=went_live_at))

    async def deployment(self, number: int, kind: str = "deploy", **values: Any) -> Deployment:
        common = {"source": {}, "config": {}, "warnings": [], "state": "succeeded", "requested_by": "ada"}
        return await self.add(Deployment(**{**common, "number": number, "kind": kind, **values}))

    async def step(self, deployment: Deployment, name: str, state: str, detail: str = "") -> None:
        async with self.app.state.resources.db.write() as session:
            session.add(DeploymentStep(deployment_id=deployment.id, name=name, position=0, state=state, detail=detail))

    async def go_live(self, release: Release, deployment: Deployment) -> None:
        live = LiveRelease(release_id=release.id, deployment_id=deployment.id, since=now() - timedelta(hours=1))
        await self.add(live)

    async def page(self, address: str = "") -> str:
        answer = await self.http.get(address or f"/services/{self.service_id}/deployments")
        assert answer.status_code == 200, answer.text
        return re.sub(r"\s+", " ", answer.text)


@pytest.fixture
async def history(app: FastAPI) -> AsyncIterator[History]:
    async with local_client(app) as client:
        service_id = await make_service(client)
        async with app.state.resources.db.read() as session:
            service = await session.get_one(Service, service_id)
        yield History(app, client, service_id, service.team_id)


def rows_of(page: str) -> list[str]:
    """The texts of the table rows, top to bottom."""
    return [" ".join(re.sub("<[^>]+>", " ", row).split()) for row in re.findall("<tr[^>]*>(.*?)</tr>", page)]


async def test_every_deployment_says_what_it_brought(history: History) -> None:
    first, wide = await history.release(1), await history.release(2, replicas=2)
    sent = await history.deployment(1, release_id=first.id, config={"replicas": 1})
    await history.step(sent, "fetch_source", "succeeded", "4 files, 2.0 MB")
    build = await history.add(Build(commit="0123456789abcdef", commit_message="Warmer words\n\nand more"))
    await history.deployment(2, build_id=build.id)
    scaled = {"release_id": wide.id, "previous_deployment_id": sent.id, "config": {"replicas": 2}}
    await history.deployment(3, "scale", **scaled)
    await history.deployment(4, "stop")
    await history.deployment(5, "start", release_id=wide.id)
    await history.deployment(6, "restart", release_id=wide.id)
    await history.deployment(7, "rollback", release_id=first.id)
    failed = {"state": "failed", "reason": "set `health.path` first", "source": {"type": "image", "image": "app:2"}}
    await history.deployment(8, **failed)
    shown = [row for row in rows_of(await history.page()) if "ada" in row]
    expected = [
        "#8 deploy Failed app:2 Set health.path first ada",
        "#7 rollback Succeeded To release 1 ada",
        "#6 restart Succeeded Fresh containers of release 2 ada",
        "#5 start Succeeded Starts release 2 again ada",
        "#4 stop Succeeded Stops the service ada",
        "#3 scale Succeeded 1 → 2 replicas ada",
        "#2 deploy Succeeded 0123456789 Warmer words ada",
        "#1 deploy Succeeded 4 files, 2.0 MB ada",
    ]
    assert [row[: len(text)] for row, text in zip(shown, expected, strict=True)] == expected


async def test_going_back_at_todays_scale_names_the_release_that_was_meant(history: History) -> None:
    await history.release(1, image="app@sha256:" + "a" * 64)
    again = await history.release(3, image="app@sha256:" + "a" * 64, replicas=2)
    await history.deployment(4, "rollback", release_id=again.id, config={"wanted": 1})
    page = await history.page()
    assert "To release 1, as release 3" in page
    assert ">app@aaaaaaaaaaaa<" in page


async def test_only_releases_that_were_live_can_be_gone_back_to(history: History) -> None:
    releases = [await history.release(number, good=number < 3) for number in range(1, 6)]
    states = ["succeeded", "succeeded", "failed", "cancelled", "running"]
    made = [
        await history.deployment(number + 10, release_id=release.id, state=state)
        for number, (release, state) in enumerate(zip(releases, states, strict=True))
    ]
    await history.go_live(releases[1], made[1])
    page = await history.page()
    assert re.findall(r"Roll back to #(\d)", page) == ["1"]
    shown = rows_of(page)[-5:]
    for row, mark in zip(shown, ["Deploying", "Never live", "Never healthy", "Live", "Roll back to #1…"], strict=True):
        assert row.endswith(mark)
    assert [row.split()[1:3] for row in shown] == [[f"#{number}", "deploy"] for number in (14, 13, 12, 11, 10)]

    items = (await history.http.get(f"/api/v1/services/{history.service_id}/releases")).json()["items"]
    assert [item["went_live_at"] is not None for item in items] == [False, False, False, True, True]
    assert items[-1]["deployment"] == {"id": made[0].id, "number": 10, "kind": "deploy"}
    assert [item["is_live"] for item in items] == [False, False, False, True, False]


async def test_a_failed_deployment_offers_the_last_good_release_unless_it_is_live(history: History) -> None:
    good, bad = await history.release(1), await history.release(2, good=False)
    first = await history.deployment(1, release_id=good.id)
    failed = await history.deployment(
        2, release_id=bad.id, state="failed", reason="the release was not healthy: set `health.path`",
        hint="See `orc logs`.", warnings=["2 replicas share data."],
    )  # fmt: skip
    page = await history.page(f"/deployments/{failed.id}")
    assert "Roll back to release #1" in page
    assert '>The release was not healthy: set <code class="mono">health.path</code><' in page
    assert '>See <code class="mono">orc logs</code>.<' in page
    assert ">Failed, with a warning besides<" in page
    assert "Finished with a warning" not in page
    await history.go_live(good, first)
    assert "Roll back to" not in await history.page(f"/deployments/{failed.id}")


async def test_while_only_retiring_traffic_has_moved_and_nothing_is_cancelled(history: History) -> None:
    release = await history.release(1)
    running = await history.deployment(1, state="running", release_id=release.id, started_at=now())
    await history.step(running, "route_traffic", "running")
    address = f"/deployments/{running.id}"
    page = await history.page(address)
    assert ("Deploying" in page, f"{address}/cancel" in page, "Traffic has moved" in page) == (True, True, False)
    assert '"undo": "Undo"' in page
    await history.go_live(release, running)
    async with history.app.state.resources.db.write() as session:
        (await session.get_one(DeploymentStep, (running.id, "route_traffic"))).state = "succeeded"
    await history.step(running, "retire_previous", "running")
    page = await history.page(address)
    assert ("Retiring" in page, f"{address}/cancel" in page, "Traffic has moved" in page) == (True, False, True)


async def test_a_stopped_service_is_not_called_live(history: History) -> None:
    release = await history.release(4)
    deployed = await history.deployment(1, release_id=release.id)
    await history.go_live(release, deployed)
    await history.deployment(2, "stop", finished_at=now() - timedelta(minutes=3))
    async with history.app.state.resources.db.write() as session:
        (await session.get_one(Service, history.service_id)).desired_state = "stopped"
    page = await history.page(f"/services/{history.service_id}")
    assert ("Stopped since" in page, "#4, kept" in page, "Live since" in page) == (True, True, False)
    assert "#4, kept while stopped" in await history.page(f"/deployments/{deployed.id}")
    assert rows_of(await history.page())[-1].endswith("Kept")


async def test_the_head_of_every_tab_has_state_address_and_last_deployment(history: History) -> None:
    build = await history.add(Build(state="succeeded", commit="c0ffee" * 7, commit_message="Brew it\n\nlonger"))
    release = await history.release(1)
    await history.go_live(release, await history.deployment(1, release_id=release.id))
    await history.add(Route(hostname="shop.example.org", port=80, state="live", options={}))
    await history.deployment(2, build_id=build.id, state="failed", reason="no")
    place, port = f"/services/{history.service_id}", history.app.state.settings.proxy.https_port
    assert (await history.http.get(f"{place}/head/live?tab=nothing")).status_code == 404
    for tab in ("", "/deployments", "/output", "/variables", "/domains", "/hooks", "/volumes", "/settings"):
        page = await history.page(place + tab)
        head = page[page.index("<h1>") : page.index('aria-label="Parts of the service"')]
        assert re.findall(r'class="service-address" href="([^"]+)"', head) == [f"https://shop.example.org:{port}/"], tab
        words = " ".join(re.sub("<[^>]+>", " ", head).split())
        assert "#2 deploy Failed c0ffeec0ff Brew it by ada," in words
        assert head.count("btn-primary") == 1
        assert page.count("data-live=") == 1
        for label in ("Restart", "Scale…", "Stop…", "Roll back…", "Delete…"):
            assert label in words
    picture = await history.http.get(f"{place}/qr.svg")
    assert (picture.headers["content-type"], picture.text[:4]) == ("image/svg+xml", "<svg")


async def test_a_rollback_shows_from_what_to_what_and_is_refused_when_that_changed(history: History) -> None:
    first, second = await history.release(1), await history.release(2)
    await history.deployment(1, release_id=first.id)
    await history.go_live(second, await history.deployment(2, release_id=second.id))
    async with history.app.state.resources.db.write() as session:
        row = await session.get_one(Release, first.id)
        row.commit, row.commit_message = "c0ffee" * 7, "Brew it"
        row.config = {**row.config, "stop_grace": 3.0, "variables": {"LEVEL": "info"}}
    address = f"/services/{history.service_id}/rollback/1"
    page = await history.page(address)
    plan = " ".join(re.sub("<[^>]+>|\u2013", " ", page[page.index('id="rollback-plan"') :]).split())
    for words in ("Release #2 #1", "Commit c0ffeec0ff Brew it", "Stop grace 10 s 3 s", "Variable LEVEL info"):
        assert words in plan
    assert f'name="live" value="{second.id}"' in page
    stale = await history.http.post(address, data={"live": first.id})
    assert (stale.status_code, "went live meanwhile" in stale.text) == (409, True)
    assert (await history.http.get(f"/services/{history.service_id}/rollback/9")).status_code == 404


async def test_what_waits_is_compared_and_discarded_on_the_page(history: History) -> None:
    place = f"/services/{history.service_id}"
    service = (await history.http.get(f"/api/v1{place}")).json()
    release = await history.release(1)
    await history.go_live(release, await history.deployment(1, release_id=release.id, source=service["source"]))
    await history.http.post(f"/api/v1{place}/changes/discard", json={"revision": await revision_of(history)})
    assert "Changes wait" not in await history.page(f"{place}/volumes")
    await history.http.patch(f"/api/v1{place}", json={"stop_grace": 77})
    page = await history.page(f"{place}/volumes")
    assert '<del class="mono">10 s</del>' in page
    assert '<ins class="mono">77 s</ins>' in page
    stale = await history.http.post(f"{place}/changes/discard", data={"revision": "stale"})
    assert (stale.status_code, "changed meanwhile" in stale.text) == (409, True)
    done = await history.http.post(f"{place}/changes/discard", data={"revision": await revision_of(history)})
    assert (done.status_code, done.headers["location"]) == (303, place)
    assert "Changes wait" not in await history.page(place)
    assert (await history.http.get(f"/api/v1{place}")).json()["stop_grace"] == 10


async def revision_of(history: History) -> str:
    return (await history.http.get(f"/api/v1/services/{history.service_id}/changes")).json()["revision"]


async def test_a_service_without_deployments_is_not_deployed(history: History) -> None:
    assert "Not deployed" in await history.page(f"/services/{history.service_id}")


async def test_the_lists_are_read_from_both_databases(bench: Bench) -> None:
    service = await bench.make_service()
    deployment_id = await bench.make_live(service)
    async with bench.resources.db.write() as session:
        row = await session.get_one(Deployment, deployment_id)
        release = await session.get_one(Release, row.release_id)
        release.went_live_at = now()
        row.kind = "rollback"
    async with bench.resources.db.read() as session:
        (line,) = await list_deployment_lines(session, [row])
        (made,) = await list_release_lines(session, [release], "", is_stopped=False)
        good = await find_last_good(session, service.id)
    assert (line.what, made.mark) == ("To release 1", "")
    assert made.maker is not None
    assert good is not None
    assert (made.maker.deployment.id, good.id) == (row.id, release.id)
