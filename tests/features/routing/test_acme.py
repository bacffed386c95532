"""The whole way to a public certificate, with a real ACME server: asked only once the name leads here."""

import asyncio
import json
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from tests.conftest import API_TOKEN, claim, client_of, free_port, make_settings, running_app
from tests.features.routing.bench import issue

from orca.features.routing.actions import check_names, watch_expiry
from orca.features.routing.models import Route

HOSTNAME = "shop.example.org"


@dataclass
class Authority:
    """Pebble: an ACME server that validates over HTTP for real, and the DNS it believes."""

    folder: Path
    http_port: int
    https_port: int
    port: int
    management: int

    @property
    def directory(self) -> str:
        return f"https://localhost:{self.port}/dir"

    async def root(self) -> str:
        """What the certificates it issues end at."""
        async with self._client() as http:
            return (await http.get(f"https://localhost:{self.management}/roots/0")).text

    async def wait(self) -> None:
        async with self._client() as http, asyncio.timeout(20):
            while True:
                try:
                    return (await http.get(self.directory)).raise_for_status() and None
                except httpx.TransportError:
                    await asyncio.sleep(0.1)

    def _client(self) -> httpx.AsyncClient:
        context = ssl.create_default_context(cafile=str(self.folder / "root.pem"))
        return httpx.AsyncClient(verify=context, trust_env=False)


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    made = Authority(tmp_path, *(free_port() for _ in range(4)))
    root = issue()
    leaf = issue("localhost", issuer=root)
    (tmp_path / "root.pem").write_text(root.certificate)
    (tmp_path / "leaf.pem").write_text(leaf.certificate)
    (tmp_path / "leaf.key").write_text(leaf.key)
    config = {
        "listenAddress": f"127.0.0.1:{made.port}", "managementListenAddress": f"127.0.0.1:{made.management}",
        "certificate": str(tmp_path / "leaf.pem"), "privateKey": str(tmp_path / "leaf.key"),
        "httpPort": made.http_port, "tlsPort": made.https_port,
    }  # fmt: skip
    (tmp_path / "pebble.json").write_text(json.dumps({"pebble": config}))
    dns = f"127.0.0.1:{free_port()}"
    env = os.environ | {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
    nowhere = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-management", f"127.0.0.1:{free_port()}"]
    names = ["pebble-challtestsrv", "-dns01", dns, "-defaultIPv6", "", *nowhere]
    server = ["pebble", "-config", str(tmp_path / "pebble.json"), "-dnsserver", dns]
    with (tmp_path / "log").open("wb") as log:
        processes = [subprocess.Popen(argv, stdout=log, stderr=log, env=env) for argv in (names, server)]
    yield made
    for process in processes:
        process.kill()
        process.wait(10)


@pytest.fixture
async def live(tmp_path: Path, authority: Authority) -> AsyncIterator[FastAPI]:
    """An application whose proxy listens where the authority looks."""
    settings = make_settings(
        tmp_path / "data",
        acme={"directory_url": authority.directory, "ca_root": tmp_path / "root.pem", "email": "ada@example.org"},
        proxy={
            "mode": "process", "http_port": authority.http_port, "https_port": authority.https_port,
            "bind": ("127.0.0.1",),
        },
    )  # fmt: skip
    async with running_app(settings) as app:
        await claim(app)
        try:
            yield app
        finally:
            await app.state.resources.proxy.stop()


async def serial_of(authority: Authority, root: str) -> str | None:
    """Which certificate the proxy shows for the name; None while it shows none that ends at the root."""
    context = ssl.create_default_context(cadata=root)
    try:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", authority.https_port, ssl=context, server_hostname=HOSTNAME
        )
    except (ssl.SSLError, ConnectionError):
        return None
    shown = writer.get_extra_info("peercert")
    writer.close()
    return str(shown["serialNumber"])


async def test_a_certificate_comes_when_the_name_leads_here_and_not_before(live, authority: Authority) -> None:
    await authority.wait()
    root = await authority.root()

    async def elsewhere(_hostname: str) -> list[str]:
        return ["192.0.2.1"]

    async def here(_hostname: str) -> list[str]:
        return ["127.0.0.1"]

    resources = live.state.resources
    async with client_of(live, Authorization=f"Bearer {API_TOKEN}") as client:
        project = (await client.post("/api/v1/projects", json={"name": "Shop"})).json()
        body = {"name": "Web", "build_source": {"type": "image", "image": "example.org/web"}}
        service = (await client.post(f"/api/v1/projects/{project['id']}/services", json=body)).json()
        route = (await client.post(f"/api/v1/services/{service['id']}/routes", json={"hostname": HOSTNAME})).json()
        await check_names(resources, resolve=elsewhere)
        assert await serial_of(authority, root) is None
        assert "Added order" not in (authority.folder / "log").read_text(), "nobody asked the authority"
        async with resources.db.write() as session:
            (await session.get_one(Route, route["id"])).acme_check_at = None
        await check_names(resources, resolve=here)
        async with asyncio.timeout(60):
            while await serial_of(authority, root) is None:  # noqa: ASYNC110 - the proxy sets no event here
                await asyncio.sleep(0.2)
        assert "Added order" in (authority.folder / "log").read_text()
        (managed,) = (await client.get("/api/v1/certificates")).json()["managed"]
        assert managed["hostname"] == HOSTNAME
        assert "Pebble" in managed["issuer"]
        assert (await client.get(f"/api/v1/routes/{route['id']}")).json()["problem"] == ""
        await watch_expiry(resources)
        events = (await client.get("/api/v1/events")).json()["items"]
        assert "CertificateExpiring" not in {event["type"] for event in events}
