"""Names at the edges of what the DNS allows get public certificates over HTTP, and are served with them.

The authority asks a real name server here. `pebble-challtestsrv`, its usual stand-in, answers without compression, and
Pebble reads 512 bytes at most: from 187 characters on it finds no address, whatever the ACME client is.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator

import httpx
import pytest
from cryptography import x509
from fastapi import FastAPI
from tests.conftest import API_TOKEN, claim, client_of, running_app
from tests.features.routing.authority import Authority
from tests.features.routing.nameserver import ZONE, NameServer
from tests.features.routing.test_acme import here, settings_for
from tests.providers.proxies.caddy.test_long_names import name_of

from orca.features.routing.operations import check_names
from orca.features.routing.steps.run_orders import run_orders

pytestmark = pytest.mark.slow

EMOJI = f"💩.{ZONE}"
LONG = [name_of(length) for length in (214, 237, 238, 240, 253)]
"""237: the longest whose record of a DNS proof has room. 240: the first that Caddy's own storage cannot keep."""


@pytest.fixture
def believed(name_server: NameServer) -> str:
    name_server.add(ZONE, "*", "A", "127.0.0.1")
    return f"{name_server.address}:53"


@pytest.fixture
async def live(tmp_path, authority: Authority) -> AsyncIterator[FastAPI]:
    await authority.wait()
    async with running_app(settings_for(tmp_path, authority)) as app:
        await claim(app)
        try:
            yield app
        finally:
            await (await app.state.resources.systems.proxy("local")).stop()


async def add_names(client: httpx.AsyncClient, *hostnames: str) -> list[dict[str, str]]:
    project = (await client.post("/api/v1/projects", json={"name": "Shop"})).json()
    body = {"name": "Web", "build_source": {"type": "image", "image": "example.org/web"}}
    service = (await client.post(f"/api/v1/projects/{project['id']}/services", json=body)).json()
    place = f"/api/v1/services/{service['id']}/routes"
    answers = [await client.post(place, json={"hostname": hostname}) for hostname in hostnames]
    assert [answer.status_code for answer in answers] == [201] * len(hostnames)
    return [answer.json() for answer in answers]


async def shown(port: int, root: str, hostname: str, host: str) -> tuple[list[str], int]:
    """The names in the certificate that a visitor gets, who trusts `root` alone, and the status of the answer."""
    context = ssl.create_default_context(cadata=root)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=hostname)
    leaf = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    status = int((await reader.readline()).split()[1])
    writer.close()
    return names.get_values_for_type(x509.DNSName), status


async def test_names_at_the_limits_of_the_dns_are_certified_over_http_and_served(live, authority: Authority) -> None:
    resources, root = live.state.resources, await authority.root()
    async with client_of(live, Authorization=f"Bearer {API_TOKEN}") as client:
        routes = await add_names(client, *LONG, EMOJI, f"dotted.{ZONE}.")
        hostnames = [route["hostname"] for route in routes]
        assert hostnames == [*LONG, f"xn--ls8h.{ZONE}", f"dotted.{ZONE}"]
        await check_names(resources, resolve=here)
        await run_orders(resources)
        after = [(await client.get(f"/api/v1/routes/{route['id']}")).json() for route in routes]
    assert [(route["hostname"], route["problem"]) for route in after] == [(hostname, "") for hostname in hostnames]
    for hostname in hostnames:
        for host in (hostname, f"{hostname}."):
            assert await shown(authority.https_port, root, hostname, host) == ([hostname], 503)
