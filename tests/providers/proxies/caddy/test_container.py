"""Caddy as a container: a real one on the shared Docker, with a name and labels of this test's own."""

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from tests.conftest import docker_client

from orca.errors import ProviderUnavailable, RequestRefused
from orca.providers.connectors.local import LocalConnector
from orca.providers.proxies.caddy import CaddyConfig, CaddyProxy, CaddyProxyProvider
from orca.providers.proxies.caddy.binary import CaddyBinary, find_binary
from orca.providers.proxies.caddy.container import fingerprint, render_options
from orca.providers.proxies.caddy.docker_cli import DockerCli
from orca.providers.proxies.caddy.image import write_archive
from orca.providers.proxies.caddy.render_edge import CertificateDoor, render_edge
from orca.providers.proxies.caddy.runtime import wait_until_up
from orca.sdk.proxies import ProxyConfig, ProxyRoute
from orca.sdk.testing.proxies import by_id
from orca.sdk.testing.proxy_traffic import Visitor
from orca.sdk.testing.upstream import EchoUpstream

from .conftest import free_port
from .samples import LAYOUT

pytestmark = pytest.mark.slow

OPTIONS = render_options(LAYOUT, LAYOUT.edge, "abc", CaddyBinary(Path("/usr/bin/caddy"), "2.11.7"), (0, 0))


@pytest.fixture
def config(config: CaddyConfig) -> CaddyConfig:
    return config.model_copy(update={"mode": "container", "instance": f"t{secrets.token_hex(4)}"})


@pytest.fixture
def container(config: CaddyConfig, proxy: CaddyProxy) -> str:
    """The proxy's name on the engine. It depends on `proxy`, whose fixture removes the container."""
    return f"orca-proxy-{config.instance}"


def docker(*arguments: str) -> str:
    done = subprocess.run([docker_client(), *arguments], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def inspect(container: str) -> dict:
    return json.loads(docker("inspect", container))[0]


def pid_of(container: str) -> int:
    return int(inspect(container)["State"]["Pid"])


# ── what is asked of Docker ──────────────────────────────────────────────────────────────────────────────────────


def test_the_container_is_given_little():
    """Options in pairs, as the client reads them."""
    pairs = list(pairwise(OPTIONS))
    for pair in (
        ("--network", "host"),
        ("--restart", "unless-stopped"),
        ("--pull", "never"),
        ("--cap-drop", "ALL"),
        ("--cap-add", "NET_BIND_SERVICE"),
        ("--security-opt", "no-new-privileges"),
        ("--label", "orca.instance=abc"),
        ("--log-opt", "max-size=10m"),
        ("--mount", "type=bind,source=/data/proxy,target=/data/proxy"),
        ("--user", "0:0"),
    ):
        assert pair in pairs
    assert "--read-only" in OPTIONS
    assert not {"--privileged", "--publish", "-p", "--volume", "-v"} & set(OPTIONS)
    assert sum(option == "--mount" for option in OPTIONS) == 1
    assert not any("docker.sock" in option for option in OPTIONS)


def test_without_root_the_executable_brings_the_right_to_port_80():
    binary = CaddyBinary(Path("/usr/bin/caddy"), "2.11.7")
    options = render_options(LAYOUT, LAYOUT.edge, "abc", binary, (1000, 1000))
    assert "1000:1000" in options
    assert "no-new-privileges" not in options


def test_any_difference_is_another_container():
    binary = CaddyBinary(Path("/usr/bin/caddy"), "2.11.8")
    newer = render_options(LAYOUT, LAYOUT.edge, "abc", binary, (0, 0))
    assert fingerprint(newer) != fingerprint(OPTIONS)


def test_the_image_holds_one_file(tmp_path: Path):
    executable = tmp_path / "program"
    executable.write_bytes(b"\x7fELF")
    write_archive(executable, tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as tar:
        (entry,) = tar.getmembers()
    assert (entry.name, entry.mode, entry.uid, entry.gid) == ("caddy", 0o755, 0, 0)
    assert "SCHILY.xattr.security.capability" in entry.pax_headers


def test_the_binary_is_the_one_of_the_wheel():
    binary = find_binary()
    said = subprocess.run([binary.path, "version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"v{binary.version} ")


async def test_without_a_daemon_the_next_step_is_named(connector: LocalConnector, tmp_path: Path):
    with pytest.raises(ProviderUnavailable, match="No docker client reaches") as failure:
        await DockerCli(connector, f"unix://{tmp_path}/none.sock").run("ps")
    assert "ORC_PROXY_MODE=process" in failure.value.hint


# ── on a real engine ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.docker
async def test_it_serves_and_is_confined(config: CaddyConfig, running: CaddyProxy, visitor: Visitor, container: str):
    async with EchoUpstream() as upstream:
        route = ProxyRoute("a", "a.example.org", upstreams=(upstream.at,), tls="internal")
        await running.apply(ProxyConfig((route,)))
        root = await running.internal_ca()
        assert root is not None
        assert (await visitor.get_securely("a.example.org", root=root)).json()["name"] == "upstream"
    state = await running.inspect()
    assert (state.version, state.drifted, by_id(state.config)) == (find_binary().version, False, {"a": route})
    found = inspect(container)
    host = found["HostConfig"]
    assert (host["NetworkMode"], host["ReadonlyRootfs"], host["CapDrop"]) == ("host", True, ["ALL"])
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert {mount["Source"] for mount in found["Mounts"] if mount["RW"]} == {str(config.data_dir)}
    assert found["Config"]["Labels"]["orca.instance"] == config.instance
    assert (config.data_dir / "admin.sock").stat().st_mode & 0o777 == 0o600


@pytest.mark.docker
async def test_starting_again_keeps_the_container(running: CaddyProxy, container: str):
    before = pid_of(container)
    await running.start()
    assert pid_of(container) == before


@pytest.mark.docker
async def test_killed_it_comes_back_without_orca(running: CaddyProxy, visitor: Visitor, container: str):
    """`kill -9` without a call to start: Docker's restart policy starts the container, and Caddy reads its file."""
    async with EchoUpstream() as upstream:
        await running.apply(ProxyConfig((ProxyRoute("a", "a.example.org", upstreams=(upstream.at,)),)))
        before = pid_of(container)
        os.kill(before, signal.SIGKILL)
        await _until_answered(visitor, "a.example.org")
    assert pid_of(container) != before
    assert not (await running.inspect()).drifted


@pytest.mark.docker
async def test_a_container_made_otherwise_is_replaced(running: CaddyProxy, visitor: Visitor, container: str):
    """As after an update of Orca: the routes are the same, the container is a new one."""
    async with EchoUpstream() as upstream:
        await running.apply(ProxyConfig((ProxyRoute("a", "a.example.org", upstreams=(upstream.at,)),)))
        options = running._edge.runtime._options
        running._edge.runtime._options = (*options, "--env", "NEW=1")
        before = inspect(container)["Id"]
        await running.start()
        assert inspect(container)["Id"] != before
        assert (await visitor.get("a.example.org")).status_code == 200


@pytest.mark.docker
async def test_a_stopped_container_is_started(running: CaddyProxy, container: str):
    docker("stop", "--time", "1", container)
    assert not (await running.inspect()).running
    await running.start()
    assert (await running.inspect()).running


@pytest.mark.docker
async def test_a_container_of_somebody_else_is_left_alone(proxy: CaddyProxy, container: str, running: CaddyProxy):
    """Same name, other labels: refused, and it lives."""
    image = inspect(container)["Image"]
    await running.stop()
    foreign = docker(
        "create", "--name", container, "--label", "orca.test=foreign", "--network", "none", image, "version"
    )
    try:
        with pytest.raises(RequestRefused, match="is not Orca's"):
            await proxy.start()
        assert inspect(container)["Id"] == foreign
    finally:
        docker("rm", "--force", foreign)


@pytest.mark.docker
async def test_a_failed_start_leaves_nothing(running: CaddyProxy, container: str):
    await running.stop()
    options = running._edge.runtime._options
    running._edge.runtime._options = (*options, "--mount", "type=bind,source=/no/such/place,target=/x")
    with pytest.raises(ProviderUnavailable, match="docker run failed"):
        await running.start()
    running._edge.runtime._options = options
    assert docker("ps", "--all", "--quiet", "--filter", f"name=^/{container}$") == ""


@pytest.mark.docker
async def test_it_can_bind_low_ports_without_root(
    config: CaddyConfig, connector: LocalConnector, data_dir: Path
) -> None:
    """Orca under an ordinary user: the container has that user's id, and the executable's capability."""
    low = config.model_copy(update={"http_port": _free_low_port()})
    user = 54321
    os.chown(data_dir, user, user)
    async with CaddyProxyProvider().open(low, connector) as proxy:
        runtime, layout = proxy._edge.runtime, proxy._layout
        for program in (proxy._edge, proxy._router):
            role = layout.edge if program is proxy._edge else layout.router
            program.runtime._options = render_options(layout, role, low.instance, find_binary(), (user, user))
        try:
            proxy._store.prepare()
            served = proxy._restore_files()
            proxy._router._point(served, layout.next, layout.current)
            proxy._edge._write(render_edge(layout, CertificateDoor.at(free_port())))
            for path in [data_dir, *data_dir.rglob("*")]:
                os.chown(path, user, user)
            await proxy._router.runtime.start()
            await runtime.start()
            await wait_until_up(proxy._edge._admin, runtime)
            assert (await Visitor(low.http_port, low.https_port).get("a.example.org")).status_code == 404
            status = Path(f"/proc/{await runtime.pid()}/status").read_text()
            assert f"Uid:\t{user}\t{user}" in status
            assert "CapEff:\t0000000000000400" in status
        finally:
            await proxy.stop()


@pytest.fixture(scope="module", autouse=True)
def image() -> Iterator[None]:
    """The image stays between proxies; this module removes it if it was not there before and is not in use."""
    reference = f"orca-proxy:caddy-{find_binary().version}"
    was_there = bool(docker("images", "--quiet", reference))
    yield
    if not was_there:
        subprocess.run([docker_client(), "rmi", reference], capture_output=True, check=False, timeout=60)


def _free_low_port() -> int:
    for port in range(700, 1000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no low port is free")


async def _until_answered(visitor: Visitor, hostname: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if (await visitor.get(hostname)).status_code == 200:
                return
        await asyncio.sleep(0.1)
    raise AssertionError("it did not come back")
