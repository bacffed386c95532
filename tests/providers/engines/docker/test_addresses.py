"""Which ranges and addresses are chosen, by tables."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orca.providers.engines.docker.addresses import (
    automatic_range,
    choose_address,
    choose_subnet,
    gateway,
    parse_routes,
    parse_subnets,
)

POOL = IPv4Network("10.213.0.0/16")
SUBNET = IPv4Network("10.213.4.0/24")


@pytest.mark.parametrize(
    ("taken", "chosen"),
    [
        ([], "10.213.0.0/24"),
        (["10.213.0.0/24"], "10.213.1.0/24"),
        (["10.213.1.0/24"], "10.213.0.0/24"),
        (["10.213.0.128/25", "10.213.1.0/30"], "10.213.2.0/24"),
        (["10.213.0.0/17", "192.168.0.0/16"], "10.213.128.0/24"),
        (["10.213.0.0/16"], None),
        (["10.0.0.0/8"], None),
    ],
)
def test_the_first_free_range_is_chosen(taken, chosen):
    found = choose_subnet(POOL, [IPv4Network(each) for each in taken])
    assert found == (IPv4Network(chosen) if chosen else None)


def test_the_lowest_free_address_is_chosen():
    assert choose_address(SUBNET, []) == IPv4Address("10.213.4.10")
    assert choose_address(SUBNET, [SUBNET[10], SUBNET[12]]) == SUBNET[11]
    assert choose_address(SUBNET, list(SUBNET)) is None
    assert choose_address(SUBNET, [SUBNET[number] for number in range(10, 254)]) == SUBNET[254]
    assert choose_address(IPv4Network("10.213.4.0/29"), []) is None


@given(st.sets(st.integers(0, 255)))
def test_a_chosen_address_is_free_and_never_docker_s_own(numbers):
    address = choose_address(SUBNET, [SUBNET[number] for number in numbers])
    if address is not None:
        assert int(address) - int(SUBNET[0]) not in numbers
        assert address not in automatic_range(SUBNET)
        assert address not in {gateway(SUBNET), SUBNET.broadcast_address}


def test_routes_are_read_without_the_default():
    table = (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
        "tun0\t0005D50A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    )
    assert parse_routes(table) == [IPv4Network("192.168.0.0/16"), IPv4Network("10.213.5.0/24")]


def test_ranges_of_networks_are_read():
    networks = [
        {"IPAM": {"Config": [{"Subnet": "172.17.0.0/16"}, {"Subnet": "fd00::/64"}]}},
        {"IPAM": {"Config": None}},
        {"IPAM": {"Config": [{}]}},
        {},
    ]
    assert parse_subnets(networks) == [IPv4Network("172.17.0.0/16")]
