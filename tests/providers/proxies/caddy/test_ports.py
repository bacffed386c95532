"""Who holds a port."""

import os
import re
import socket
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from orca.errors import RequestRefused
from orca.providers.proxies.caddy.layout import usable_addresses
from orca.providers.proxies.caddy.ports import Listener, check_ports, find_holder, listeners

from .conftest import free_port
from .samples import LAYOUT


def listener(address: str, port: int, protocol: str = "tcp") -> Listener:
    return Listener(ip_address(address), port, protocol, 1, "nginx (process 1)")


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
def test_who_stands_in_the_way(ours: list[str], theirs: Listener, *, blocks: bool):
    layout = replace(LAYOUT, addresses=tuple(ip_address(address) for address in ours))
    assert (find_holder(layout, [theirs]) == theirs) is blocks


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_the_process_is_named(protocol: str):
    http, https = free_port(), free_port()
    layout = replace(LAYOUT, addresses=(ip_address("127.0.0.1"),), http_port=http, https_port=https)
    check_ports(layout, ())
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(type=kind) as holder:
        holder.bind(("127.0.0.1", https))
        if protocol == "tcp":
            holder.listen()
        with pytest.raises(RequestRefused, match=rf"Port {https}/{protocol} .*\(process {os.getpid()}\)") as failure:
            check_ports(layout, ())
        offered = re.findall(r"ORC_PROXY_HTTPS_PORT=(\d+), which is free", failure.value.hint)
        assert int(offered[0]) not in {listener.port for listener in listeners()}
        check_ports(layout, {os.getpid()})


def test_connections_are_no_listeners():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert [found.pid for found in listeners() if found.port == port] == [os.getpid()]


def test_addresses_of_this_machine():
    both = (ip_address("127.0.0.1"), ip_address("::1"))
    assert usable_addresses(both)[0] == both[0]
    assert len(usable_addresses(both)) == (2 if socket.has_ipv6 and Path("/proc/net/if_inet6").exists() else 1)
