"""What is kept of the past: rows are seeded, the job runs, and what is needed stays."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update
from tests.features.deployments.bench import Bench

from orca.db import now
from orca.events import Event
from orca.features.deployments import queries
from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.deployments.models import Build, Deployment, LiveRelease, LogChunk, Release
from orca.features.deployments.operations.forget import forget_past
from orca.features.deployments.rules import FinishedDeployment, choose_forgotten
from orca.features.deployments.tasks import sweep
from orca.features.secrets.actions import put_secret
from orca.features.secrets.models import Secret
from orca.features.services.models import Service
from orca.features.services.schemas.settings import FrozenConfig
from orca.instance.models import Tombstone
from orca.settings import Keep

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
OLD = NOON - timedelta(days=1)


def past(number: int, kind: str = "deploy", state: str = "succeeded", **more: object) -> FinishedDeployment:
    finished_at = None if state in {"queued", "running"} else OLD
    return FinishedDeployment(**{"id": str(number), "number": number, "kind": kind, "state": state, "finished_at": finished_at,
                   "release_id": f"r{number}", "build_id": f"b{number}", **more})  # type: ignore[arg-type]  # fmt: skip


FIVE = [past(number) for number in range(1, 6)]


@pytest.mark.parametrize(
    ("rows", "needed", "offered", "newest", "gone"),
    [
        (FIVE, [], [], 2, "123"),
        (FIVE[::-1], [], [], 2, "123"),
        (FIVE, [], [], 0, "12345"),
        (FIVE, [], [], 50, ""),
        (FIVE, ["2"], [], 1, "134"),
        (FIVE, [], [("r1", "b1")], 1, "234"),
        ([*FIVE, past(6, finished_at=NOON)], [], [], 0, "12345"),
        ([past(1, state="running"), past(2, state="queued"), past(3), past(4)], [], [], 1, "3"),
        # what was scaled runs a release that another deployment made, with settings that the first one froze
        ([past(1), past(2, "scale", build_id="b1"), past(3, "restart", release_id="r2", build_id="b1"), past(4)],
         [], [("r2", "b1")], 1, "3"),
        ([past(1), past(2, build_id="b1"), past(3, "restart", release_id="r2", build_id="b1"), past(4)],
         [], [("r2", "b1")], 0, "134"),
        ([past(1), past(2, release_id="r1"), past(3)], [], [("r1", "b1")], 0, "3"),  # settings were frozen anew
    ],
)  # fmt: skip
def test_choose_forgotten(
    rows: Sequence[FinishedDeployment], needed: list[str], offered: list[tuple[str, str | None]], newest: int, gone: str
) -> None:
    assert "".join(choose_forgotten(rows, needed, offered, newest, NOON)) == gone


def keep(bench: Bench, **values: int) -> None:
    settings = bench.resources.settings.model_copy(update={"keep": Keep(**values)})
    bench.resources = replace(bench.resources, settings=settings)


async def add_past(bench: Bench, service: Service, numbers: range, *, days: float, kind: str = "deploy") -> None:
    """Finished deployments with a build, a release, secrets and a log each; failed ones, so that none ever served."""
    at = now() - timedelta(days=days)
    config = FrozenConfig(kind="worker").model_dump(mode="json")
    common = {"team_id": service.team_id, "service_id": service.id, "created_at": at}
    async with bench.resources.db.write() as session:
        for number in numbers:
            build = Build(**common, state="succeeded", image=f"image-{number}")
            session.add(build)
            await session.flush()
            release = Release(**common, number=number, build_id=build.id, image=f"image-{number}", config=config)
            session.add(release)
            await session.flush()
            deployment = Deployment(
                **common, number=number, kind=kind, state="failed", source=service.source, config=config, warnings=[],
                finished_at=at, build_id=build.id, release_id=release.id,
            )  # fmt: skip
            session.add(deployment)
            await session.flush()
            session.add(LogChunk(deployment_id=deployment.id, offset=0, step="build_image", text="line\n", at=at))
            for owner in (("deployment", deployment.id), ("release", release.id)):
                await put_secret(
                    session, bench.resources.secret_box, team_id=service.team_id, owner=owner, name="variables",
                    value="{}",
                )  # fmt: skip


async def numbers(bench: Bench, table: type[Deployment | Release]) -> list[int]:
    async with bench.resources.db.read() as session:
        return list(await session.scalars(select(table.number).order_by(table.number)))


async def count(bench: Bench, table: type, *conditions: object) -> int:
    async with bench.resources.db.read() as session:
        return await session.scalar(select(func.count()).select_from(table).where(*conditions)) or 0  # type: ignore[arg-type]


async def test_forget_past_what_is_old_goes_with_all_that_only_it_used(bench: Bench) -> None:
    service = await bench.make_service()
    live_id = await bench.make_live(service)
    await add_past(bench, service, range(2, 8), days=100)
    await add_past(bench, service, range(8, 10), days=40)
    await add_past(bench, service, range(10, 11), days=1)
    events = await count(bench, Event)
    keep(bench, deployments=3)
    await forget_past(bench.resources)
    assert await numbers(bench, Deployment) == await numbers(bench, Release) == [1, 8, 9, 10]
    assert (await count(bench, Build), await count(bench, LogChunk), await count(bench, Event)) == (3, 1, events)
    assert await count(bench, Secret) == 1 + 2 * 3
    assert await count(bench, Tombstone, Tombstone.kind == "build") == 6
    async with bench.resources.db.read() as session:
        gone = await session.scalars(select(Deployment).where(Deployment.log_removed_at.is_not(None)))
        assert sorted(each.number for each in gone) == [8, 9]
        assert (await session.get_one(Deployment, live_id)).log_removed_at is None


async def test_forget_past_the_newest_build_and_release_and_what_work_needs_stay(bench: Bench) -> None:
    service = await bench.make_service()
    live_id = await bench.make_live(service)
    await add_past(bench, service, range(2, 5), days=100)
    async with bench.resources.db.write() as session:  # failed before they had an image; another one made theirs
        late = Deployment.service_id == service.id, Deployment.number > 2
        await session.execute(update(Deployment).where(*late).values(release_id=None, build_id=None))
    waiting = await bench.ask(service, DeploymentRequest(kind="rollback", release=2))
    keep(bench, deployments=1)
    await forget_past(bench.resources)
    left = {each.id: each.number for each in await bench.deployments(service)}
    assert list(left.values()) == [1, 4, 5]
    assert {live_id, waiting} < left.keys()
    assert await numbers(bench, Release) == [1, 2, 4], "the live one, the wanted one, and the newest"
    assert await count(bench, Build) == 2


async def test_forget_past_of_a_deleted_service_nothing_old_stays(bench: Bench) -> None:
    service = await bench.make_service()
    await add_past(bench, service, range(1, 4), days=100)
    await bench.edit(service, deleted_at=now())
    await forget_past(bench.resources)
    assert [await count(bench, each) for each in (Deployment, Release, Build, LogChunk, Secret)] == [0] * 5


async def test_forget_past_a_container_of_what_is_forgotten_is_a_known_deletion(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    await add_past(bench, service, range(2, 4), days=100)
    lost = (await bench.deployments(service))[1].id
    await bench.run_container(service, lost)
    keep(bench, deployments=1)
    await forget_past(bench.resources)
    async with bench.resources.db.read() as session:
        assert await queries.list_unknown(session, await bench.containers(service)) == set()
    await sweep(bench.resources)
    (left,) = await bench.containers(service)
    assert left.labels["orca.deployment"] != lost


async def test_forget_past_broken_off_in_between_goes_on_the_next_time(bench: Bench) -> None:
    service = await bench.make_service()
    await add_past(bench, service, range(1, 41), days=100)
    keep(bench, deployments=1)
    job = asyncio.create_task(forget_past(bench.resources, batch=1))
    while await count(bench, Deployment) == 40:  # noqa: ASYNC110 - the database tells, not an event
        await asyncio.sleep(0)
    job.cancel()
    await asyncio.wait({job})
    left = await count(bench, Deployment)
    assert 1 < left < 40
    assert await count(bench, Tombstone, Tombstone.kind == "deployment") == 40 - left
    assert await count(bench, Secret, Secret.owner_type == "deployment") == left
    await forget_past(bench.resources)
    assert await numbers(bench, Deployment) == [40]
    async with bench.resources.db.read() as session:
        assert (await session.scalars(select(LiveRelease.id))).all() == []
