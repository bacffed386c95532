"""Who holds a port."""

import os
import re
import socket
import time
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from orca.errors import RequestRefused
from orca.providers.connectors.local import LocalConnector
from orca.providers.proxies.caddy.layout import usable_addresses
from orca.providers.proxies.caddy.ports import ListeningSocket, check_ports, choose_port, find_holder, list_listeners
from orca.providers.proxies.caddy.runtime import has_ended
from orca.sdk.connectors import OpenSocket

from .conftest import free_port
from .samples import LAYOUT

HERE = LocalConnector()


def listener(address: str, port: int, protocol: str = "tcp") -> ListeningSocket:
    return ListeningSocket(ip_address(address), port, protocol, 1, "nginx (process 1)")


@pytest.mark.parametrize(
    ("ours", "theirs", "blocks"),
    [
        (["127.0.0.1"], listener("127.0.0.1", 8080), True),
        (["127.0.0.1"], listener("0.0.0.0", 8080), True),
        (["127.0.0.1"], listener("::", 8443), True),
        (["127.0.0.1"], listener("::ffff:127.0.0.1", 8443), True),
        (["127.0.0.1"], listener("127.0.0.1", 8443, "udp"), True),
        (["127.0.0.1"], listener("127.0.0.1", 8080, "udp"), False),
        (["127.0.0.1"], listener("127.0.0.1", 8081), False),
        (["127.0.0.1"], listener("127.0.0.2", 8080), False),
        (["127.0.0.1"], listener("::1", 8080), False),
        (["0.0.0.0"], listener("127.0.0.2", 8080), True),
        (["::"], listener("::1", 8080), True),
        (["::"], listener("127.0.0.1", 8080), False),
        (["0.0.0.0", "::"], listener("fe80::1", 8080), True),
    ],
    ids=str,
)
def test_who_stands_in_the_way(ours: list[str], theirs: ListeningSocket, *, blocks: bool):
    layout = replace(LAYOUT, addresses=tuple(ip_address(address) for address in ours))
    assert (find_holder(layout, [theirs]) == theirs) is blocks


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
async def test_the_process_is_named(protocol: str):
    http, https = free_port(), free_port()
    layout = replace(LAYOUT, addresses=(ip_address("127.0.0.1"),), http_port=http, https_port=https)
    await check_ports(HERE, layout, ())
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(type=kind) as holder:
        holder.bind(("127.0.0.1", https))
        if protocol == "tcp":
            holder.listen()
        with pytest.raises(RequestRefused, match=rf"Port {https}/{protocol} .*\(process {os.getpid()}\)") as failure:
            await check_ports(HERE, layout, ())
        offered = re.findall(r"ORC_PROXY_HTTPS_PORT=(\d+), which is free", failure.value.hint)
        assert int(offered[0]) not in {listener.port for listener in await list_listeners(HERE)}
        await check_ports(HERE, layout, {os.getpid()})


async def test_connections_are_no_listeners():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert [found.pid for found in await list_listeners(HERE) if found.port == port] == [os.getpid()]


class Elsewhere(LocalConnector):
    """A system without IPv6, on which a web server runs and nothing else."""

    async def list_addresses(self) -> list[str]:
        return ["192.0.2.7"]

    async def list_sockets(self, pid: int | None = None) -> list[OpenSocket] | None:
        return [OpenSocket("tcp", "0.0.0.0", 80, is_listening=True, is_connected=False, pid=7, process="nginx")]


async def test_addresses_are_those_of_the_system():
    both = (ip_address("127.0.0.1"), ip_address("::1"))
    assert (await usable_addresses(HERE, both))[0] == both[0]
    here = 2 if socket.has_ipv6 and Path("/proc/net/if_inet6").exists() else 1
    assert len(await usable_addresses(HERE, both)) == here
    assert await usable_addresses(Elsewhere(), both) == both[:1]


async def test_holder_of_a_port_is_looked_for_on_the_system():
    layout = replace(LAYOUT, addresses=(ip_address("0.0.0.0"),), http_port=80, https_port=443)
    with pytest.raises(RequestRefused, match=r"Port 80/tcp is taken by nginx \(process 7\)"):
        await check_ports(Elsewhere(), layout, ())


async def test_choose_port_is_one_on_which_nothing_listens():
    port = await choose_port(HERE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", port))
        free.listen()
        assert port in {each.port for each in await list_listeners(HERE)}


async def test_replaced_program_ends_when_it_has_no_streams_or_after_a_day():
    long_ago, now = time.time() - 3600, time.time()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with socket.create_connection(server.getsockname()):
            assert not await has_ended(HERE, os.getpid(), long_ago)
            assert await has_ended(HERE, os.getpid(), now - 25 * 3600)
    assert not await has_ended(Elsewhere(), 7, now)
    assert await has_ended(Elsewhere(), 7, long_ago)
    assert await has_ended(HERE, 2**22 + 1, long_ago)
