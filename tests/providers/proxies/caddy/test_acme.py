"""Certificates from a real ACME server (pebble), which really comes to port 80 to look."""

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.conftest import until

from orca.providers.proxies.caddy import CaddyConfig, CaddyProxy
from orca.sdk.proxies import AcmeAccount, CertificateState, ProxyConfig, ProxyRoute, SupportsCertificateFailures
from orca.sdk.testing.certificates import make_certificate
from orca.sdk.testing.proxy_traffic import Visitor
from orca.sdk.testing.upstream import EchoUpstream

from .conftest import free_port

pytestmark = pytest.mark.slow


@dataclass
class Pebble:
    """An ACME server, and a DNS server that sends every name to 127.0.0.1."""

    account: AcmeAccount
    log: Path
    management: str
    dns_management: str

    @property
    def orders(self) -> int:
        return self.log.read_text().count("Added order")

    async def root(self) -> str:
        """What signs its certificates; another one at each start."""
        async with httpx.AsyncClient(verify=False) as http:
            return (await http.get(f"{self.management}/roots/0")).text

    async def point(self, hostname: str, address: str) -> None:
        async with httpx.AsyncClient() as http:
            body = {"host": f"{hostname}.", "addresses": [address]}
            for verb in ("clear-a", "add-a"):
                (await http.post(f"{self.dns_management}/{verb}", json=body)).raise_for_status()


@asynccontextmanager
async def running_program(*argv: str, log: Path, **env: str) -> AsyncIterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=output, env={"PATH": os.environ["PATH"], **env})
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
async def pebble(config: CaddyConfig, tmp_path: Path) -> AsyncIterator[Pebble]:
    acme, management, dns, dns_management = (free_port() for _ in range(4))
    certificate, key = make_certificate("localhost")
    (tmp_path / "certificate.pem").write_text(certificate)
    (tmp_path / "key.pem").write_text(key)
    settings = {
        "listenAddress": f"127.0.0.1:{acme}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(tmp_path / "certificate.pem"),
        "privateKey": str(tmp_path / "key.pem"),
        "httpPort": config.http_port,
        "tlsPort": config.https_port,
    }
    (tmp_path / "pebble.json").write_text(json.dumps({"pebble": settings}))
    resolver = (
        *("pebble-challtestsrv", "-dns01", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{dns_management}"),
        *("-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""),
    )
    server = ("pebble", "-config", str(tmp_path / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns}")
    quick = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
    log = tmp_path / "pebble.log"
    async with running_program(*resolver, log=tmp_path / "dns.log"), running_program(*server, log=log, **quick):
        for port in (acme, management, dns_management):
            until(lambda port=port: is_listening(port), seconds=20, what="pebble listens")
        account = AcmeAccount(f"https://localhost:{acme}/dir", "ops@example.org", certificate)
        yield Pebble(account, log, f"https://localhost:{management}", f"http://127.0.0.1:{dns_management}")


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


async def until_issued(proxy: CaddyProxy, *hostnames: str) -> list[CertificateState]:
    for _ in range(300):
        found = await proxy.certificates()
        if {state.hostname for state in found} >= set(hostnames):
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"no certificate; {await proxy.certificate_failures()}")


async def test_a_certificate_is_ordered_shown_and_kept(
    config: CaddyConfig, running: CaddyProxy, pebble: Pebble, visitor: Visitor
):
    """HTTP-01 for real. Restarts and changes order nothing again (row 40: certificates are kept)."""
    async with EchoUpstream() as upstream:
        site = ProxyRoute("a", "a.example.org", upstreams=(upstream.at,), tls="acme")
        await running.apply(ProxyConfig((site,), acme=pebble.account))
        (state,) = await until_issued(running, "a.example.org")
        assert "Pebble" in state.issuer
        answer = await visitor.get_securely("a.example.org", root=await pebble.root())
        assert answer.status_code == 200
        assert (await visitor.get("a.example.org")).status_code == 308
        assert await running.certificate_failures() == []
        await running.stop()
        await running.start()
        await running.apply(ProxyConfig((site, ProxyRoute("b", "b.example.org")), acme=pebble.account))
        assert (await visitor.get_securely("a.example.org", root=await pebble.root())).status_code == 200
        assert pebble.orders == 1
        assert (await running.inspect()).config.acme == pebble.account


async def test_a_failure_is_explained_and_harms_no_other(running: CaddyProxy, pebble: Pebble, visitor: Visitor):
    """DNS points elsewhere: the reason is what the ACME server saw; the others get theirs, and all goes on serving."""
    await pebble.point("lost.example.org", "127.0.0.9")
    async with EchoUpstream() as upstream:
        routes = [
            ProxyRoute(name, f"{name}.example.org", upstreams=(upstream.at,), tls="acme") for name in ("ok", "lost")
        ]
        plain = ProxyRoute("plain", "plain.example.org", upstreams=(upstream.at,))
        await running.apply(ProxyConfig((*routes, plain), acme=pebble.account))
        await until_issued(running, "ok.example.org")
        assert isinstance(running, SupportsCertificateFailures)
        failures = []
        for _ in range(200):
            failures = await running.certificate_failures()
            if failures:
                break
            await asyncio.sleep(0.1)
        (failure,) = failures
        assert (failure.hostname, failure.attempts) == ("lost.example.org", 1)
        assert "127.0.0.9" in failure.reason
        assert "connection refused" in failure.reason
        assert failure.at.endswith("+00:00")
        assert (await visitor.get("plain.example.org")).status_code == 200
        await pebble.point("lost.example.org", "127.0.0.1")
        await running.apply(ProxyConfig((*routes, plain, ProxyRoute("x", "x.example.org")), acme=pebble.account))
        await until_issued(running, "lost.example.org")
        assert await running.certificate_failures() == []


async def test_an_unreachable_authority_stops_nothing(running: CaddyProxy, visitor: Visitor):
    """The change is served at once; only the certificate is missing, and the reason is known."""
    account = AcmeAccount(f"https://127.0.0.1:{free_port()}/dir")
    async with EchoUpstream() as upstream:
        routes = (
            ProxyRoute("a", "a.example.org", upstreams=(upstream.at,), tls="acme", https_redirect=False),
            ProxyRoute("b", "b.example.org", upstreams=(upstream.at,), tls="internal"),
        )
        await running.apply(ProxyConfig(routes, acme=account))
        assert (await visitor.get("a.example.org")).status_code == 200
        root = await running.internal_ca()
        assert root is not None
        assert (await visitor.get_securely("b.example.org", root=root)).status_code == 200
        for _ in range(200):
            if failures := await running.certificate_failures():
                break
            await asyncio.sleep(0.1)
        assert "connection refused" in failures[0].reason
        assert [state.hostname for state in await running.certificates()] == ["b.example.org"]
