"""A service moves from this machine to a second one, with a Docker and a Caddy of its own."""

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.conftest import API_TOKEN, client_of, copy_claimed, free_port, make_settings, running_app, stop_proxy
from tests.sites import FINISHED, make_tar, page
from tests.systems.second import NamespaceConnector, NamespaceConnectorProvider, SecondMachine, second_machine

from orca.errors import RequestRefused
from orca.providers.proxies.caddy.config import CaddyConfig
from orca.providers.proxies.caddy.provider import CaddyProxyProvider
from orca.sdk.connectors import Connector
from orca.sdk.testing.connectors import ConnectorConformance, EchoAddresses
from orca.systems import System

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def machine() -> Iterator[SecondMachine]:
    folder = Path(tempfile.mkdtemp(prefix="orca-second-"))  # short: a unix socket is in it
    try:
        with second_machine(folder) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def app(tmp_path: Path, claimed_data: Path, machine: SecondMachine) -> AsyncIterator[FastAPI]:
    """An instance with a worker, and a row for the second machine."""
    copy_claimed(claimed_data, tmp_path / "data", None)
    settings = make_settings(tmp_path / "data", worker=True)
    port, there = free_port(), tmp_path / "data" / "proxy-second"
    try:
        async with running_app(settings) as running:
            resources = running.state.resources
            resources.plugins.connectors["namespace"] = NamespaceConnectorProvider
            async with resources.db.write() as session:
                session.add(System(
                    id="second", name="second", connector="namespace",
                    connector_config={"namespace": machine.namespace},
                    engine_config={"host": machine.host, "address_pool": "10.232.0.0/16"},
                    proxy_config={"bind": [machine.address], "http_port": port, "https_port": free_port(),
                                  "data_dir": str(there), "mode": "process"},
                ))  # fmt: skip
            running.state.second_port = port
            yield running
    finally:
        stop_proxy(there)  # not before: a running panel starts its proxy again


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app, Authorization=f"Bearer {API_TOKEN}") as http:
        yield http


async def make_service(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    project = (await client.post("/api/v1/projects", json={"name": "Shop"})).json()
    body = {"name": "web", "type": "static", "build_source": {"type": "directory"}, **fields}
    made = await client.post(f"/api/v1/projects/{project['id']}/services", json=body)
    assert made.status_code == 201, made.text
    return dict(made.json())


async def deploy(client: httpx.AsyncClient, service: dict[str, Any], text: str) -> None:
    path = f"/api/v1/services/{service['id']}"
    upload = await client.post(
        f"{path}/uploads", content=make_tar(page(text)), headers={"Content-Type": "application/x-tar"}
    )
    assert upload.status_code == 201, upload.text
    await finish(client, await client.post(f"{path}/deployments", json={"upload_id": upload.json()["id"]}))


async def finish(client: httpx.AsyncClient, asked: httpx.Response) -> None:
    """Wait until a deployment has succeeded, without a warning."""
    assert asked.status_code == 202, asked.text
    path = f"/api/v1/deployments/{asked.json()['id']}"

    async def read() -> Any:
        return (await client.get(path)).json()

    async with asyncio.timeout(150):
        while (ended := await read())["state"] not in FINISHED:  # noqa: ASYNC110 - it is the worker's
            await asyncio.sleep(0.2)
    log = (await client.get(f"{path}/log")).text
    assert ended["state"] == "succeeded", f"{ended['reason']} {ended['hint']}\n{log[-3000:]}"
    assert not ended["warnings"], ended["warnings"]


async def move(client: httpx.AsyncClient, service: dict[str, Any], system: str) -> httpx.Response:
    return await client.patch(f"/api/v1/services/{service['id']}", json={"system": system})


async def visit(address: str, port: int, hostname: str) -> str:
    async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
        return (await http.get(f"http://{address}:{port}/", headers={"Host": hostname})).text


async def test_service_moved_and_deployed_answers_there_and_leaves_nothing_here(
    app: FastAPI, client: httpx.AsyncClient, machine: SecondMachine
) -> None:
    resources, service = app.state.resources, await make_service(client)
    here, there = resources.settings.proxy.http_port, app.state.second_port
    await deploy(client, service, "first")
    hostname = (await client.get(f"/api/v1/services/{service['id']}/routes")).json()["items"][0]["hostname"]
    assert "first" in await visit("127.0.0.1", here, hostname)
    labels = {"orca.service": service["id"]}
    engine = await resources.systems.containers("local")
    assert len(await engine.inspect(labels)) == 1

    moved = await move(client, service, "second")
    assert (moved.status_code, moved.json()["system"]) == (200, "second")
    assert "first" in await visit("127.0.0.1", here, hostname), "it serves on until it has moved"
    await deploy(client, service, "second")

    assert "second" in await visit(machine.address, there, hostname)
    assert await engine.inspect(labels) == []
    local = await (await resources.systems.proxy("local")).inspect()
    assert [route.hostname for route in local.config.routes] == []
    (listed,) = (await client.get(f"/api/v1/services/{service['id']}/containers")).json()
    assert listed["state"] == "running"
    assert machine.docker("ps", "--quiet", "--filter", f"label=orca.service={service['id']}").strip()

    await finish(client, await client.post(f"/api/v1/services/{service['id']}/restart"))
    assert "second" in await visit(machine.address, there, hostname)
    await finish(client, await client.post(f"/api/v1/services/{service['id']}/stop"))
    assert not machine.docker("ps", "--all", "--quiet", "--filter", f"label=orca.service={service['id']}").strip()


async def test_systems_are_shown_by_their_own_connectors(
    app: FastAPI, client: httpx.AsyncClient, machine: SecondMachine
) -> None:
    async with app.state.resources.db.write() as session:
        session.add(System(
            id="away", name="away", connector="namespace", connector_config={"namespace": machine.namespace},
            engine_config={"host": "unix:///run/orca-no-such.sock"},
        ))  # fmt: skip
    items = {each["id"]: each for each in (await client.get("/api/v1/systems")).json()["items"]}
    second, away = items["second"], items["away"]
    assert (second["state"], second["connector"], second["reason"]) == ("reachable", "namespace", "")
    assert second["engine_version"] == items["local"]["engine_version"] != ""
    assert machine.address in second["addresses"]
    assert machine.address not in items["local"]["addresses"]
    (disk,) = second["disks"]
    assert disk["path"] == machine.docker("info", "--format", "{{.DockerRootDir}}").strip()
    assert disk["total_bytes"] > disk["free_bytes"] > 0
    assert (away["state"], away["engine_version"], machine.address in away["addresses"]) == ("unreachable", "", True)
    assert "orca-no-such" in away["reason"] or "Docker" in away["reason"]


async def test_proxy_looks_for_its_ports_on_its_system(machine: SecondMachine, tmp_path: Path) -> None:
    port, connector = free_port(), NamespaceConnector(machine.namespace)
    config = CaddyConfig(
        data_dir=tmp_path, bind=(machine.address,), http_port=port, https_port=free_port(), mode="process",
        instance="second",
    )  # type: ignore[arg-type]  # fmt: skip
    with socket.socket() as here, connector._make_socket() as there:
        here.bind(("0.0.0.0", port))
        here.listen()
        there.bind((machine.address, port))
        there.listen()
        async with CaddyProxyProvider().open(config, connector) as proxy:
            with pytest.raises(RequestRefused, match=rf"Port {port}/tcp is taken by .*\(process {os.getpid()}\)"):
                await proxy.start()
            there.close()
            try:
                await proxy.start()  # what listens on this machine is not in its way
                assert (await proxy.inspect()).running
            finally:
                stop_proxy(tmp_path)


async def test_move_service_with_volumes_is_refused_with_the_reason(app: FastAPI, client: httpx.AsyncClient) -> None:
    service = await make_service(client, volumes=[{"name": "data", "path": "/data"}])
    refused = await move(client, service, "second")
    assert refused.status_code == 409
    assert "the data of its volumes stays on local" in refused.json()["detail"]
    assert "data" in refused.json()["hint"]


async def test_move_service_unknown_system_or_without_the_permission_is_refused(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    service = await make_service(client)
    unknown = await move(client, service, "nowhere")
    assert (unknown.status_code, "is not known" in unknown.text) == (422, True)
    fields = {"name": "ci", "scopes": ["service.read", "service.update"], "expires_in_days": 1}
    token = await client.post("/api/v1/tokens", json=fields)
    assert token.status_code == 201, token.text
    async with client_of(app, Authorization=f"Bearer {token.json()['token']}") as limited:
        assert (await move(limited, service, "second")).status_code == 403
        assert (await move(limited, service, "local")).status_code == 200


class TestNamespaceConnector(ConnectorConformance):
    """The connector of these tests keeps the contract, too."""

    @pytest.fixture
    async def connector(self, machine: SecondMachine) -> Connector:
        return NamespaceConnector(machine.namespace)

    @pytest.fixture
    async def listener(self, machine: SecondMachine) -> AsyncIterator[EchoAddresses]:
        inside = NamespaceConnector(machine.namespace)._make_socket()
        inside.bind(("127.0.0.1", 0))

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(1024):
                writer.write(data)
            writer.close()

        async with await asyncio.start_server(echo, sock=inside):
            yield EchoAddresses(("127.0.0.1", inside.getsockname()[1]), ("127.0.0.1", 9))
