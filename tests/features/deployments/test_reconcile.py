"""What is live is kept running, unless a person requests something else meanwhile."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from tests.features.deployments.bench import Bench
from tests.features.deployments.test_pipeline import start_tasks

from orca.db import now
from orca.errors import RequestRefused
from orca.events import Event
from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.deployments.models import Build, Deployment, LiveRelease, Release
from orca.features.deployments.operations.prune_images import remove_old_images
from orca.features.deployments.operations.reconcile import count_failures, pause_after, reconcile_services
from orca.features.services.models import Service
from orca.features.services.schemas.settings import FrozenConfig


async def stop(bench: Bench, service: Service) -> None:
    await bench.ask(service, DeploymentRequest(kind="stop"))


async def deploy(bench: Bench, service: Service) -> None:
    await bench.ask(service, DeploymentRequest())


async def delete(bench: Bench, service: Service) -> None:
    async with bench.resources.db.write() as session:
        (await session.get_one(Service, service.id)).deleted_at = now()


@pytest.mark.parametrize(
    ("meanwhile", "kinds"), [(stop, ["deploy", "stop"]), (deploy, ["deploy", "deploy"]), (delete, ["deploy"])]
)
async def test_what_was_asked_for_meanwhile_stands(
    bench: Bench, meanwhile: Callable[[Bench, Service], Awaitable[None]], kinds: list[str]
) -> None:
    service, other = await bench.make_service("first"), await bench.make_service("second")
    for each in (service, other):
        await bench.make_live(each)
    (stopped,) = await bench.containers(service)
    (gone,) = await bench.containers(other)
    await bench.host.stop(stopped.id, grace=0)
    await bench.host.remove(gone.id)

    async def refuse() -> None:
        await meanwhile(bench, service)
        raise RequestRefused("it is being removed")

    bench.host.at_start = refuse
    await reconcile_services(bench.resources)
    assert [each.kind for each in await bench.deployments(service)] == kinds
    assert [each.kind for each in await bench.deployments(other)] == ["deploy", "restart"]


async def test_one_that_cannot_be_started_is_replaced(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    (container,) = await bench.containers(service)
    await bench.host.stop(container.id, grace=0)

    async def refuse() -> None:
        raise RequestRefused("its image is gone")

    bench.host.at_start = refuse
    await reconcile_services(bench.resources)
    await reconcile_services(bench.resources)
    assert [each.kind for each in await bench.deployments(service)] == ["deploy", "restart"]


@pytest.mark.parametrize(
    ("newest_first", "failures"),
    [
        ([], 0),
        ([("system", "failed"), ("system", "failed"), ("api", "failed")], 2),
        ([("system", "failed"), ("system", "succeeded"), ("system", "failed")], 1),
        ([("system", "cancelled"), ("system", "failed"), ("push", "succeeded")], 2),
        ([("page", "failed"), ("system", "failed")], 0),
    ],
)
def test_failures_in_a_row_are_counted(newest_first: list[tuple[str, str]], failures: int) -> None:
    assert count_failures(newest_first) == failures


@pytest.mark.parametrize(("failures", "seconds"), [(0, 0), (1, 60), (2, 120), (6, 1920), (7, 3600), (1000, 3600)])
def test_each_failure_doubles_the_pause(failures: int, seconds: int) -> None:
    assert pause_after(failures) == timedelta(seconds=seconds)


async def lose(bench: Bench, service: Service) -> None:
    """Its container and its image are gone."""
    for container in await bench.containers(service):
        await bench.host.remove(container.id)
    bench.host.images.clear()


async def look(bench: Bench, service: Service, *, later: float = 0) -> int:
    """Look after what is live when some seconds more have passed since the last failure; how often was it tried?"""
    async with bench.resources.db.write() as session:
        for failed in await session.scalars(select(Deployment).where(Deployment.state == "failed")):
            assert failed.finished_at is not None
            failed.finished_at -= timedelta(seconds=later)
    await reconcile_services(bench.resources)
    tries = await bench.deployments(service)
    await bench.end_of(tries[-1].id)
    return sum(each.trigger == "system" for each in tries)


async def times_told(bench: Bench, service: Service) -> int:
    told = select(func.count()).where(Event.type == "ServiceNotRevived", Event.object_id == service.id)
    async with bench.resources.db.read() as session:
        return await session.scalar(told) or 0


@pytest.mark.slow
async def test_what_cannot_be_revived_is_tried_after_growing_pauses(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    await start_tasks(bench)
    await lose(bench, service)
    assert [await look(bench, service) for _ in range(3)] == [1, 1, 1]
    assert await times_told(bench, service) == 0
    assert [await look(bench, service, later=each) for each in (61, 61, 60)] == [2, 2, 3]
    assert await times_told(bench, service) == 1
    restart_id = await bench.ask(service, DeploymentRequest(kind="restart", trigger="page"))
    assert (await bench.end_of(restart_id)).state == "failed"
    assert [await look(bench, service), await look(bench, service)] == [4, 4]
    bench.host.add_image("app:1")
    assert [await look(bench, service, later=each) for each in (61, 0)] == [5, 5]
    assert len(await bench.containers(service)) == 1


async def test_one_whose_volume_is_gone_does_not_keep_the_others(bench: Bench) -> None:
    service, other = await bench.make_service("first"), await bench.make_service("second")
    for each in (service, other):
        await bench.make_live(each)
        await lose(bench, each)
        bench.host.add_image("app:1")
    async with bench.resources.db.write() as session:
        release = (await session.scalars(select(Release).where(Release.service_id == service.id))).one()
        release.config = {**release.config, "volume_names": {"data": "orca-destroyed"}}
    await reconcile_services(bench.resources)
    assert [each.kind for each in await bench.deployments(service)] == ["deploy"]
    assert [each.kind for each in await bench.deployments(other)] == ["deploy", "restart"]


async def add_releases(bench: Bench, service: Service, images: str) -> None:
    """A release for each letter, with the image of that name. Small ones were never healthy; the last big one is live."""
    async with bench.resources.db.write() as session:
        live = (await session.scalars(select(LiveRelease).where(LiveRelease.service_id == service.id))).one()
        for number, image in enumerate(images, start=2):
            bench.host.add_image(f"sha256:{image}", labels={"orca.instance": "test", "orca.build": image})
            release = Release(
                team_id=service.team_id, service_id=service.id, number=number, image=f"sha256:{image}",
                config=FrozenConfig(kind="worker").model_dump(mode="json") | {"replicas": number},
                went_live_at=now() if image.isupper() else None,
            )  # fmt: skip
            session.add(release)
            await session.merge(Build(id=image, team_id=service.team_id, service_id=service.id))
            await session.flush()
            if image.isupper():
                live.release_id = release.id


@pytest.mark.parametrize(
    ("releases", "kept"),
    [
        ("ABBBBBB", "AB"),  # deployed again and again
        ("AwxyzB", "AB"),
        ("ABwxyz", "AB"),
        ("ABCDEFG", "DEFG"),
        ("ABCDEFGA", "AEFG"),
    ],
)
async def test_images_to_which_a_service_may_go_back_are_kept(bench: Bench, releases: str, kept: str) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    await add_releases(bench, service, releases)
    disk = bench.resources.settings.disk.model_copy(update={"image_budget_mb": 0})
    settings = bench.resources.settings.model_copy(update={"disk": disk})
    await remove_old_images(replace(bench.resources, settings=settings))
    ours = await bench.host.list_images({"orca.build": ""})
    assert "".join(sorted(each.id.removeprefix("sha256:") for each in ours)) == kept


async def change_release(bench: Bench, service: Service, **changes: object) -> None:
    async with bench.resources.db.write() as session:
        for table in (Release, Deployment):
            row = (await session.scalars(select(table).where(table.service_id == service.id))).one()
            row.config = {**row.config, **changes}


async def fail_while_recreating(bench: Bench, service: Service) -> str:
    """A deployment stopped the old release, and neither it nor its undoing reaches the engine any more."""
    await bench.edit(service, strategy="recreate")
    deployment_id = await bench.ask(service, DeploymentRequest())

    async def vanish() -> None:
        bench.host.down = True
        raise RequestRefused("the engine refuses")

    bench.host.at_apply = vanish  # type: ignore[method-assign]
    await start_tasks(bench)
    ended = await bench.end_of(deployment_id)
    del bench.host.at_apply
    bench.host.down = False
    assert ended.state == "failed"
    return deployment_id


async def states(bench: Bench, service: Service) -> list[str]:
    return [each.state for each in await bench.containers(service)]


@pytest.mark.slow
@pytest.mark.parametrize("restart", ["unless-stopped", "on-failure", "no"])
async def test_what_a_failed_deployment_stopped_runs_again_whatever_its_policy(bench: Bench, restart: str) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    await change_release(bench, service, restart=restart)
    await fail_while_recreating(bench, service)
    assert await states(bench, service) == ["exited"]
    await reconcile_services(bench.resources)
    assert await states(bench, service) == ["running"]


@pytest.mark.slow
async def test_what_had_ended_by_itself_is_not_run_again(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    await change_release(bench, service, restart="no")
    (job,) = await bench.containers(service)
    await bench.host.stop(job.id, grace=0)
    await fail_while_recreating(bench, service)
    await reconcile_services(bench.resources)
    assert await states(bench, service) == ["exited"]


@pytest.mark.slow
async def test_the_old_release_waits_until_nothing_of_the_failed_one_runs(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    failed = await fail_while_recreating(bench, service)
    await bench.run_container(service, failed)
    await reconcile_services(bench.resources)
    assert sorted(await states(bench, service)) == ["exited", "running"]
    new = next(each for each in await bench.containers(service) if each.state == "running")
    await bench.host.stop(new.id, grace=0)
    await bench.host.remove(new.id)
    await reconcile_services(bench.resources)
    assert await states(bench, service) == ["running"]


async def test_a_stopped_replica_is_started_though_another_is_missing(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    await change_release(bench, service, replicas=2)
    (one,) = await bench.containers(service)
    await bench.host.stop(one.id, grace=0)
    await reconcile_services(bench.resources)
    assert await states(bench, service) == ["running"]
    assert [each.kind for each in await bench.deployments(service)] == ["deploy", "restart"]
