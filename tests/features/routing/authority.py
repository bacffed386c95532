"""Pebble, a real ACME server, and the DNS that it believes."""

import asyncio
import json
import os
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from tests.conftest import free_port
from tests.features.routing.bench import issue

HOSTNAME = "shop.example.org"


@dataclass
class Authority:
    """Pebble: an ACME server that validates over HTTP for real, and the DNS it believes."""

    folder: Path
    http_port: int
    https_port: int
    port: int
    management: int
    names: int
    servers: list[tuple[list[str], subprocess.Popen[bytes]]] = field(default_factory=list)

    def start(self, *argv: str) -> None:
        env = os.environ | {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "20"}
        with (self.folder / "log").open("ab") as log:
            self.servers.append(([*argv], subprocess.Popen(argv, stdout=log, stderr=log, env=env)))

    def stop(self) -> None:
        for _, process in self.servers:
            process.kill()
            process.wait(10)

    async def forget_everything(self) -> None:
        """Pebble keeps accounts and certificates in memory alone."""
        argv, process = self.servers.pop()
        process.kill()
        process.wait(10)
        self.start(*argv)
        await self.wait()

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

    async def point(self, address: str) -> None:
        """Where the authority finds the name; this machine has its own idea of that."""
        async with self._client() as http:
            for verb in ("clear-a", "add-a"):
                body = {"host": f"{HOSTNAME}.", "addresses": [address]}
                (await http.post(f"http://127.0.0.1:{self.names}/{verb}", json=body)).raise_for_status()

    @property
    def orders(self) -> int:
        return (self.folder / "log").read_text().count("Added order")

    def _client(self) -> httpx.AsyncClient:
        context = ssl.create_default_context(cafile=str(self.folder / "root.pem"))
        return httpx.AsyncClient(verify=context, trust_env=False)


@pytest.fixture
def believed() -> str:
    """The name server that the authority asks; empty for one that sends every name to 127.0.0.1."""
    return ""


@pytest.fixture
def authority(tmp_path: Path, believed: str, request: pytest.FixtureRequest) -> Iterator[Authority]:
    """Its certificates last for `request.param` days, else for years; a dict is told to Pebble as it is."""
    asked = getattr(request, "param", 1825)
    made = Authority(tmp_path, *(free_port() for _ in range(5)))
    root = issue()
    leaf = issue("localhost", issuer=root)
    (tmp_path / "root.pem").write_text(root.certificate)
    (tmp_path / "leaf.pem").write_text(leaf.certificate)
    (tmp_path / "leaf.key").write_text(leaf.key)
    config = {
        "listenAddress": f"127.0.0.1:{made.port}", "managementListenAddress": f"127.0.0.1:{made.management}",
        "certificate": str(tmp_path / "leaf.pem"), "privateKey": str(tmp_path / "leaf.key"),
        "httpPort": made.http_port, "tlsPort": made.https_port,
        "certificateValidityPeriod": (1825 if isinstance(asked, dict) else asked) * 86400,
        **(asked if isinstance(asked, dict) else {}),
    }  # fmt: skip
    (tmp_path / "pebble.json").write_text(json.dumps({"pebble": config}))
    dns = believed or f"127.0.0.1:{free_port()}"
    nowhere = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-management", f"127.0.0.1:{made.names}"]
    if not believed:
        made.start("pebble-challtestsrv", "-dns01", dns, "-defaultIPv6", "", *nowhere)
    made.start("pebble", "-config", str(tmp_path / "pebble.json"), "-dnsserver", dns)
    yield made
    made.stop()
