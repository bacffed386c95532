"""The fake engine behaves like a real one, and so does the Docker engine on any container host."""

import pytest

from orca.errors import BadInput, ProviderUnavailable, RequestRefused
from orca.providers.engines.docker import DockerEngine, DockerEngineProvider
from orca.sdk.engines import Engine, SupportsExec
from orca.sdk.testing.engines import EngineConformance, Trial
from orca.sdk.testing.fake_engine import FakeEngine, FakeEngineProvider
from orca.sdk.testing.fake_host import FakeHost
from orca.sdk.workloads import Workload

pytestmark = pytest.mark.slow


class TestFakeEngine(EngineConformance):
    @pytest.fixture
    async def engine(self):
        provider = FakeEngineProvider(FakeEngine(["hello:1"]))
        async with provider.open(provider.Config(), None, None) as engine:
            yield engine

    @pytest.fixture
    def image(self):
        return "hello:1"


class TestDockerEngineOnAnotherHost(EngineConformance):
    @pytest.fixture
    async def engine(self):
        provider = DockerEngineProvider()
        async with provider.open(provider.Config(), None, FakeHost(["hello:1"])) as engine:
            yield engine

    @pytest.fixture
    def image(self):
        return "hello:1"


@pytest.fixture(params=[FakeEngine, lambda images: DockerEngine(FakeHost(images))], ids=["fake", "docker"])
def engine(request) -> Engine:
    return request.param(["hello:1"])


async def test_engine_down_every_call_raises_nothing_is_gone(engine):
    workload = Workload("web", "hello:1", "net", {"orca.service": "s"})
    await engine.apply(engine.plan([], workload))
    (replica,) = await engine.observe({"orca.service": "s"})
    changes = engine.plan([], workload)
    (engine if isinstance(engine, FakeEngine) else engine._host).down = True
    assert isinstance(engine, SupportsExec)
    for call in (
        engine.check(), engine.observe({}), engine.survey({}), engine.apply(changes), engine.start(replica),
        engine.stop(replica), engine.remove(replica), engine.remove_network("net"),
        engine.exec(replica, ("true",), deadline=1), anext(aiter(engine.logs(replica, tail=None, follow=False))),
    ):  # fmt: skip
        with pytest.raises(ProviderUnavailable):
            await call


async def test_docker_engine_replicas_have_the_names_and_labels_of_all_versions():
    host = FakeHost(["hello:1"])
    engine = DockerEngine(host)
    labels = {"orca.service": "s", "orca.deployment": "d"}
    workload = Workload("orca-d", "hello:1", "orca-e", labels, replicas=2, stop_grace=30.0)
    await engine.apply(engine.plan([], workload))
    found = {each.name: dict(each.labels) for each in await host.inspect({})}
    assert found == {
        "orca-d-0": {**labels, "orca.replica": "0", "orca.stop-grace": "30.0"},
        "orca-d-1": {**labels, "orca.replica": "1", "orca.stop-grace": "30.0"},
    }


async def test_docker_engine_without_a_host_cannot_be_opened():
    with pytest.raises(BadInput):
        async with DockerEngineProvider().open(DockerEngineProvider.Config(), None, None):
            pass


async def test_docker_engine_host_without_an_ability_refuses():
    engine = DockerEngine(FakeHost(["hello:1"]))
    trial = Trial(engine, "hello:1")
    (replica,) = await trial.run(trial.workload("web"))
    assert await engine.find_listeners(replica) is None
    with pytest.raises(RequestRefused):
        await engine.find_unwritable(replica)
