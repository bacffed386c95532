"""The fake engine behaves like a real one, and the suite notices one that does not."""

from dataclasses import replace

import pytest

from orca.errors import ProviderUnavailable, RequestRefused
from orca.sdk.engines import RegistryLogin
from orca.sdk.testing.engines import EngineConformance, Trial
from orca.sdk.testing.fake_engine import FakeEngine, FakeEngineProvider

pytestmark = pytest.mark.slow


class TestFakeEngine(EngineConformance):
    @pytest.fixture
    async def engine(self):
        provider = FakeEngineProvider(FakeEngine(["hello:1"]))
        async with provider.open(provider.Config(), None) as engine:
            yield engine

    @pytest.fixture
    def image(self):
        return "hello:1"


@pytest.fixture
def engine():
    return FakeEngine(["hello:1"])


async def test_down_means_unknown(engine):
    engine.down = True
    with pytest.raises(ProviderUnavailable):
        await engine.inspect({})
    with pytest.raises(ProviderUnavailable):
        await engine.apply([])


async def test_crashes_are_seen(engine):
    trial = Trial(engine, "hello:1")
    await trial.make(trial.spec("web"))
    engine.crash(f"{trial.id}-web", exit_code=137, out_of_memory=True)
    (container,) = await trial.inspect()
    assert (container.state, container.restarts, container.out_of_memory) == ("running", 1, True)
    await trial.clean()


async def test_what_is_written_is_in_the_log(engine):
    trial = Trial(engine, "hello:1")
    (container,) = await trial.make(trial.spec("web"))
    engine.write(container.name, "ready")
    assert [line.text async for line in engine.logs(container.id, tail=5, follow=False)] == ["ready"]
    await trial.clean()


async def test_pulls_come_from_its_registry_and_are_remembered(engine):
    async def ignore(_line):
        pass

    login = RegistryLogin("registry.example.org", "user", "secret")
    engine.add_image("registry.example.org/app:1", labels={"a": "b"})
    engine.images.clear()
    image = await engine.pull_image("registry.example.org/app:1", login, ignore)
    assert await engine.list_images({"a": ""}) == [image]
    assert engine.pulled == [("registry.example.org/app:1", login)]
    with pytest.raises(RequestRefused):
        await engine.pull_image("registry.example.org/app:2", None, ignore)


class Wandering(FakeEngine):
    """Gives a new address at every start."""

    def _start(self, box):
        super()._start(box)
        box.seen = replace(box.seen, address=f"10.0.0.{next(self._numbers)}")


class Repeating(FakeEngine):
    """Runs a finished command again."""

    async def run_once(self, spec, *, deadline, progress):
        self._remove(spec.name)
        return await super().run_once(spec, deadline=deadline, progress=progress)


class Careless(FakeEngine):
    """Removes volumes with their containers."""

    def _remove(self, name):
        for mount in self._boxes[name].spec.mounts if name in self._boxes else ():
            self.volumes.pop(mount.volume, None)
        super()._remove(name)


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (Wandering, EngineConformance.test_a_stopped_container_keeps_its_address),
        (Repeating, EngineConformance.test_a_run_never_happens_twice),
        (Careless, EngineConformance.test_volumes_outlive_containers),
    ],
)
async def test_the_suite_fails_a_broken_engine(broken, test):
    trial = Trial(broken(["hello:1"]), "hello:1")
    with pytest.raises(AssertionError):
        await test(EngineConformance(), trial)
    await trial.clean()
