"""A clock that jumps back an hour changes no order: ids and times of what is written second are the earlier ones."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from tests.features.deployments.bench import Bench
from tests.features.deployments.test_pipeline import start_tasks
from tests.features.deployments.test_service_status import put, status_of

from orca.db import now
from orca.errors import BadInput
from orca.features.dashboard.queries import list_latest, list_recent
from orca.features.deployments import history, queries
from orca.features.deployments.models import Build, Deployment, Release
from orca.features.deployments.operations.prune_images import remove_old_images
from orca.features.deployments.schemas import TeamDeploymentFilter
from orca.features.services.models import Service, Variable
from orca.features.triggers import queries as triggers
from orca.features.triggers.models import Push
from orca.kit.pagination import PageRequest
from orca.settings import DiskSettings
from orca.tasks import Task
from orca.tasks.claims import Claimant, claim
from orca.tasks.lanes import Opening
from orca.web.guard import Scope

HOUR = timedelta(hours=1)
JUMP: tuple[dict[str, Any], dict[str, Any]] = (
    {"id": "01990000-0000-7000-8000-000000000000", "created_at": now()},
    {"id": "01980000-0000-7000-8000-000000000000", "created_at": now() - HOUR},
)
"""What the clock gives to the first row, and to the second one after it went back."""


async def write_two(bench: Bench, table: type, first: dict[str, Any], second: dict[str, Any]) -> None:
    for moment, fields in zip(JUMP, (first, second), strict=True):
        async with bench.resources.db.write() as session:
            session.add(table(**moment, **fields))


async def test_the_queue_runs_in_its_order(bench: Bench) -> None:
    await write_two(bench, Task, {"name": "Work", "target": "t"}, {"name": "Work", "target": "t"})
    async with bench.resources.db.write() as session:
        (task,) = await claim(session, Claimant("worker", ["Work"]), Opening("run", 5, 5))
    assert task.id == JUMP[0]["id"]


async def test_the_last_build_is_the_one_that_was_made_last(bench: Bench) -> None:
    service = await bench.make_service()
    common = {"team_id": service.team_id, "service_id": service.id, "state": "succeeded"}
    await write_two(bench, Build, {**common, "builder": "dockerfile"}, {**common, "builder": "template"})
    async with bench.resources.db.read() as session:
        last = await queries.find_last_build(session, service.id)
        assert last is not None
        assert (last.id, await queries.find_last_builder(session, service.id)) == (JUMP[1]["id"], "template")


async def test_the_oldest_image_is_the_one_of_the_first_build(bench: Bench) -> None:
    service = await bench.make_service()
    common = {"team_id": service.team_id, "service_id": service.id, "state": "succeeded"}
    await write_two(bench, Build, common, common)
    for moment in JUMP[::-1]:  # the engine's clock says the second was made first, too
        bench.host.add_image(
            moment["id"], size_bytes=200 << 20, labels={"orca.instance": "test", "orca.build": moment["id"]}
        )
    object.__setattr__(
        bench.resources,
        "settings",
        bench.resources.settings.model_copy(update={"disk": DiskSettings(image_budget_mb=256)}),
    )
    await remove_old_images(bench.resources)
    left = await bench.host.list_images({"orca.build": ""})
    assert [each.labels["orca.build"] for each in left] == [JUMP[1]["id"]]


async def add_deployments(bench: Bench, service: Service) -> Scope:
    common = {"team_id": service.team_id, "service_id": service.id, "source": {}, "config": {}, "warnings": [],
              "kind": "deploy", "state": "failed"}  # fmt: skip
    await write_two(bench, Deployment, {**common, "number": 1}, {**common, "number": 2})
    return Scope(service.team_id)


async def test_lists_of_deployments_begin_with_the_newest(bench: Bench) -> None:
    service = await bench.make_service()
    scope = await add_deployments(bench, service)
    async with bench.resources.db.read() as session:
        page = await queries.list_deployments(session, scope, service.id, PageRequest(limit=1))
        rest = await queries.list_deployments(session, scope, service.id, PageRequest(cursor=page.next_cursor))
        assert [each.number for each in (*page.items, *rest.items)] == [2, 1]
        page = await queries.list_team_deployments(session, scope, TeamDeploymentFilter(limit=1))
        rest = await queries.list_team_deployments(session, scope, TeamDeploymentFilter(cursor=page.next_cursor))
        assert [each.number for each in (*page.items, *rest.items)] == [2, 1]
        assert [each.deployment.number for each in await list_recent(session, scope)] == [2, 1]
        assert (await list_latest(session, scope, [service.id]))[service.id].number == 2


async def test_a_cursor_whose_deployment_is_forgotten_is_refused(bench: Bench) -> None:
    service = await bench.make_service()
    scope = await add_deployments(bench, service)
    async with bench.resources.db.write() as session:
        await session.execute(delete(Deployment).where(Deployment.number == 2))
    async with bench.resources.db.read() as session:
        with pytest.raises(BadInput):
            await queries.list_deployments(session, scope, service.id, PageRequest(cursor=JUMP[1]["id"]))


async def test_the_maker_of_a_release_is_the_first_that_had_it(bench: Bench) -> None:
    service = await bench.make_service()
    await add_deployments(bench, service)
    common = {"team_id": service.team_id, "service_id": service.id, "image": "app:1", "config": {}}
    async with bench.resources.db.write() as session:
        release = Release(**common, number=1, went_live_at=now())
        session.add_all([release, Release(**common, number=2, went_live_at=now() - HOUR)])
        await session.flush()
        for row in await session.scalars(select(Deployment)):
            row.release_id = release.id
    async with bench.resources.db.read() as session:
        assert (await history.list_makers(session, [release]))[release.id].number == 1
        newest = await history.find_last_good(session, service.id)
        assert newest is not None
        assert newest.number == 2


async def test_a_secret_that_was_set_since_is_told(bench: Bench) -> None:
    service = await bench.make_service()
    await put(bench, service, "TOKEN", "a")
    await start_tasks(bench)
    await bench.make_web_live(service)
    assert (await status_of(bench, service)).pending == ()
    await put(bench, service, "TOKEN", "b")
    async with bench.resources.db.write() as session:
        await session.execute(update(Variable).values(updated_at=now() - HOUR))
    assert (await status_of(bench, service)).pending == ("variable TOKEN changed",)


async def test_the_last_push_is_the_one_that_came_last(bench: Bench) -> None:
    common = {"team_id": "team-1", "hook_id": "hook", "decision": "", "payload": {}, "received_at": now()}
    await write_two(bench, Push, {**common, "delivery": "first"}, {**common, "delivery": "second"})
    async with bench.resources.db.read() as session:
        last = await triggers.list_last_pushes(session, Scope("team-1"), ["hook"])
        recent = await triggers.list_recent_pushes(session, Scope("team-1"), ["hook"], limit=5)
    assert last["hook"].delivery == "second"
    assert [each.delivery for each in recent] == ["second", "first"]
