"""A project is deleted with all in it: what is confirmed, by whom, what is left, and what happens on the way."""

import html
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from tests.attacks.people import add_person, add_token
from tests.conftest import client_of
from tests.features.services.conftest import SEED, app, project, service, stranger, viewer
from tests.features.services.events import events_of
from tests.open_systems import exchange

from orca.db import now
from orca.errors import StepFailed
from orca.features.deployments.models import Deployment
from orca.features.projects.models import Project
from orca.features.services.models import Volume
from orca.features.services.tasks import TASKS as OF_SERVICES
from orca.features.teardown.tasks import TASKS, settle
from orca.sdk.testing.fake_host import FakeHost
from orca.tasks import Task

DESTROY = OF_SERVICES[0]
__all__ = ["app", "project", "service", "stranger", "viewer"]


def url_of(project: dict[str, Any], rest: str = "/deletion") -> str:
    return f"/api/v1/projects/{project['id']}{rest}"


async def fill(client: httpx.AsyncClient, project: dict[str, Any], service: dict[str, Any]) -> None:
    await client.put(url_of(project, "/variables/SHARED"), json={"value": "1"})
    await client.put(f"/api/v1/services/{service['id']}/variables/OWN", json={"value": "1"})
    await client.post(f"/api/v1/services/{service['id']}/volumes", json={"name": "data", "path": "/data"})
    second = {**SEED, "name": "Worker", "type": "worker", "ports": []}
    assert (await client.post(url_of(project, "/services"), json=second)).status_code == 201


class Killed(BaseException):
    """The process ended."""


class Run:
    """One life of a task: its steps are remembered, and it ends after, or within, one of them when told to."""

    def __init__(self, app: FastAPI, host: FakeHost, *, dies_at: int = -1, before: bool = False) -> None:
        self.resources = exchange(app.state.resources, containers=host)
        self._app, self._host = app, host
        self.memory: set[str] = set()
        self._dies_at, self._before, self._count = dies_at, before, 0

    async def step(self, name: str, work: Any, *, deadline: float, cancellable: bool = True) -> Any:
        if name in self.memory:
            return
        is_last, self._count = self._count == self._dies_at, self._count + 1
        if is_last and self._before:
            raise Killed
        await work()
        if is_last:  # done, but not remembered
            raise Killed
        self.memory.add(name)

    async def sleep_until(self, _instant: datetime, because: str) -> None:
        assert "being" in because
        async with self.resources.db.write() as session:
            await session.execute(update(Deployment).where(Deployment.kind == "remove").values(state="succeeded"))
            volumes = await session.scalars(select(Volume.id).where(Volume.destroying_since.is_not(None)))
        for volume_id in volumes.all():
            await DESTROY.run(Run(self._app, self._host), {"volume_id": volume_id})


async def task_of(app: FastAPI) -> Task:
    async with app.state.resources.db.read() as session:
        return (await session.scalars(select(Task).where(Task.name == "DeleteProject"))).one()


async def carry_out(app: FastAPI, host: FakeHost | None = None, run: Run | None = None) -> None:
    await TASKS[0].run(run or Run(app, host or FakeHost()), (await task_of(app)).payload)


async def test_all_goes_and_the_volumes_are_kept_with_the_project(app, client, project, service) -> None:
    await fill(client, project, service)
    left = (await client.get(url_of(project))).json()
    assert ([each["slug"] for each in left["services"]], left["variables"]) == (["api-server", "worker"], 2)
    assert [(each["name"], each["path"]) for each in left["volumes"]] == [("data", "/data")]
    assert left["state"] == "none"
    wrong = await client.post(url_of(project), json={"confirm": "other"})
    assert (wrong.status_code, list(wrong.json()["fields"])) == (422, ["confirm"])
    asked = await client.post(url_of(project), json={"confirm": project["slug"]})
    assert (asked.status_code, asked.json()["state"]) == (202, "running")
    await carry_out(app)
    ended = (await client.get(url_of(project))).json()
    assert (ended["state"], ended["services"], len(ended["volumes"])) == ("none", [], 1), ended
    assert len(await events_of(app, "ServiceDeleted")) == 2
    assert await events_of(app, "ProjectDeleted") == []
    (finished,) = await events_of(app, "ProjectDeletionFinished")
    assert finished.payload == {"name": "My App", "slug": "my-app", "volumes": 1}
    requested = (await events_of(app, "ProjectDeletionRequested"))[0]
    assert requested.payload == {"name": "My App", "slug": "my-app", "services": 2, "volumes": "keep"}


async def test_a_project_without_volumes_is_gone_then_on_behalf_of_who_asked(app, client, project, service) -> None:
    person = await add_person(app, "owner")
    async with client_of(app, Authorization=f"Bearer {await add_token(app, person, '*')}") as owner:
        assert (await owner.post(url_of(project), json={"confirm": project["slug"]})).status_code == 202
    await carry_out(app)
    assert (await client.get(url_of(project))).status_code == 404
    actors = {event.actor for kind in ("ServiceDeleted", "ProjectDeleted") for event in await events_of(app, kind)}
    assert actors == {event.actor for event in await events_of(app, "ProjectDeletionRequested")}
    assert (await client.get(f"/api/v1/services/{service['id']}")).status_code == 404
    again = await client.post("/api/v1/projects", json={"name": project["name"]})
    assert again.json()["slug"] == project["slug"]


async def test_who_may_not_delete_what_is_in_it_deletes_nothing(
    app, client, viewer, stranger, project, service
) -> None:
    await fill(client, project, service)
    body = {"confirm": project["slug"], "volumes": "delete"}
    assert (await viewer.post(url_of(project), json=body)).status_code == 403
    assert (await stranger.post(url_of(project), json=body)).status_code == 404
    person = await add_person(app, "owner")
    for scopes, status in (("project.delete", 403), ("project.delete service.delete", 403)):
        token = await add_token(app, person, *scopes.split())
        async with client_of(app, Authorization=f"Bearer {token}") as http:
            assert (await http.post(url_of(project), json=body)).status_code == status
    assert (await client.get(url_of(project))).json()["state"] == "none"


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("dies_at", range(4))
async def test_a_deletion_goes_on_after_a_kill_at_any_step(
    app, client, project, service, dies_at: int, before: bool
) -> None:
    await fill(client, project, service)
    await client.post(url_of(project), json={"confirm": project["slug"], "volumes": "delete"})
    host = FakeHost()
    async with app.state.resources.db.read() as session:
        host.volumes = {volume.engine_name: {} for volume in await session.scalars(select(Volume))}
    first = Run(app, host, dies_at=dies_at, before=before)
    with pytest.raises(Killed):
        await carry_out(app, run=first)
    second = Run(app, host)
    second.memory = first.memory
    await carry_out(app, run=second)
    assert (host.volumes, (await client.get(url_of(project))).status_code) == ({}, 404)
    for kind, number in (("ServiceDeleted", 2), ("VolumeDestroyed", 1), ("ProjectDeleted", 1)):
        assert len(await events_of(app, kind)) == number, kind


async def test_what_cannot_be_deleted_is_said_and_can_be_asked_for_again(
    app, client, browser, project, service
) -> None:
    await fill(client, project, service)
    await client.post(url_of(project), json={"confirm": project["slug"], "volumes": "delete"})
    await settle(app.state.resources, (await task_of(app)).id, "The volume is in use.")
    left = (await client.get(url_of(project))).json()
    assert (left["state"], left["problem"]) == ("failed", "The volume is in use.")
    assert "The volume is in use." in (await browser.get(f"/projects/{project['id']}/delete")).text
    assert (await events_of(app, "ProjectDeletionFailed"))[0].outcome == "failed"
    again = await client.post(url_of(project), json={"confirm": project["slug"]})
    assert again.json()["state"] == "running"


async def test_containers_that_do_not_go_end_the_deletion_with_the_services_named(
    app, client, project, service
) -> None:
    await client.post(url_of(project), json={"confirm": project["slug"]})
    async with app.state.resources.db.write() as session:
        (await session.get_one(Project, project["id"])).deleting_since = now() - timedelta(hours=7)
    with pytest.raises(StepFailed, match="API Server"):
        await carry_out(app)


class Asleep(BaseException):
    """The task gave its slot back."""


class Failing(Run):
    """Its first removals fail while it sleeps."""

    failures = 1

    async def sleep_until(self, instant: datetime, because: str) -> None:
        if self.failures:
            self.failures -= 1
            ended = {"state": "failed", "reason": "no engine", "finished_at": now() - timedelta(minutes=1)}
            async with self.resources.db.write() as session:
                await session.execute(update(Deployment).where(Deployment.state == "queued").values(**ended))
        else:
            await super().sleep_until(instant, because)
        raise Asleep


async def test_a_removal_that_fails_is_counted_and_tried_again_by_the_deletion(app, client, project, service) -> None:
    await client.post(url_of(project), json={"confirm": project["slug"]})
    run = Failing(app, FakeHost())
    with pytest.raises(Asleep):
        await carry_out(app, run=run)
    assert (await client.get(url_of(project))).json()["removing"] == 1
    with pytest.raises(Asleep):
        await carry_out(app, run=run)
    await carry_out(app, run=run)
    assert (await client.get(url_of(project))).status_code == 404
    async with app.state.resources.db.read() as session:
        removals = await session.scalars(select(Deployment).where(Deployment.kind == "remove"))
        assert len(removals.all()) == 2


async def test_a_removal_that_keeps_failing_ends_the_deletion_with_its_reason(app, client, project, service) -> None:
    await client.post(url_of(project), json={"confirm": project["slug"]})
    run = Failing(app, FakeHost())
    run.failures = 9
    for _ in range(3):
        with pytest.raises(Asleep):
            await carry_out(app, run=run)
    with pytest.raises(StepFailed, match="API Server could not be removed: no engine"):
        await carry_out(app, run=run)
    assert (await client.get(url_of(project))).json()["removing"] == 1


async def test_nothing_is_created_in_a_project_that_is_being_deleted(app: FastAPI, client, project) -> None:
    async with app.state.resources.db.write() as session:
        (await session.get_one(Project, project["id"])).deleting_since = now()
    refused = await client.post(url_of(project, "/services"), json=SEED)
    assert (refused.status_code, "being deleted" in refused.json()["detail"]) == (409, True)


async def test_the_page_says_what_goes_and_asks_for_the_slug(client, browser, project, service) -> None:
    await fill(client, project, service)
    path = f"/projects/{project['id']}/delete"
    page = html.unescape((await browser.get(path)).text)
    for words in ("2 services with their containers: API Server, Worker", "2 variables", "data at", "Destroy"):
        assert words in page
    wrong = await browser.post(path, data={"confirm": "My App", "volumes": "keep"})
    assert (wrong.status_code, "is not the slug of the project" in wrong.text) == (422, True)
    asked = await browser.post(path, data={"confirm": project["slug"], "volumes": "keep"})
    assert asked.headers["location"] == path
    assert "Being deleted" in (await browser.get(path)).text


async def test_an_empty_project_goes_at_once(client, browser, project) -> None:
    gone = await browser.post(f"/projects/{project['id']}/delete", data={"confirm": project["slug"]})
    assert (gone.status_code, gone.headers["location"]) == (303, "/projects")
    assert (await client.get(url_of(project, ""))).status_code == 404
