"""The DNS records of a hostname: where they should lead, and what is said when the DNS has others or none."""

from typing import Any

import pytest
from tests.features.routing.bench import OTHER_SCOPE, SCOPE
from tests.features.routing.operations.test_reach import answers, store

from orca.errors import NotFound
from orca.features.routing.operations import read_records

V4 = "203.0.113.7"


@pytest.fixture
def named(make_resources: Any) -> Any:
    """A machine behind a router, whose public address is set."""
    return make_resources(proxy={"public_addresses": V4})


async def test_records_of_a_name_and_of_its_www(named, service) -> None:
    plain = await store(named, service, hostname="shop.example.org")
    www = await store(named, service, hostname="www.shop.example.org")
    found = await read_records(named, SCOPE, plain.id, resolve=answers("198.51.100.9"))
    assert [(record.kind, record.value, record.state) for record in found.records] == [("A", V4, "elsewhere")]
    assert not found.ok
    found = await read_records(named, SCOPE, www.id, resolve=answers(V4))
    assert [(record.kind, record.value, record.state) for record in found.records] == [
        ("CNAME", "shop.example.org", "right")
    ]
    assert found.ok
    relayed = await read_records(named, SCOPE, plain.id, resolve=answers("104.16.1.1"))
    assert "Cloudflare" in relayed.hint
    with pytest.raises(NotFound):
        await read_records(named, OTHER_SCOPE, plain.id, resolve=answers(V4))


async def test_what_is_not_known_is_said(named, service) -> None:
    async def silent(_hostname: str) -> list[str]:
        raise TimeoutError

    route = await store(named, service, hostname="shop.example.org")
    found = await read_records(named, SCOPE, route.id, resolve=silent)
    assert (found.records[0].state, "did not answer" in found.hint) == ("missing", True)
    local = await store(named, service, hostname="shop.localhost")
    assert (await read_records(named, SCOPE, local.id, resolve=silent)).records == []
