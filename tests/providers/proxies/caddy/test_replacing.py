"""The proxy is replaced, or lost its sockets: visitors and streams notice nothing, and it is whole again."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest
from tests.cancelling import CancelledAt

from orca.providers.connectors.local import LocalConnector
from orca.providers.proxies.caddy import CaddyConfig, CaddyProxy, CaddyProxyProvider, runtime
from orca.providers.proxies.caddy.layout import Layout
from orca.sdk.proxies import ProxyConfig, ProxyRoute
from orca.sdk.testing.proxies import by_id
from orca.sdk.testing.proxy_traffic import Visitor
from orca.sdk.testing.upstream import EchoUpstream

pytestmark = pytest.mark.slow

SITE = "a.example.org"
OTHER = ProxyRoute("b", "b.example.org")


def pids(config: CaddyConfig) -> list[int]:
    layout = Layout.of(config)
    return [int(program.pid_file.read_text().split()[0]) for program in (layout.edge, layout.router)]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes) -> None:
    writer.write(text)
    async with asyncio.timeout(5):
        assert await reader.readexactly(len(text)) == text


async def watch(visitor: Visitor, statuses: list[int | str], gaps: list[float]) -> None:
    """One visitor after the other, each with a connection of its own; notes how long each waited."""
    while True:
        begun = time.monotonic()
        try:
            statuses.append((await visitor.get(SITE)).status_code)
        except httpx.HTTPError as error:
            statuses.append(repr(error))
        gaps.append(time.monotonic() - begun)
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("lost", ["removed", "stale"])
async def test_a_router_without_its_admin_socket_is_replaced(
    config: CaddyConfig, running: CaddyProxy, visitor: Visitor, lost: str
):
    """The socket file was removed, or belongs to a process that is gone. Sites and streams stay up meanwhile."""
    async with EchoUpstream() as upstream:
        site = ProxyRoute("a", SITE, upstreams=(upstream.at,))
        await running.apply(ProxyConfig((site,)))
        _, before = pids(config)
        socket = Layout.of(config).router.admin_socket
        socket.unlink()
        if lost == "stale":
            server = await asyncio.start_unix_server(lambda *_: None, str(socket))
            moved = socket.rename(socket.with_name("kept"))
            server.close()
            moved.rename(socket)
        async with visitor.websocket(SITE) as (reader, writer):
            assert not (await running.inspect()).running
            await running.start()
            assert pids(config)[1] != before
            await running.apply(ProxyConfig((site, OTHER)))
            await echo(reader, writer, b"still here")
            assert (await visitor.get(OTHER.hostname)).status_code == 503
            assert not (await running.inspect()).drifted
            assert psutil.pid_exists(before)


async def test_an_edge_without_its_admin_socket_serves_on(config: CaddyConfig, running: CaddyProxy, visitor: Visitor):
    """It needs none to serve changes of routes."""
    Layout.of(config).edge.admin_socket.unlink()
    await running.apply(ProxyConfig((OTHER,)))
    assert (await visitor.get(OTHER.hostname)).status_code == 503
    state = await running.inspect()
    assert (by_id(state.config).keys(), state.drifted) == ({"b"}, False)


async def test_an_update_keeps_visitors_and_streams(
    config: CaddyConfig, running: CaddyProxy, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
):
    """Another version: both programs are replaced beside their successors, which answer within a second. Those before
    end when their last stream has ended.
    """
    async with EchoUpstream() as upstream:
        await running.apply(ProxyConfig((ProxyRoute("a", SITE, upstreams=(upstream.at,)),)))
        before = pids(config)
        (config.data_dir / "version").write_text("2.0.0")
        statuses: list[int | str] = []
        gaps: list[float] = []
        async with (
            visitor.websocket(SITE) as (reader, writer),
            CaddyProxyProvider().open(config, LocalConnector()) as updated,
        ):
            visits = asyncio.create_task(watch(visitor, statuses, gaps))
            await asyncio.sleep(0.2)
            await updated.start()
            await asyncio.sleep(0.2)
            visits.cancel()
            assert not set(before) & set(pids(config))
            await echo(reader, writer, b"still here")
            monkeypatch.setattr(runtime, "_REQUESTS_END_WITHIN", 0.0)
            await updated.inspect()
            assert all(psutil.pid_exists(pid) for pid in before), "a stream was cut off"
        assert max(gaps) < 1, max(gaps)
        # A connection that the edge had accepted, but not read yet when it let go of the ports, may be lost.
        assert len([status for status in statuses if status != 200]) <= 1
        for _ in range(100):
            await updated.inspect()
            if not [pid for pid in before if _runs(pid)]:
                break
            await asyncio.sleep(0.1)
        assert not [pid for pid in before if _runs(pid)]
        assert (await visitor.get(SITE)).status_code == 200


async def test_a_successor_that_does_not_start_leaves_the_one_before(
    config: CaddyConfig, running: CaddyProxy, visitor: Visitor
):
    """Its place is given back, and it serves on."""
    await running.apply(ProxyConfig((OTHER,)))
    before = pids(config)
    (config.data_dir / "version").write_text("2.0.0")
    binary = running._edge.runtime._binary
    running._edge.runtime._binary = type(binary)(Path("/bin/false"), binary.version)
    monkey = runtime._START_DEADLINE
    runtime._START_DEADLINE = 0.5
    try:
        with pytest.raises(Exception, match="did not start"):
            await running.start()
    finally:
        runtime._START_DEADLINE = monkey
        running._edge.runtime._binary = binary
    assert pids(config)[0] == before[0]
    assert (await visitor.get(OTHER.hostname)).status_code == 503


@pytest.mark.sampled
@pytest.mark.parametrize("first", [1, 2, 3])
async def test_start_cancelled_at_any_wait_serves_on_and_can_be_repeated(
    config: CaddyConfig, running: CaddyProxy, visitor: Visitor, first: int
):
    """While both programs are replaced. Afterwards a start makes it whole, and what stood aside ends."""
    await running.apply(ProxyConfig((OTHER,)))
    is_cancelled, point = True, first - 3
    while is_cancelled:
        point += 3
        (config.data_dir / "version").write_text("2.0.0")
        (outcome,) = await asyncio.gather(CancelledAt(running.start(), point), return_exceptions=True)
        is_cancelled = isinstance(outcome, asyncio.CancelledError)
        assert is_cancelled or outcome is None
        assert (await visitor.get(OTHER.hostname)).status_code == 503, point
        await running.start()
        state = await running.inspect()
        assert (by_id(state.config).keys(), state.running, state.drifted) == ({"b"}, True, False), point
        assert (await visitor.get(OTHER.hostname)).status_code == 503, point
    assert point > 10


def _runs(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False
