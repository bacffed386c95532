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
    "/admin", "/admin/", "/admin/x", "/admin;x", "/admin;x/y", "/admin;", "//admin", "/./admin", "/%61dmin", "/ADMIN",
    "/admin%2fx", "/admin?x", "/%2e/admin", "/admin%3bx", "///admin//x",
]  # fmt: skip
UNCLEAR = [
    "/x/../admin", "/admin/..;/x", "/;x/admin", "/;/admin", "/x/..;/admin", "/.;/admin", "/x;y/..;z/admin", "/admin/..", "/admin/../x",
    "/admin/x/..%2f..%2fy", "/admin/%2e%2e/x", "/x/..%3b/admin", "/x/%2e%2e;/admin", "/%3bx/admin", "/x%5c..%5cadmin", "/%5cadmin", "/..", "/admin%0a", "/admin%00", "/admin%0d%0ax", "/x/.%00./admin",
]  # fmt: skip
OPEN = [
    "/",
    "/administrator",
    "/x/admin",
    "/admi",
    "/;jsessionid=1",
    "/a..b/c",
    "/x;y/z",
    "/.well-known/x",
    "/a;..",
    "/x?/../admin",
]


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
        assert {path: await ask(visitor, path) for path in UNCLEAR} == dict.fromkeys(UNCLEAR, 400)


async def test_a_host_without_path_rules_takes_any_path(running: CaddyProxy, visitor: Visitor) -> None:
    async with echo_upstreams("all") as (upstream,):
        await running.apply(ProxyConfig(routes=(ProxyRoute("open", "a.example.org", upstreams=(upstream.at,)),)))
        assert {path: await ask(visitor, path) for path in UNCLEAR} == dict.fromkeys(UNCLEAR, 200)
