"""A path prefix holds for every spelling in which a service would take the path for its own."""

import asyncio
import base64

import bcrypt
import pytest

from orca.providers.proxies.caddy import CaddyProxy
from orca.sdk.proxies import BasicAuthUser, ProxyConfig, ProxyRoute
from orca.sdk.testing.proxy_traffic import Visitor
from orca.sdk.testing.upstream import echo_upstreams

pytestmark = pytest.mark.slow
GUARDED = [
    "/admin", "/admin/", "/admin/x", "/admin;x", "/admin;x/y", "/admin;", "//admin", "/./admin", "/%61dmin", "/ADMIN", "/x/../admin",
    "/admin%2fx", "/admin?x", "/admin/..;/x", "/%2e/admin", "/admin%3bx", "///admin//x",
]  # fmt: skip
OPEN = ["/", "/administrator", "/x/admin", "/admi"]


async def ask(visitor: Visitor, path: str) -> int:
    """Byte by byte: a client would tidy the path up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", visitor.http_port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a.example.org\r\nConnection: close\r\n\r\n".encode())
    line = await reader.readline()
    writer.close()
    return int(line.split()[1])


@pytest.mark.parametrize(
    ("prefix", "guarded", "unguarded"),
    [
        ("/admin", GUARDED, OPEN),
        (
            "/a/admin",
            ["/a/admin", "/a/admin/x", "/a;x/admin", "/A;x/admin;y/z", "/a/admin;x"],
            ["/a", "/a/administrator"],
        ),
    ],
)
async def test_no_spelling_of_a_path_passes_by_its_password(
    running: CaddyProxy, visitor: Visitor, prefix: str, guarded: list[str], unguarded: list[str]
) -> None:
    password = bcrypt.hashpw(base64.b64encode(b"secret"), bcrypt.gensalt(4)).decode()
    users = (BasicAuthUser("ada", password),)
    async with echo_upstreams("all") as (upstream,):
        common = {"hostname": "a.example.org", "upstreams": (upstream.at,)}
        route = ProxyRoute("guarded", path_prefix=prefix, basic_auth=users, **common)
        await running.apply(ProxyConfig(routes=(ProxyRoute("open", **common), route)))
        assert {path: await ask(visitor, path) for path in guarded} == dict.fromkeys(guarded, 401)
        assert {path: await ask(visitor, path) for path in unguarded} == dict.fromkeys(unguarded, 200)
