"""What is live is kept alive, unless somebody wants something else meanwhile."""

from collections.abc import Awaitable, Callable

import pytest
from tests.features.deployments.bench import Bench

from orca.db import now
from orca.errors import RequestRefused
from orca.features.deployments.actions.keep import keep_services_alive
from orca.features.deployments.actions.start import Request
from orca.features.services.models import Service


async def stop(bench: Bench, service: Service) -> None:
    await bench.ask(service, Request(kind="stop"))


async def deploy(bench: Bench, service: Service) -> None:
    await bench.ask(service, Request())


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
    await bench.engine.stop(stopped.id, grace=0)
    await bench.engine.remove(gone.id)

    async def refuse() -> None:
        await meanwhile(bench, service)
        raise RequestRefused("it is being removed")

    bench.engine.at_start = refuse
    await keep_services_alive(bench.resources)
    assert [each.kind for each in await bench.deployments(service)] == kinds
    assert [each.kind for each in await bench.deployments(other)] == ["deploy", "restart"]


async def test_one_that_cannot_be_started_is_replaced(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    (container,) = await bench.containers(service)
    await bench.engine.stop(container.id, grace=0)

    async def refuse() -> None:
        raise RequestRefused("its image is gone")

    bench.engine.at_start = refuse
    await keep_services_alive(bench.resources)
    await keep_services_alive(bench.resources)
    assert [each.kind for each in await bench.deployments(service)] == ["deploy", "restart"]
