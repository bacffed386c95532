"""Handles of systems: opened once on first use, opened again after an error, closed with the process."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, ConfigDict, Field

from orca.db import Base, Database
from orca.errors import NotFound, ProviderUnavailable, ProviderUnusable
from orca.plugins import Plugins, UnusableBuilder, Unused
from orca.sdk.connectors import Connector
from orca.sdk.testing.connectors import FakeConnector, FakeConnectorProvider
from orca.settings import Settings
from orca.systems import LOCAL, System, Systems
from orca.systems.defaults import Defaults


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TunnelConfig(Strict):
    """It knows nothing of Docker or Caddy."""

    instance: str
    depth: int = Field(1, ge=0, le=9)


class Tunnel:
    def __init__(self, config: Any, connector: Connector) -> None:
        self.config, self.connector, self.is_open = config, connector, True
        self.host: Any = None


class Tunnels:
    """A provider that counts what it opens. `events` has what happened, in order; `failures` is used up first."""

    name: ClassVar[str] = "tunnel"
    Config: ClassVar[type[BaseModel]] = TunnelConfig
    events: ClassVar[list[str]] = []
    failures: ClassVar[list[Exception]] = []

    @asynccontextmanager
    async def open(self, config: BaseModel, connector: Connector) -> AsyncIterator[Tunnel]:
        self.events.append("opening")
        await asyncio.sleep(0.01)
        if self.failures:
            raise self.failures.pop()
        tunnel, task = Tunnel(config, connector), asyncio.current_task()
        try:
            yield tunnel
        finally:
            assert asyncio.current_task() is task
            tunnel.is_open = False
            self.events.append("closed")


class Engines(Tunnels):
    """Opens engines on what it is given."""

    @asynccontextmanager
    async def open(self, config: Any, connector: Connector, host: Any) -> AsyncIterator[Tunnel]:  # type: ignore[override]
        async with super().open(config, connector) as tunnel:
            tunnel.host = host
            yield tunnel


class Guests(Engines):
    """Opens engines on the host of another name."""

    container_host: ClassVar[str] = "docker"


class Builders(Tunnels):
    """Opens builders."""

    order: ClassVar[int] = 2
    Config: ClassVar[type[BaseModel]] = Strict


class LicenceConfig(Strict):
    licence: str


class BadBuilders(Builders):
    """Wants what Orca does not know."""

    order: ClassVar[int] = 1
    Config: ClassVar[type[BaseModel]] = LicenceConfig


class Connectors(FakeConnectorProvider):
    """Says when it is closed, in the same list."""

    @asynccontextmanager
    async def open(self, config: BaseModel) -> AsyncIterator[FakeConnector]:
        async with super().open(config) as connector:
            yield connector
        Tunnels.events.append("connector closed")


@pytest.fixture
async def systems(db: Database) -> AsyncIterator[Systems]:
    Tunnels.events.clear()
    Tunnels.failures.clear()
    plugins = Plugins(
        containers={"tunnel": Tunnels, "docker": Tunnels}, proxies={"tunnel": Tunnels, "caddy": Tunnels},  # type: ignore[dict-item]
        connectors={"local": Connectors}, engines={"docker": Engines, "cluster": Engines, "guest": Guests},  # type: ignore[dict-item]
    )  # fmt: skip
    opened = Systems(db, plugins, Defaults(Settings(), "test", "proxy"))
    yield opened
    await opened.close()


async def add_system(db: Database, system_id: str, **fields: Any) -> None:
    async with db.write() as session:
        session.add(System(id=system_id, name=system_id, **fields))


async def test_systems_containers_first_use_opens_it_once_for_concurrent_callers(systems: Systems) -> None:
    assert Tunnels.events == []
    found = await asyncio.gather(*(systems.containers(LOCAL) for _ in range(20)))
    assert len({id(each) for each in found}) == 1
    assert Tunnels.events == ["opening"]


async def test_systems_engine_stands_on_the_container_host_of_its_name(db: Database, systems: Systems) -> None:
    await add_system(db, "edge", engine="cluster")
    engine, cluster = await systems.engine(LOCAL), await systems.engine("edge")
    assert engine.host is await systems.containers(LOCAL)  # type: ignore[attr-defined]
    assert cluster.host is None  # type: ignore[attr-defined]
    with pytest.raises(ProviderUnusable, match="The engine “cluster” has no container host"):
        await systems.containers("edge")


async def test_systems_engine_stands_on_the_container_host_that_it_names(db: Database, systems: Systems) -> None:
    await add_system(db, "edge", engine="guest")
    engine: Any = await systems.engine("edge")
    assert engine.host is await systems.containers("edge")
    assert engine.host is not await systems.containers(LOCAL)


async def test_systems_close_closes_engines_before_their_host(systems: Systems) -> None:
    engine: Any = await systems.engine(LOCAL)
    await systems.close()
    assert (engine.is_open, engine.host.is_open) == (False, False)
    assert Tunnels.events[:2] == ["opening", "opening"]
    assert Tunnels.events[-1] == "connector closed"


async def test_systems_config_default_fields_the_provider_lacks_are_left_out(systems: Systems) -> None:
    proxy: Any = await systems.proxy(LOCAL)
    assert proxy.config == TunnelConfig(instance="test")


async def test_systems_config_row_overrides_the_defaults_of_its_system(db: Database, systems: Systems) -> None:
    await add_system(db, "edge", engine="tunnel", engine_config={"depth": 7, "instance": "other"})
    host: Any = await systems.containers("edge")
    assert host.config == TunnelConfig(instance="other", depth=7)
    assert (await systems.containers(LOCAL)).config == TunnelConfig(instance="test")  # type: ignore[attr-defined]


async def test_systems_config_invalid_row_names_system_and_field(db: Database, systems: Systems) -> None:
    await add_system(db, "edge", engine_config={"depth": 70})
    with pytest.raises(ProviderUnusable, match=r"edge.*depth"):
        await systems.containers("edge")
    await add_system(db, "other", engine="podman")
    with pytest.raises(ProviderUnusable, match="podman"):
        await systems.containers("other")


async def test_systems_list_unusable_names_each_provider_once_and_passes_over_what_is_down(
    db: Database, systems: Systems
) -> None:
    await add_system(db, "edge", engine="gone", proxy_config={"depth": 70})
    reasons = [each.message for each in await systems.list_unusable("edge")]
    assert len(reasons) == 2
    assert reasons[0] == "The engine “gone” is not installed."
    assert "depth" in reasons[1]
    Tunnels.failures.append(ProviderUnavailable("The tunnel is flooded."))
    assert await systems.list_unusable(LOCAL) == []


async def test_systems_provider_that_fails_to_open_is_unusable(systems: Systems) -> None:
    Tunnels.failures.append(ZeroDivisionError("no depth"))
    with pytest.raises(ProviderUnusable, match=r"“docker” of .*cannot be opened \(ZeroDivisionError: no depth\)"):
        await systems.containers(LOCAL)
    assert (await systems.containers(LOCAL)).is_open  # type: ignore[attr-defined]


async def test_systems_builder_that_cannot_be_used_leaves_the_others(db: Database) -> None:
    unused = Unused("builders", "broken", "orca-broken 1.0", "cannot be imported", "Mend it.")
    plugins = Plugins(
        builders={"good": Builders, "bad": BadBuilders}, connectors={"local": Connectors}, unused=[unused],  # type: ignore[dict-item]
    )  # fmt: skip
    systems = Systems(db, plugins, Defaults(Settings(), "test", "proxy"))
    builders = await systems.builders(LOCAL)
    await systems.close()
    assert list(builders) == ["good", "broken", "bad"]
    assert isinstance(builders["good"], Tunnel)
    problems = [each.problem.message for each in builders.values() if isinstance(each, UnusableBuilder)]
    assert problems[0] == "The builder “broken” of the package orca-broken 1.0 cannot be imported."
    assert problems[1] == "The builder “bad” of the system “local” is not configured well: licence: Field required."


async def test_systems_containers_error_at_open_next_call_tries_again(systems: Systems) -> None:
    Tunnels.failures.append(ProviderUnavailable("The tunnel is flooded."))
    results = await asyncio.gather(*(systems.containers(LOCAL) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in results] == [ProviderUnavailable] * 3
    assert (await systems.containers(LOCAL)).is_open  # type: ignore[attr-defined]
    assert Tunnels.events == ["opening", "opening"]


async def test_systems_containers_cancelled_first_caller_others_get_it(systems: Systems) -> None:
    first = asyncio.create_task(systems.containers(LOCAL))
    await asyncio.sleep(0)
    first.cancel()
    assert (await systems.containers(LOCAL)).is_open  # type: ignore[attr-defined]
    assert Tunnels.events == ["opening"]


async def test_systems_close_closes_hosts_before_their_connector(systems: Systems) -> None:
    host: Any = await systems.containers(LOCAL)
    await systems.proxy(LOCAL)
    await systems.close()
    assert not host.is_open
    assert Tunnels.events == ["opening", "opening", "closed", "closed", "connector closed"]
    with pytest.raises(ProviderUnavailable):
        await systems.containers(LOCAL)


async def test_systems_close_while_opening_stops_it(systems: Systems) -> None:
    waiting = asyncio.create_task(systems.containers(LOCAL))
    await asyncio.sleep(0.005)
    await systems.close()
    with pytest.raises(ProviderUnavailable):
        await waiting


async def test_systems_containers_unknown_system_raises_not_found(systems: Systems) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        await systems.containers("nowhere")


async def test_systems_on_each_unreachable_system_does_not_stop_the_others(db: Database, systems: Systems) -> None:
    await add_system(db, "edge")
    await add_system(db, "away")

    async def look(system_id: str) -> str:
        if system_id == "away":
            raise ProviderUnavailable("It does not answer.")
        return system_id

    assert await systems.on_each(look) == {"local": "local", "edge": "edge"}
    assert [each.message for each in (await systems.try_each(look))[1].values()] == ["It does not answer."]


async def test_systems_on_each_local_failure_is_raised_after_the_others(db: Database, systems: Systems) -> None:
    await add_system(db, "edge")
    done: list[str] = []

    async def look(system_id: str) -> None:
        if system_id == LOCAL:
            raise ProviderUnavailable("Docker does not answer.")
        await asyncio.sleep(0.01)
        done.append(system_id)

    with pytest.raises(ProviderUnavailable):
        await systems.on_each(look)
    assert done == ["edge"]


async def test_systems_state_is_kept_by_system_and_kind(systems: Systems) -> None:
    assert systems.state(LOCAL, list) is systems.state(LOCAL, list)
    assert systems.state(LOCAL, list) is not systems.state("edge", list)


async def test_systems_local_without_tables_uses_the_defaults(db: Database, systems: Systems) -> None:
    async with db.write() as session:
        await session.run_sync(lambda sync: Base.metadata.drop_all(sync.connection()))
    assert (await systems.containers(LOCAL)).config == TunnelConfig(instance="test")  # type: ignore[attr-defined]


@pytest.fixture
async def brief(systems: Systems) -> AsyncIterator[Systems]:
    """Handles that are idle after a moment."""
    opened = Systems(systems._db, systems._plugins, systems._defaults, idle_seconds=0.1)
    yield opened
    await opened.close()


async def wait_for(event: str) -> None:
    async with asyncio.timeout(5):
        while event not in Tunnels.events:  # noqa: ASYNC110 - a list
            await asyncio.sleep(0.01)


async def test_systems_idle_handle_is_closed_before_its_connector_and_opened_again_at_next_use(brief: Systems) -> None:
    first: Any = await brief.containers(LOCAL)
    await wait_for("connector closed")
    assert Tunnels.events == ["opening", "closed", "connector closed"]
    assert not first.is_open
    again: Any = await brief.containers(LOCAL)
    assert again.is_open
    assert Tunnels.events[-1] == "opening"


async def test_systems_handle_in_use_stays_open_while_another_is_idle(brief: Systems) -> None:
    proxy: Any = await brief.proxy(LOCAL)
    for _ in range(20):
        host: Any = await brief.containers(LOCAL)
        await asyncio.sleep(0.02)
    assert (host.is_open, proxy.is_open) == (True, False)
    assert "connector closed" not in Tunnels.events


async def test_systems_container_host_stays_open_while_its_engine_is_in_use(brief: Systems) -> None:
    for _ in range(20):
        engine: Any = await brief.engine(LOCAL)
        await asyncio.sleep(0.02)
    assert (engine.is_open, engine.host.is_open) == (True, True)
    await wait_for("connector closed")
    assert Tunnels.events == ["opening", "opening", "closed", "closed", "connector closed"]


async def test_systems_held_handles_stay_open_until_the_work_ends(brief: Systems) -> None:
    async def lines() -> AsyncGenerator[int, None]:
        for number in range(3):
            await asyncio.sleep(0.1)
            yield number

    host: Any = await brief.containers(LOCAL)
    assert [number async for number in brief.hold_during(LOCAL, lines())] == [0, 1, 2]
    assert host.is_open
    with brief.hold("other"):
        await wait_for("connector closed")
    assert not host.is_open


async def test_systems_close_ends_what_closes_idle_handles(brief: Systems) -> None:
    await brief.containers(LOCAL)
    await brief.close()
    await asyncio.sleep(0.2)
    assert Tunnels.events == ["opening", "closed", "connector closed"]
