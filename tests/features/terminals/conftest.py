"""A served application whose containers are in memory, and clients that open terminals in them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from tests.conftest import API_TOKEN
from tests.open_systems import exchange
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from orca.features.access.gate import AccessGate
from orca.sdk.containers import ContainerSpec
from orca.sdk.testing.fake_host import FakeHost
from orca.server.connections import Caps, Connection, Connections

SCREEN = {"type": "open", "command": ["sh"], "tty": True, "columns": 100, "rows": 30}


@dataclass
class Shell:
    """One WebSocket to a terminal, and what came out of it."""

    socket: ClientConnection
    output: bytes = b""

    async def tell(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def type(self, text: str) -> None:
        await self.socket.send(b"\0" + text.encode())

    async def message(self, kind: str) -> dict[str, Any]:
        """The next message of this kind; output on the way to it is kept."""
        async with asyncio.timeout(15):
            while True:
                received = await self.socket.recv()
                if isinstance(received, bytes):
                    self.output += received[1:]
                elif json.loads(received)["type"] == kind:
                    return dict(json.loads(received))

    async def see(self, text: bytes) -> None:
        """Wait until this was shown."""
        async with asyncio.timeout(15):
            while text not in self.output:
                received = await self.socket.recv()
                self.output += received[1:] if isinstance(received, bytes) else b""

    async def is_closed(self) -> bool:
        try:
            async with asyncio.timeout(5):
                while True:
                    await self.socket.recv()
        except ConnectionClosed:
            return True


@dataclass
class Served:
    """The application on a port of its own, with a service of which one replica runs."""

    app: FastAPI
    host: FakeHost
    connections: Connections
    port: int
    service_id: str

    @asynccontextmanager
    async def open(
        self, first: dict[str, Any] = SCREEN, token: str = API_TOKEN, **headers: str
    ) -> AsyncIterator[Shell]:
        address = f"ws://localhost:{self.port}/api/v1/services/{self.service_id}/terminal"
        given = headers or {"Authorization": f"Bearer {token}"}
        async with connect(address, additional_headers=given, proxy=None, close_timeout=1) as socket:
            shell = Shell(socket)
            await shell.tell(**first)
            yield shell

    async def events(self, client: httpx.AsyncClient, kind: str) -> list[dict[str, Any]]:
        found = (await client.get("/api/v1/events", params={"type": kind})).json()["items"]
        return [event["payload"] for event in found]


@pytest.fixture
async def served(app: FastAPI, client: httpx.AsyncClient) -> AsyncIterator[Served]:
    host = FakeHost(["app:1"])
    app.state.resources = exchange(app.state.resources, containers=host)
    app.state.gate = AccessGate(app.state.resources)
    project = (await client.post("/api/v1/projects", json={"name": "Shells"})).json()
    body = {"name": "web", "type": "worker", "build_source": {"type": "image", "image": "app:1"}}
    service = (await client.post(f"/api/v1/projects/{project['id']}/services", json=body)).json()
    labels = {"orca.service": service["id"], "orca.replica": "0"}
    spec = ContainerSpec(name="web-0", image="app:1", network="web", labels=labels, command=("forever",))
    await host.apply(host.plan([], [spec]))
    connections = Connections(Caps(total=20, each_peer=20))
    config = uvicorn.Config(
        app, port=0, lifespan="off", log_config=None, ws="websockets-sansio", ws_max_size=64 << 10,
        http=partial(Connection, connections=connections), ws_per_message_deflate=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has a flag, not an event
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Served(app, host, connections, port, service["id"])
    server.should_exit = True
    await serving
