"""The fake host behaves like a real one, and the suite notices one that does not."""

from dataclasses import replace

import pytest

from orca.errors import ProviderUnavailable, RequestRefused
from orca.sdk.containers import RegistryLogin
from orca.sdk.testing.containers import ContainerHostConformance, HostTrial
from orca.sdk.testing.fake_host import FakeHost, FakeHostProvider

pytestmark = pytest.mark.slow


class TestFakeHost(ContainerHostConformance):
    @pytest.fixture
    async def host(self):
        provider = FakeHostProvider(FakeHost(["hello:1"]))
        async with provider.open(provider.Config(), None) as host:
            yield host

    @pytest.fixture
    def image(self):
        return "hello:1"


@pytest.fixture
def host():
    return FakeHost(["hello:1"])


async def test_down_means_unknown(host):
    host.down = True
    with pytest.raises(ProviderUnavailable):
        await host.inspect({})
    with pytest.raises(ProviderUnavailable):
        await host.apply([])


async def test_crashes_are_seen(host):
    trial = HostTrial(host, "hello:1")
    await trial.make(trial.spec("web"))
    host.crash(f"{trial.id}-web", exit_code=137, out_of_memory=True)
    (container,) = await trial.inspect()
    assert (container.state, container.restarts, container.out_of_memory) == ("running", 1, True)
    await trial.clean()


async def test_what_is_written_is_in_the_log(host):
    trial = HostTrial(host, "hello:1")
    (container,) = await trial.make(trial.spec("web"))
    host.write(container.name, "ready")
    assert [line.text async for line in host.logs(container.id, tail=5, follow=False)] == ["ready"]
    await trial.clean()


async def test_pulls_come_from_its_registry_and_are_remembered(host):
    async def ignore(_line):
        pass

    login = RegistryLogin("registry.example.org", "user", "secret")
    host.add_image("registry.example.org/app:1", labels={"a": "b"})
    host.images.clear()
    image = await host.pull_image("registry.example.org/app:1", login, ignore)
    assert await host.list_images({"a": ""}) == [image]
    assert host.pulled == [("registry.example.org/app:1", login)]
    with pytest.raises(RequestRefused):
        await host.pull_image("registry.example.org/app:2", None, ignore)


class Wandering(FakeHost):
    """Gives a new address at every start."""

    async def apply(self, changes):
        await super().apply(changes)
        for change in changes:
            if change.verb == "start":
                box = self._boxes[change.name]
                box.seen = replace(box.seen, address=f"10.0.0.{next(self._numbers)}")


class Repeating(FakeHost):
    """Runs a finished command again."""

    async def run_once(self, spec, *, deadline, progress):
        self._remove(spec.name)
        return await super().run_once(spec, deadline=deadline, progress=progress)


class Careless(FakeHost):
    """Removes volumes with their containers."""

    def _remove(self, name):
        for mount in self._boxes[name].spec.mounts if name in self._boxes else ():
            self.volumes.pop(mount.volume, None)
        super()._remove(name)


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (Wandering, ContainerHostConformance.test_a_stopped_container_keeps_its_address),
        (Repeating, ContainerHostConformance.test_a_run_never_happens_twice),
        (Careless, ContainerHostConformance.test_volumes_outlive_containers),
    ],
)
async def test_the_suite_fails_a_broken_engine(broken, test):
    trial = HostTrial(broken(["hello:1"]), "hello:1")
    with pytest.raises(AssertionError):
        await test(ContainerHostConformance(), trial)
    await trial.clean()
