"""Starting, observing, repairing: what happens to the proxy, and what it does about it."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import httpx
import psutil
import pytest
from tests.cancelling import CancelledAt
from tests.conftest import NO_TLS

from orca.errors import ProviderUnavailable, RequestRefused
from orca.providers.connectors.local import LocalConnector
from orca.providers.proxies.caddy import CaddyConfig, CaddyProxy, CaddyProxyProvider
from orca.providers.proxies.caddy.binary import find_binary
from orca.providers.proxies.caddy.layout import Layout
from orca.providers.proxies.caddy.render import probe_token
from orca.providers.proxies.caddy.render_edge import CertificateDoor
from orca.sdk.connectors import Command
from orca.sdk.proxies import ProxyCertificate, ProxyConfig, ProxyRoute
from orca.sdk.testing.certificates import make_certificate
from orca.sdk.testing.proxies import by_id
from orca.sdk.testing.proxy_traffic import Visitor
from orca.sdk.testing.upstream import EchoUpstream, echo_upstreams

from .conftest import free_port

pytestmark = pytest.mark.slow


def pid_of(config: CaddyConfig, program: str = "router") -> int:
    layout = Layout.of(config)
    return int((layout.edge if program == "edge" else layout.router).pid_file.read_text().split()[0])


def admin(config: CaddyConfig | Path, **headers: str) -> httpx.Client:
    door = config if isinstance(config, Path) else config.data_dir / "route.sock"
    transport = httpx.HTTPTransport(uds=str(door), verify=NO_TLS)
    return httpx.Client(transport=transport, base_url="http://orca-proxy", headers=headers)


ORIGIN = {"Origin": "http://orca-proxy"}


# ── starting ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_taken_port_is_refused_with_the_name_of_its_holder(config: CaddyConfig, proxy: CaddyProxy):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", config.http_port))
        holder.listen()
        with pytest.raises(
            RequestRefused, match=rf"Port {config.http_port}/tcp .*\(process {os.getpid()}\)"
        ) as failure:
            await proxy.start()
        assert "ORC_PROXY_HTTP_PORT" in failure.value.hint
    await proxy.start()
    assert (await proxy.inspect()).running


async def test_it_outlives_the_one_who_opened_it(config: CaddyConfig, connector: LocalConnector, visitor: Visitor):
    """Restart of Orca: nothing is restarted, and the next handle finds it."""
    async with EchoUpstream() as upstream:
        async with CaddyProxyProvider().open(config, connector) as first:
            await first.start()
            await first.apply(ProxyConfig((ProxyRoute("a", "a.example.org", upstreams=(upstream.at,)),)))
        pid = pid_of(config)
        assert (await visitor.get("a.example.org")).status_code == 200
        async with CaddyProxyProvider().open(config, connector) as second:
            await second.start()
            assert pid_of(config) == pid
            assert by_id((await second.inspect()).config).keys() == {"a"}
            await second.stop()
    with suppress(psutil.NoSuchProcess):
        assert psutil.Process(pid).status() == psutil.STATUS_ZOMBIE  # ended; reaping is init's affair


async def test_killed_it_serves_the_last_good_configuration_again(
    config: CaddyConfig, running: CaddyProxy, visitor: Visitor
):
    async with EchoUpstream() as upstream:
        await running.apply(ProxyConfig((ProxyRoute("a", "a.example.org", upstreams=(upstream.at,), tls="internal"),)))
        root = await running.internal_ca()
        os.kill(pid_of(config), signal.SIGKILL)
        assert not (await running.inspect()).running
        with pytest.raises(ProviderUnavailable):
            await running.apply(ProxyConfig(()))
        await running.start()
        assert root is not None
        assert (await visitor.get_securely("a.example.org", root=root)).status_code == 200
        assert not (await running.inspect()).drifted


async def test_new_ports_take_effect_at_the_next_start(
    config: CaddyConfig, running: CaddyProxy, connector: LocalConnector
):
    """What was applied is rendered for the new ports, without another `apply`."""
    async with EchoUpstream() as upstream:
        await running.apply(ProxyConfig((ProxyRoute("a", "a.example.org", upstreams=(upstream.at,)),)))
        moved = config.model_copy(update={"http_port": free_port(), "https_port": free_port()})
        async with CaddyProxyProvider().open(moved, connector) as other:
            await other.start()
            assert (await Visitor(moved.http_port, moved.https_port).get("a.example.org")).status_code == 200
            with pytest.raises(httpx.ConnectError):
                await Visitor(config.http_port, config.https_port).get("a.example.org")


@pytest.mark.parametrize("damage", [b"", b'{"apps": {"http"', b"{}"])
async def test_a_damaged_file_gives_way_to_the_generation_before(
    config: CaddyConfig, running: CaddyProxy, damage: bytes
):
    """Never to Caddy's defaults, which would serve nothing and open a door on TCP."""
    for hostname in ("old.example.org", "new.example.org"):
        await running.apply(ProxyConfig((ProxyRoute("a", hostname),)))
    await running.stop()
    (config.data_dir / "caddy.json").write_bytes(damage)
    await running.start()
    assert by_id((await running.inspect()).config)["a"].hostname == "old.example.org"


async def test_what_an_earlier_orca_wrote_is_served_until_routes_are_applied(
    config: CaddyConfig, running: CaddyProxy, visitor: Visitor
):
    """An upgrade that changes the form and starts Caddy anew takes no site down."""
    file = config.data_dir / "caddy.json"
    await running.apply(ProxyConfig((ProxyRoute("a", "a.example.org", redirect_to="https://b.example.org"),)))
    await running.stop()
    shutil.rmtree(config.data_dir / "generations")
    file.write_text(json.dumps(json.loads(file.read_text().replace('"sites":', '"earlier":')), indent=1))
    await running.start()
    assert (await visitor.get("a.example.org")).status_code == 308
    await running.apply(ProxyConfig((ProxyRoute("a", "a.example.org", redirect_to="https://c.example.org"),)))
    assert (await visitor.get("a.example.org")).headers["location"] == "https://c.example.org/"
    assert not (await running.inspect()).drifted


async def test_a_pid_file_of_another_life_is_not_believed(config: CaddyConfig, running: CaddyProxy):
    """The pid may belong to another process by now: no signal is sent, and a proxy is started."""
    await running.stop()
    (config.data_dir / "router.pid").write_text(f"{os.getpid()} 1 not-this-boot")
    assert not (await running.inspect()).running
    await running.start()
    assert pid_of(config) != os.getpid()


async def test_an_unknown_state_is_never_gone(config: CaddyConfig, running: CaddyProxy):
    """A Caddy that hangs runs; what it serves cannot be said."""
    os.kill(pid_of(config), signal.SIGSTOP)
    try:
        with pytest.raises(ProviderUnavailable):
            async with asyncio.timeout(30):
                await running.inspect()
    finally:
        os.kill(pid_of(config), signal.SIGCONT)


ORCA = """
import asyncio, sys
from orca.providers.connectors.local import LocalConnector
from orca.providers.proxies.caddy import CaddyConfig, CaddyProxyProvider
from orca.sdk.proxies import ProxyConfig, ProxyRoute

async def change_on_and_on():
    config = CaddyConfig.model_validate_json(sys.argv[1])
    async with CaddyProxyProvider().open(config, LocalConnector()) as proxy:
        number = 0
        while True:
            number += 1
            other = ProxyRoute("other", f"other{number}.example.org")
            await proxy.apply(ProxyConfig((ProxyRoute("a", "a.example.org", redirect_to="https://b.org"), other)))
            print("applied", flush=True)

asyncio.run(change_on_and_on())
"""


@pytest.mark.slow
async def test_orca_killed_at_any_moment_of_a_change(config: CaddyConfig, running: CaddyProxy, visitor: Visitor):
    """The site is served all along; the next start and change find everything in order, and nothing is left lying."""
    site = ProxyRoute("a", "a.example.org", redirect_to="https://b.org")
    for pause in (0.0, 0.03, 0.06, 0.09, 0.12, 0.15):
        orca = subprocess.Popen([sys.executable, "-c", ORCA, config.model_dump_json()], stdout=subprocess.PIPE)
        assert orca.stdout is not None
        assert await asyncio.to_thread(orca.stdout.readline) == b"applied\n"
        await asyncio.sleep(pause)
        orca.kill()
        orca.communicate()
        assert (await visitor.get("a.example.org")).status_code == 308
        await running.start()
        assert by_id((await running.inspect()).config)["a"] == site
        await running.apply(ProxyConfig((site,)))
        assert not (await running.inspect()).drifted
        assert not [path for path in config.data_dir.iterdir() if path.name.startswith(".")]


# ── drift ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_foreign_change_is_seen_and_repaired(config: CaddyConfig, running: CaddyProxy, visitor: Visitor):
    """Row 16: repaired to ours, not to defaults."""
    desired = ProxyConfig((ProxyRoute("a", "a.example.org", redirect_to="https://b.example.org"),))
    await running.apply(desired)
    with admin(config, **ORIGIN) as api:
        assert api.delete("/config/apps/http/servers/sites/routes/1").status_code == 200
    assert (await visitor.get("a.example.org")).status_code == 404
    state = await running.inspect()
    assert (state.drifted, by_id(state.config)) == (True, {})
    await running.apply(desired)
    assert (await visitor.get("a.example.org")).status_code == 308
    assert not (await running.inspect()).drifted


async def test_an_emptied_caddy_is_seen_and_repaired(config: CaddyConfig, running: CaddyProxy, visitor: Visitor):
    desired = ProxyConfig((ProxyRoute("a", "a.example.org", redirect_to="https://b.example.org"),))
    await running.apply(desired)
    with admin(config, **ORIGIN) as api:
        assert api.delete("/config/").status_code == 200
    state = await running.inspect()
    assert (state.running, state.drifted, state.config) == (True, True, None)
    await running.apply(desired)
    assert (await visitor.get("a.example.org")).status_code == 308


async def test_an_address_changed_behind_our_back_is_seen(config: CaddyConfig, running: CaddyProxy):
    async with EchoUpstream() as upstream:
        desired = ProxyConfig((ProxyRoute("a", "a.example.org", upstreams=(upstream.at,)),))
        await running.apply(desired)
        (config.data_dir / "upstreams" / "a.0").write_text("127.0.0.1:9")
        state = await running.inspect()
        assert state.drifted
        assert running.plan(state.config, desired)[0].describe() == "change route a.example.org/ (upstreams)"
        await running.apply(desired)
        assert not (await running.inspect()).drifted


# ── refusing ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_only_caddy_can_refuse_is_blamed_on_the_right_route(running: CaddyProxy):
    """A key that does not belong to its certificate, among nine good changes."""
    certificate, _ = make_certificate("bad.example.org")
    _, key = make_certificate("bad.example.org")
    routes = [ProxyRoute(f"r{number}", f"r{number}.example.org") for number in range(9)]
    bad = ProxyRoute("bad", "bad.example.org", tls="custom", certificate_id="mixed")
    for place in (0, 4, 9):
        desired = ProxyConfig((*routes[:place], bad, *routes[place:]), (ProxyCertificate("mixed", certificate, key),))
        with pytest.raises(RequestRefused, match=r"'bad\.example\.org/' cannot be served: .*private key") as failure:
            await running.apply(desired)
        assert failure.value.details["route_id"] == "bad"
        assert key.splitlines()[1] not in failure.value.message
    assert by_id((await running.inspect()).config) == {}


async def test_what_cannot_be_loaded_is_rolled_back(config: CaddyConfig, running: CaddyProxy, visitor: Visitor):
    """Valid, but the place where it would listen is taken: the one before goes on, in memory and on the disk."""
    await running.apply(ProxyConfig((ProxyRoute("a", "a.example.org", redirect_to="https://b.example.org"),)))
    before = (config.data_dir / "caddy.json").read_bytes()
    blocked = ProxyConfig((ProxyRoute("c", "c.example.org"),))
    place = Layout.of(config).router_socket(probe_token(blocked))
    (place / "file").mkdir(parents=True)
    with pytest.raises(RequestRefused, match="listening on"):
        await running.apply(blocked)
    assert (config.data_dir / "caddy.json").read_bytes() == before
    assert (await visitor.get("a.example.org")).status_code == 308
    assert not (await running.inspect()).drifted


async def test_what_does_not_answer_is_rolled_back(config: CaddyConfig, connector: LocalConnector, visitor: Visitor):
    """The configuration loads, but another process answers on its port: the probe detects it, and the previous one is restored."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    everywhere = config.model_copy(update={"bind": (ip_address("0.0.0.0"),)})
    site = ProxyRoute("a", "a.example.org", redirect_to="https://b.example.org")
    async with CaddyProxyProvider().open(everywhere, connector) as proxy:
        try:
            await proxy.start()
            await proxy.apply(ProxyConfig((site,)))
            async with await asyncio.start_server(answer, "127.0.0.1", config.http_port, reuse_port=True):
                with pytest.raises(RequestRefused, match="status 200 from elsewhere") as failure:
                    await proxy.apply(
                        ProxyConfig((site, ProxyRoute("c", "c.example.org"), ProxyRoute("d", "d.example.org")))
                    )
            assert failure.value.details["route_id"] == "c"
            assert "'d.example.org/' is not served" in failure.value.details["also"]["d"]
            state = await proxy.inspect()
            assert (by_id(state.config), state.drifted) == ({"a": site}, False)
            assert (await visitor.get("a.example.org")).status_code == 308
            assert (await visitor.get("c.example.org")).status_code == 404
        finally:
            await proxy.stop()


async def test_apply_cancelled_at_any_wait_leaves_old_or_new_routes(
    config: CaddyConfig, running: CaddyProxy, visitor: Visitor
):
    """Whole, and known as what was applied."""
    old = ProxyConfig((ProxyRoute("a", "a.example.org", redirect_to="https://old.example.org"),))
    new = ProxyConfig((ProxyRoute("a", "a.example.org", redirect_to="https://new.example.org"),))
    is_cancelled, point = True, 0
    while is_cancelled:
        point += 1
        await running.apply(old)
        (outcome,) = await asyncio.gather(CancelledAt(running.apply(new), point), return_exceptions=True)
        is_cancelled = isinstance(outcome, asyncio.CancelledError)
        state = await running.inspect()
        assert not state.drifted, point
        assert by_id(state.config) in ((by_id(old), by_id(new)) if is_cancelled else (by_id(new),)), point
        assert (await visitor.get("a.example.org")).headers["location"].startswith(by_id(state.config)["a"].redirect_to)
    assert point > 10
    assert not list(config.data_dir.glob(".scratch-*"))


async def test_a_missing_proxy_is_no_refusal(proxy: CaddyProxy):
    """Trying again after a start helps, so it is `unavailable`."""
    with pytest.raises(ProviderUnavailable) as failure:
        await proxy.apply(ProxyConfig(()))
    assert failure.value.hint


# ── speed ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _time_bare_validation(config: CaddyConfig) -> float:
    """What `caddy validate` alone takes on this machine now: 50 ms when it has nothing else to do."""
    command = (str(find_binary().path), "validate", "--config", str(config.data_dir / "caddy.json"))
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    return time.perf_counter() - begun


async def test_a_change_is_served_soon(config: CaddyConfig, running: CaddyProxy, visitor: Visitor):
    """The budget is 300 ms from the change to the answer, on a machine that is not busy with other things."""
    async with EchoUpstream() as upstream:
        site = [ProxyRoute(f"r{number}", f"r{number}.example.org", upstreams=(upstream.at,)) for number in range(20)]
        took = []
        for number in range(15, 20):
            begun = time.perf_counter()
            await running.apply(ProxyConfig(tuple(site[:number])))
            assert (await visitor.get(f"r{number - 1}.example.org")).status_code == 200
            took.append(time.perf_counter() - begun)
        bare = await _time_bare_validation(config)
        assert min(took) < max(0.3, 6 * bare), (took, bare)


async def test_a_redeployment_reloads_nothing(config: CaddyConfig, running: CaddyProxy, visitor: Visitor):
    """Addresses go by file: the log of Caddy shows no load."""

    def loads() -> int:
        return (config.data_dir / "log" / "router.log").read_text().count('"uri":"/load"')

    async with EchoUpstream("one") as one, EchoUpstream("two") as two:
        route = ProxyRoute("a", "a.example.org")
        await running.apply(ProxyConfig((route,)))
        before = loads()
        for upstream in (one, two, one):
            await running.apply(ProxyConfig((replace(route, upstreams=(upstream.at,)),)))
            assert (await visitor.get("a.example.org")).json()["name"] == upstream.name
        await running.apply(ProxyConfig((route,)))
        assert (await visitor.get("a.example.org")).status_code == 503
        assert loads() == before


async def test_scaling_reloads_nothing(config: CaddyConfig, running: CaddyProxy, visitor: Visitor):
    """From three replicas to four, five and back; and from one to two. Each one is asked, the ones that went are not."""

    def loads() -> int:
        return (config.data_dir / "log" / "router.log").read_text().count('"uri":"/load"')

    async with echo_upstreams("one", "two", "three", "four", "five") as replicas:
        for counts in ((3, 4, 5, 3), (1, 2, 1, 0, 1)):
            before = 0
            for count in counts:
                upstreams = tuple(each.at for each in replicas[:count])
                await running.apply(ProxyConfig((ProxyRoute("a", "a.example.org", upstreams=upstreams),)))
                before = before or loads()
                answers = [await visitor.get("a.example.org") for _ in range(60 if count else 0)]
                assert {answer.json()["name"] for answer in answers} == {each.name for each in replicas[:count]}
            assert loads() == before


@pytest.mark.slow
async def test_a_thousand_routes(config: CaddyConfig, running: CaddyProxy, visitor: Visitor):
    """One more costs little beyond what Caddy needs to read its configuration once or twice; nothing is quadratic."""
    async with EchoUpstream() as upstream:
        routes = [
            ProxyRoute(f"r{number}", f"r{number}.example.org", upstreams=(upstream.at,)) for number in range(1000)
        ]
        await running.apply(ProxyConfig(tuple(routes[:999])))
        begun = time.perf_counter()
        await running.apply(ProxyConfig(tuple(routes)))
        took, bare = time.perf_counter() - begun, await _time_bare_validation(config)
        assert took < max(1.5, 4 * bare), (took, bare)
        assert (await visitor.get("r999.example.org")).status_code == 200


# ── the doors ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("program", "socket_name"), [("router", "route.sock"), ("edge", "admin.sock")])
async def test_the_admin_api_has_one_private_door(
    config: CaddyConfig, running: CaddyProxy, program: str, socket_name: str
):
    """NET-03: a 0600 socket that wants our origin, and no TCP port but those it needs; not even after a reset."""
    needed = _needed_ports(config) if program == "edge" else set()
    door = config.data_dir / socket_name
    assert (door.stat().st_mode & 0o777, config.data_dir.stat().st_mode & 0o777) == (0o600, 0o700)
    for headers in ({}, {"Origin": "http://evil.example.org"}, {"Origin": "http://localhost:2019"}):
        with admin(door, **headers) as api:
            assert api.get("/config/").status_code == 403
            assert api.post("/load", json={}).status_code == 403
            assert api.post("/stop").status_code == 403
    with admin(door, **ORIGIN) as api:
        assert api.delete("/config/").status_code == 200
    assert _tcp_ports(config, program) == set()
    await running.apply(ProxyConfig(()))
    assert _tcp_ports(config, program) == needed


@pytest.mark.parametrize("path", ["/", "/certificate.txt?server_name=a.example.org", "/names/a.example.org"])
async def test_certificates_are_given_to_the_edge_alone(config: CaddyConfig, running: CaddyProxy, path: str):
    """The loopback port that handshakes ask wants a token that only the edge's configuration holds."""
    await running.apply(ProxyConfig((ProxyRoute("a", "a.example.org", tls="internal"),)))
    (door,) = {port for _, port in _needed_ports(config)} - {config.http_port, config.https_port}
    async with httpx.AsyncClient(verify=NO_TLS) as http:
        answer = await http.get(f"http://127.0.0.1:{door}{path}")
    assert (answer.status_code, answer.text) == (403, "")


async def test_visitors_find_no_door_to_the_admin_api(running: CaddyProxy, visitor: Visitor):
    await running.apply(ProxyConfig((ProxyRoute("a", "a.example.org"),)))
    for hostname in ("orca-proxy", "localhost:2019", "127.0.0.1"):
        for path in ("/config/", "/load", "/id/a", "/reverse_proxy/upstreams", "/pki/ca/local"):
            assert (await visitor.get(hostname, path, origin="http://orca-proxy")).status_code == 404


async def test_secrets_stay_out_of_arguments_and_logs(config: CaddyConfig, visitor: Visitor):
    """Private keys and password hashes travel in private files only."""
    seen: list[Command] = []
    pem, key = make_certificate("a.example.org")
    canary = key.splitlines()[1]
    async with CaddyProxyProvider().open(config, LocalConnector(seen.append)) as proxy:
        try:
            await proxy.start()
            route = ProxyRoute("a", "a.example.org", tls="custom", certificate_id="c")
            await proxy.apply(ProxyConfig((route,), (ProxyCertificate("c", pem, key),)))
            state = await proxy.inspect()
        finally:
            await proxy.stop()
    assert seen
    assert canary not in repr(seen)
    assert canary not in repr(state)
    holders = [
        path for path in config.data_dir.rglob("*") if path.is_file() and canary in path.read_text(errors="replace")
    ]
    assert sorted(holders) == [config.data_dir / "caddy.json", config.data_dir / "names" / "a.example.org"]
    assert oct(holders[0].stat().st_mode)[-3:] == "600"


def _needed_ports(config: CaddyConfig) -> set[tuple[str, int]]:
    document = json.loads((config.data_dir / "edge.json").read_text())
    door = CertificateDoor.of(document)
    return {("127.0.0.1", port) for port in (config.http_port, config.https_port, door.port)}


def _tcp_ports(config: CaddyConfig, program: str) -> set[tuple[str, int]]:
    connections = psutil.Process(pid_of(config, program)).net_connections("tcp")
    return {tuple(connection.laddr) for connection in connections if connection.status == psutil.CONN_LISTEN}


# ── the configuration of the provider ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "bad",
    [
        {"data_dir": "relative"},
        {"data_dir": "/a{b}"},
        {"data_dir": "/" + "x" * 100},
        {"instance": "Big"},
        {"http_port": 0},
        {"http_port": 443},
        {"bind": ()},
        {"bind": ("localhost",)},
        {"surplus": 1},
    ],
    ids=str,
)
def test_bad_settings_are_refused(bad: dict):
    with pytest.raises(ValueError, match=next(iter(bad)).replace("http_port", "port")):
        CaddyConfig(**{"data_dir": "/data", "instance": "a", **bad})


def test_addresses_may_have_brackets():
    config = CaddyConfig(data_dir=Path("/data"), instance="a", bind=("0.0.0.0", "[::]"))
    assert json.loads(config.model_dump_json())["bind"] == ["0.0.0.0", "::"]
    assert CaddyConfig(data_dir=Path("/data"), instance="a").bind == config.bind
