"""A hostname that the proxy refuses: what worked is put back, and what was broken before holds up nothing."""

import pytest
from sqlalchemy import select
from tests.features.deployments.bench import Bench
from tests.features.deployments.test_pipeline import start_tasks
from tests.open_systems import exchange

from orca.errors import RequestRefused
from orca.features import connect_subscribers
from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.routing.models import Route
from orca.sdk.proxies import ProxyConfig
from orca.sdk.testing.fake_proxy import FakeProxy

pytestmark = pytest.mark.slow


class Moody(FakeProxy):
    """Refuses a hostname as often as it is told to."""

    refusals = 0
    disliked = ""

    async def apply(self, desired: ProxyConfig) -> None:
        culprit = next((route for route in desired.routes if route.hostname == self.disliked), None)
        if culprit is not None and self.refusals > 0:
            self.refusals -= 1
            raise RequestRefused("nothing answered", hint="", route_id=culprit.id)
        await super().apply(desired)


@pytest.fixture
def proxy(bench: Bench) -> Moody:
    moody = Moody()
    bench.resources = exchange(bench.resources, proxy=moody)
    connect_subscribers(bench.resources.db, bench.resources)
    return moody


async def test_a_hostname_that_worked_and_is_refused_ends_the_deployment(bench: Bench, proxy: Moody) -> None:
    service = await bench.make_service()
    await start_tasks(bench)
    before = await bench.make_web_live(service)
    served = [route.upstreams for route in proxy.served.routes]
    proxy.disliked, proxy.refusals = proxy.served.routes[0].hostname, 1
    ended = await bench.end_of(await bench.ask(service, DeploymentRequest(kind="restart")))
    assert ended.state == "failed"
    assert "is not served: nothing answered" in ended.reason
    assert ended.hint.endswith("The old release still serves.")
    assert [route.upstreams for route in proxy.served.routes] == served
    assert [each.labels["orca.deployment"] for each in await bench.containers(service)] == [before.id]


async def test_a_hostname_that_was_broken_before_is_a_warning(bench: Bench, proxy: Moody) -> None:
    service = await bench.make_service()
    await start_tasks(bench)
    await bench.make_web_live(service)
    async with bench.resources.db.write() as session:
        route = (await session.scalars(select(Route))).one()
        route.state, route.problem = "broken", "nothing answered"
    proxy.disliked, proxy.refusals = route.hostname, 99
    ended = await bench.end_of(await bench.ask(service, DeploymentRequest(kind="restart")))
    assert (ended.state, ended.reason) == ("succeeded", "")
    assert ended.warnings == [f"{route.hostname} is not served: nothing answered."]
