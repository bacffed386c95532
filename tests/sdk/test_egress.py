"""The policy for what goes out, in every notation of an address."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from ipaddress import ip_address

import httpx
import pytest

from orca.sdk.egress import (
    AddressNotAllowed,
    PinnedTransport,
    check_registry,
    is_allowed,
    is_allowed_name,
    read_address,
)
from orca.sdk.registries import explain_refusal

NEVER = [
    "169.254.169.254", "::ffff:169.254.169.254", "::169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1",
    "fe80::1", "fe80::1%eth0", "100.100.100.200", "fd00:ec2::254", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "64:ff9b:1:a9fe:a9:fe00:808:808", "64:ff9b:1:7f00:0:100:808:808", "::ffff:0:169.254.169.254", "::ffff:0:127.0.0.1", "5f00::1",
    "0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "169.254.43518", "168.63.129.16",
]  # fmt: skip
HERE = [
    "127.0.0.1",
    "::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "127.1",
    "0x7f000001",
    "0177.0.0.1",
    "2130706433",
    "[::1]",
]
PRIVATE = [
    "10.1.2.3",
    "192.168.0.1",
    "172.16.0.1",
    "100.64.0.1",
    "fd12::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "2002:c0a8:1::",
    "fec0::1",
]
WORLD = ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1"]


@pytest.mark.parametrize("text", NEVER + HERE + PRIVATE + WORLD)
def test_addresses_are_judged_by_what_they_lead_to(text: str) -> None:
    address = read_address(text)
    assert address is not None
    assert is_allowed(address, private=True, loopback=True) is (text not in NEVER)
    assert is_allowed(address, private=True, loopback=False) is (text in PRIVATE + WORLD)
    assert is_allowed(address, private=False, loopback=False) is (text in WORLD)


def test_names_are_no_addresses_and_some_lead_to_the_machine_itself() -> None:
    assert [read_address(name) for name in ("example.org", "face.cafe", "", "a" * 300, "1.2.3.4.5")] == [None] * 5
    assert read_address("1.1.1.1") == ip_address("1.1.1.1")
    assert [
        is_allowed_name(name, loopback=False)
        for name in ("a.LOCALHOST.", "host.docker.internal", "metadata.google.internal")
    ] == [False] * 3
    assert is_allowed_name("localhost", loopback=True)
    assert not is_allowed_name("metadata.google.internal", loopback=True)


@contextlib.asynccontextmanager
async def answering(head: str) -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            if await reader.readexactly(1) == b"G":  # and no TLS
                await reader.readuntil(b"\r\n\r\n")
                writer.write(f"HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_redirects_are_looked_at_like_the_first_address() -> None:
    async with answering("302 Found\r\nLocation: http://169.254.169.254/latest") as place:
        transport = PinnedTransport(lambda address: is_allowed(address, private=True, loopback=True))
        async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
            with pytest.raises(AddressNotAllowed, match=r"169\.254\.169\.254"):
                await client.get(f"http://localhost:{place.rpartition(':')[2]}/x")


@pytest.mark.parametrize(
    ("realm", "allowed"),
    [
        ("http://169.254.169.254/token", False),
        ("http://[fe80::1]/token", False),
        ("http://127.0.0.1:1/token", True),
        ("https://8.8.8.8/token", True),
    ],
)
async def test_where_a_registry_sends_for_a_token_is_looked_at(realm: str, allowed: bool) -> None:
    async with answering(f'401 No\r\nWWW-Authenticate: Bearer realm="{realm}",service="x"') as place:
        if allowed:
            await check_registry(place, private=True)
        else:
            with pytest.raises(AddressNotAllowed):
                await check_registry(place, private=True)
        with pytest.raises(AddressNotAllowed, match=r"127\.0\.0\.1"):
            await check_registry(place, private=False)
    await check_registry(place, private=True)  # nothing answers: the engine will say


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("error parsing HTTP 403 response body: invalid character '<': \"<html>canary</html>\"", "status 403"),
        ("Get https://x/v2/: dial tcp: lookup x: no such host", "cannot be resolved"),
        ("unauthorized: canary", "does not let us in"),
        ("manifest unknown: canary", "has no such image"),
        ("canary", "log says why"),
    ],
)
def test_answers_of_registries_are_told_in_our_own_words(said: str, reason: str) -> None:
    assert reason in explain_refusal(said)
    assert "canary" not in explain_refusal(said)
