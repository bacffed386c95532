"""Proofs by DNS, at a real name server and a real authority that asks it."""

import asyncio
import gzip
import json
import socket
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy import select, update
from tests.features.routing.authority import Authority
from tests.features.routing.bench import OTHER_SCOPE, SCOPE, TEAM, ScriptedProxy
from tests.features.routing.nameserver import DELEGATED, ZONE, NameServer
from tests.providers.proxies.caddy.test_long_names import name_of

from orca.db import now
from orca.errors import BadInput, Conflict, OrcaError, RateLimited
from orca.events import Event
from orca.features.routing.actions import (
    create_dns_credential,
    create_route,
    delete_dns_credential,
    update_dns_credential,
)
from orca.features.routing.actions.dns_credentials import DNS_CREDENTIAL
from orca.features.routing.models import DnsCredential, DnsRecord, Route
from orca.features.routing.operations import apply_routes, check_names
from orca.features.routing.queries import credential_for
from orca.features.routing.rules.dns_providers import PROVIDERS, RFC2136
from orca.features.routing.rules.orders import OrderFailed
from orca.features.routing.schemas.dns import DnsCredentialChanges, DnsCredentialIn
from orca.features.routing.schemas.routes import RouteIn
from orca.features.routing.steps import dns_records
from orca.features.routing.steps.dns_records import Prover, check_zones, run_task, sweep_records
from orca.features.routing.steps.run_orders import run_orders
from orca.features.secrets.actions import put_secret
from orca.features.secrets.errors import SecretUnreadable
from orca.kit.ids import new_id
from orca.resources import Resources
from orca.web.guard import Scope

slow = pytest.mark.slow


@pytest.fixture
def database_url() -> None:
    """SQLite; what is asked of the database here is asked of PostgreSQL by the tests of orders."""


@pytest.fixture
def believed(name_server: NameServer) -> str:
    return f"{name_server.address}:53"


@pytest.fixture
def ordering(make_resources: Callable[..., Resources], name_server: NameServer, tmp_path) -> Resources:
    return make(make_resources, name_server, directory_url="https://localhost:1/dir", ca_root=tmp_path / "root.pem")


def make(make_resources: Callable[..., Resources], server: NameServer, **acme: object) -> Resources:
    acme |= {"dns_resolvers": server.address, "dns_loopback": True}
    return make_resources(acme=acme)


@pytest.fixture
async def at_authority(ordering: Resources, authority: Authority) -> Resources:
    await authority.wait()
    object.__setattr__(ordering.settings.acme, "directory_url", authority.directory)
    return ordering


async def store(
    resources: Resources, provider: str, fields: dict[str, str], *zones: str, scope: Scope = SCOPE
) -> DnsCredential:
    name = f"{provider} for {zones[0] if zones else ZONE}"
    given = DnsCredentialIn(name=name, provider=provider, zones=list(zones or (ZONE,)), fields=fields)
    async with resources.db.write() as session:
        return await create_dns_credential(session, resources.secret_box, scope, given)


async def add(resources: Resources, service, *hostnames: str) -> None:
    async with resources.db.write() as session:
        for hostname in hostnames:
            await create_route(session, resources.settings, service, RouteIn(hostname=hostname), {})
    await apply_routes(resources)


async def read(resources: Resources, row: type) -> list:
    async with resources.db.read() as session:
        return list((await session.scalars(select(row))).all())


@slow
@pytest.mark.parametrize("provider", ["powerdns", "rfc2136"])
async def test_a_wildcard_and_its_base_are_proven_by_the_dns(
    at_authority: Resources,
    proxy: ScriptedProxy,
    service,
    name_server: NameServer,
    provider: str,
) -> None:
    await store(at_authority, provider, getattr(name_server, provider), ZONE, DELEGATED)
    name_server.add(ZONE, "_acme-challenge.away", "CNAME", f"away.{DELEGATED}.")
    name_server.add(ZONE, "_acme-challenge.lost", "CNAME", "x.nowhere.example.")
    await add(at_authority, service, f"*.{ZONE}", ZONE, f"away.{ZONE}", f"lost.{ZONE}")

    async def no_address(_: str) -> list[str]:
        raise AssertionError("where the name leads does not matter")

    await check_names(at_authority, resolve=no_address)
    await run_orders(at_authority)
    routes = {route.hostname: route for route in await read(at_authority, Route)}
    lost = routes.pop(f"lost.{ZONE}")
    assert "the proof could not be shown in the DNS" in lost.problem
    assert (lost.order_failures, lost.acme_check_at > now()) == (1, True)
    assert {name: (route.problem, route.order_failures) for name, route in routes.items()} == dict.fromkeys(
        routes, ("", 0)
    )
    assert {each.tls for each in proxy.served.routes if each.hostname in routes} == {"custom"}
    leaves = [x509.load_pem_x509_certificates(each.certificate.encode())[0] for each in proxy.served.certificates]
    names = [leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value for leaf in leaves]
    assert sorted(name.get_values_for_type(x509.DNSName)[0] for name in names) == sorted(routes)
    assert await read(at_authority, DnsRecord) == []
    assert name_server.texts(f"_acme-challenge.{ZONE}") == name_server.texts(f"away.{DELEGATED}") == []


@slow
async def test_credentials_that_cover_one_record_prove_in_turn(
    at_authority: Resources, service, foreign, name_server: NameServer
) -> None:
    """Two of one team and one of another, whose aliases lead to one record; two ways to change it."""
    shared = f"shared.{DELEGATED}"
    names = [f"a.{ZONE}", f"b.deep.{ZONE}", f"c.other.{ZONE}"]
    for name in names:
        name_server.add(ZONE, f"_acme-challenge.{name.removesuffix(f'.{ZONE}')}", "CNAME", f"{shared}.")
    await store(at_authority, "powerdns", name_server.powerdns, ZONE, DELEGATED)
    await store(at_authority, "rfc2136", name_server.rfc2136, f"deep.{ZONE}", shared)
    await store(at_authority, "powerdns", name_server.powerdns, ZONE, DELEGATED, scope=OTHER_SCOPE)
    await add(at_authority, service, *names[:2])
    await add(at_authority, foreign, names[2])
    await check_names(at_authority)
    running = asyncio.create_task(run_orders(at_authority))
    seen = set[str]()
    while not running.done():
        stand = await asyncio.to_thread(name_server.texts, shared)
        assert len(stand) <= 1, "one removed the other's, or would have"
        seen |= set(stand)
        await asyncio.sleep(0.05)
    await running
    assert [(route.problem, route.order_failures) for route in await read(at_authority, Route)] == [("", 0)] * 3
    assert (len(seen), name_server.texts(shared), await read(at_authority, DnsRecord)) == (3, [], [])


@slow
async def test_what_is_left_over_is_not_removed_while_a_new_proof_stands_there(
    ordering: Resources, name_server: NameServer
) -> None:
    credential = await store(ordering, "powerdns", name_server.powerdns)
    name = f"_acme-challenge.{ZONE}"
    left = {"credential_id": credential.id, "zone": ZONE, "name": name, "value": "left over"}
    name_server.add(ZONE, "_acme-challenge", "TXT", '"left over"')
    async with ordering.db.write() as session:
        session.add(DnsRecord(id=new_id(), created_at=now() - timedelta(hours=1), **left))
    prover = Prover(ordering, credential)
    await prover.show(name, "proof")
    await sweep_records(ordering)
    assert name_server.texts(name) == ["left over", "proof"]
    await prover.drop()
    assert name_server.texts(name) == ["left over"]
    await sweep_records(ordering)
    assert (name_server.texts(name), await read(ordering, DnsRecord)) == ([], [])


async def failure_of(resources: Resources, credential: DnsCredential, **asked: str) -> tuple[str, str]:
    answer = await run_task(resources, credential, "check", **{"record": f"x.{ZONE}", "zone": ZONE} | asked)
    return answer.get("kind", ""), answer.get("message", "")


async def test_what_goes_wrong_at_a_provider_is_told_by_its_kind_and_without_secrets(
    ordering: Resources,
    make_resources: Callable[..., Resources],
    name_server: NameServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    canary = "CANARY-4711"
    good = await store(ordering, "powerdns", name_server.powerdns)
    assert [finding.ok for finding in await check_zones(ordering, SCOPE, good.id)] == [True]
    bad = await store(ordering, "rfc2136", name_server.rfc2136 | {"secret": "bm90IHRoZSBrZXk="}, "b.org")
    cases = [
        (good, {"zone": f"deep.{ZONE}"}, "refused", "PowerDNS answered 4"),
        (good, {"zone": "other.org"}, "unreachable", "the DNS gave no usable answer"),
        (bad, {}, "rejected", "TSIG"),
    ]
    for credential, asked, kind, words in cases:
        told = await failure_of(ordering, credential, **asked)
        assert (told[0], words in told[1]) == (kind, True), told
    async with ordering.db.write() as session:
        changes = DnsCredentialChanges(fields={"token": canary})
        good = await update_dns_credential(session, ordering.secret_box, SCOPE, good.id, changes)
    kind, message = await failure_of(ordering, good)
    assert (kind, message) == ("rejected", "PowerDNS does not take the credential for this zone")
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        fields = DnsCredentialChanges(fields={"url": f"http://127.0.0.1:{silent.getsockname()[1]}", "token": canary})
        async with ordering.db.write() as session:
            good = await update_dns_credential(session, ordering.secret_box, SCOPE, good.id, fields)
        monkeypatch.setitem(dns_records.DEADLINES, "check", 3)
        kind, message = await failure_of(ordering, good)
        monkeypatch.undo()
        assert (kind, "within 3 s" in message) == ("unreachable", True), message
        inside = make_resources(acme={"dns_resolvers": name_server.address, "dns_private_networks": True})
        object.__setattr__(inside, "secret_box", ordering.secret_box)
        kind, message = await failure_of(inside, good)
        assert (kind, "ORC_ACME_DNS_LOOPBACK" in message) == ("refused", True), message
    (finding,) = await check_zones(ordering, SCOPE, bad.id)
    assert (finding.ok, "b.org" in finding.detail) == (False, True)
    events = json.dumps([event.payload for event in await read(ordering, Event)])
    assert canary not in events


async def test_a_key_goes_nowhere_but_to_the_address_that_was_given(ordering: Resources) -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readline()).split()[1])
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        credential = await store(ordering, "powerdns", {"url": url, "token": "t"})
        assert await failure_of(ordering, credential) == ("refused", "PowerDNS answered 302")
        assert asked == [f"/api/v1/servers/localhost/zones/{ZONE}.".encode()]
        async with ordering.db.write() as session:  # stored when the rules were looser
            fields = json.dumps({"url": url, "token": "t", "server_id": "../../../x?a="})
            given = {"team_id": TEAM, "owner": (DNS_CREDENTIAL, credential.id), "name": "fields", "value": fields}
            await put_secret(session, ordering.secret_box, **given)
        kind, message = await failure_of(ordering, credential)
        assert (kind, "server_id" in message, len(asked)) == ("rejected", True, 1)


async def test_aliases_lead_only_to_plain_names_in_zones_of_the_credential(
    ordering: Resources, name_server: NameServer
) -> None:
    credential = await store(ordering, "powerdns", name_server.powerdns)
    binary = "\\001" * 60
    cases = {
        "away": (f"away.{DELEGATED}.", "in no zone of this DNS credential"),
        "bytes": (f"{binary}.{binary}.example.com.", "no record of a proof can have"),
        "path": ("a/b.example.com.", "no record of a proof can have"),
    }
    for name, (target, words) in cases.items():
        name_server.add(ZONE, f"_acme-challenge.{name}", "CNAME", target)
        with pytest.raises(OrderFailed, match=words):
            await Prover(ordering, credential).show(f"_acme-challenge.{name}.{ZONE}", "proof")
    unknown = DnsCredential(id=new_id(), team_id=TEAM, name="gone", provider="powerdns", zones=[ZONE])
    with pytest.raises(OrderFailed, match="still there"):
        await Prover(ordering, unknown).show(f"_acme-challenge.{ZONE}", "proof")
    assert await read(ordering, DnsRecord) == []


async def test_a_provider_cannot_fill_memory_and_a_team_tries_one_credential_at_a_time(ordering: Resources) -> None:
    bomb = gzip.compress(bytes(400_000_000), compresslevel=1)
    is_asked = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        is_asked.set()
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
        writer.write(head.encode() + bomb)
        with suppress(ConnectionError):
            await writer.drain()
            await reader.read()  # until the client hangs up
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        fields = {"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "token": "t"}
        credential = await store(ordering, "powerdns", fields)
        first = asyncio.create_task(check_zones(ordering, SCOPE, credential.id))
        await is_asked.wait()
        with pytest.raises(RateLimited):
            await check_zones(ordering, SCOPE, credential.id)
        (finding,) = await first
    assert (finding.ok, "answered more than is read" in finding.detail) == (False, True), finding
    assert not ordering.dns_checks


async def test_a_record_is_known_before_it_is_made_and_goes_after_a_crash(
    ordering: Resources,
    name_server: NameServer,
) -> None:
    credential = await store(ordering, "powerdns", name_server.powerdns)
    name = f"_acme-challenge.{ZONE}"
    name_server.add(ZONE, "_acme-challenge", "TXT", '"of somebody else"')
    showing = asyncio.create_task(Prover(ordering, credential).show(name, "proof"))
    while not (rows := await read(ordering, DnsRecord)):
        assert name_server.texts(name) == ["of somebody else"]
        await asyncio.sleep(0.05)
    while "proof" not in name_server.texts(name):  # noqa: ASYNC110 - another program's record sets no event here
        await asyncio.sleep(0.05)
    showing.cancel()  # as if Orca had been killed: nothing cleans up
    await asyncio.wait([showing])
    await sweep_records(ordering)
    assert len(await read(ordering, DnsRecord)) == 1, "an order may still need it"
    async with ordering.db.write() as session:
        with pytest.raises(Conflict, match=f"still stand at {name}"):
            await delete_dns_credential(session, SCOPE, credential.id)
        await session.rollback()
    async with ordering.db.write() as session:
        await session.execute(update(DnsRecord).values(created_at=now() - timedelta(hours=1)))
    await sweep_records(ordering)
    assert await read(ordering, DnsRecord) == []
    assert name_server.texts(name) == ["of somebody else"]
    assert rows[0].value == "proof"
    async with ordering.db.write() as session:
        await delete_dns_credential(session, SCOPE, credential.id)
    assert await read(ordering, DnsCredential) == []


async def test_left_records_are_given_up_by_tries_and_none_stops_the_others(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await store(resources, "cloudflare", CLOUDFLARE, "a.org")
    two = await store(resources, "gandi", CLOUDFLARE, "b.org")
    asked: list[str] = []

    async def remove(_resources: Resources, credential: DnsCredential, row: DnsRecord) -> None:
        asked.append(row.name)
        raise OrderFailed("unproven", "no") if credential.id == one.id else SecretUnreadable("no")

    def left(credential: DnsCredential, name: str, tries: int) -> DnsRecord:
        old = now() - timedelta(days=9)
        return DnsRecord(
            id=new_id(), credential_id=credential.id, zone="z", name=name, value="v", created_at=old, tries=tries
        )

    async with resources.db.write() as session:
        await session.execute(update(DnsCredential).where(DnsCredential.id == two.id).values(team_id="other"))
        session.add_all(left(one, f"a{number}", number) for number in range(30))
        session.add_all([left(two, "last", dns_records.MOST_TRIES - 1), left(two, "first", 0)])
    monkeypatch.setattr(dns_records, "remove_record", remove)
    await sweep_records(resources)
    assert sorted(asked) == sorted([f"a{number}" for number in range(20)] + ["first", "last"])
    tries = {row.name: row.tries for row in await read(resources, DnsRecord)}
    assert (tries["a0"], tries["a19"], tries["a20"], tries["first"]) == (1, 20, 20, 1)
    assert "last" not in tries


CLOUDFLARE = {"token": "t"}


@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize(
    ("provider", "other", "waits"),
    [
        ("cloudflare", {"zone": "d.org", "record": "a.d.org"}, True),
        ("cloudflare", {"zone": "d.org", "record": "b.d.org"}, False),
        ("duckdns", {"zone": "d.org", "record": "b.d.org"}, True),
        ("duckdns", {"zone": "e.org", "record": "b.e.org"}, False),
    ],
)
async def test_proofs_that_the_dns_cannot_keep_apart_stand_in_turn(
    resources: Resources,
    monkeypatch: pytest.MonkeyPatch,
    provider: str,
    other: dict[str, str],
    waits: bool,
    foreign: bool,
) -> None:
    """Also with two credentials, of one team or of two."""
    places = {"a": {"zone": "d.org", "record": "A.d.org"}, "b": other}
    standing: list[str] = []

    async def answer(_resources: object, _credential: object, task: str, **asked: str) -> dict[str, str]:
        if task == "create":
            standing.append(asked["value"])
        if task == "delete":
            standing.remove(asked["value"])
        return places[asked["record"]] if task == "find" else {}

    monkeypatch.setattr(dns_records, "run_task", answer)
    one = await store(resources, provider, CLOUDFLARE, "d.org", "e.org")
    two = await store(
        resources, provider, CLOUDFLARE, "a.d.org", "b.d.org", "b.e.org", scope=OTHER_SCOPE if foreign else SCOPE
    )
    first, second = (Prover(resources, credential) for credential in (one, two))
    await first.show("a", "of a")
    showing = asyncio.create_task(second.show("b", "of b"))
    await asyncio.wait([showing], timeout=0.3)
    assert standing == (["of a"] if waits else ["of a", "of b"])
    await first.drop()
    await showing
    assert standing == ["of b"]
    monkeypatch.setattr(dns_records, "_TURN_SECONDS", 0.1)
    with pytest.raises(OrderFailed, match="proofs of other names stood"):
        await Prover(resources, one).show("b", "of c")
    await second.drop()
    assert await read(resources, DnsRecord) == []


async def test_a_wildcard_needs_a_credential_for_its_zone_as_long_as_it_is_certified(
    resources: Resources, proxy: ScriptedProxy, service, foreign
) -> None:
    wanted = RouteIn(hostname=f"*.shop.{ZONE}", tls="acme")
    async with resources.db.write() as session:
        with pytest.raises(BadInput, match="orc dns add"):
            await create_route(session, resources.settings, service, wanted, {})
        await session.rollback()
    row = await store(resources, "cloudflare", CLOUDFLARE)
    await add(resources, service, f"*.shop.{ZONE}")
    (route,) = await read(resources, Route)
    assert route.tls == "acme", "the default of a wildcard that can be certified"
    async with resources.db.write() as session:
        longest = RouteIn(hostname=name_of(253, "*."), tls="acme")
        with pytest.raises(BadInput, match="its proof would have more than 253 characters"):
            await create_route(session, resources.settings, service, longest, {})
        await session.rollback()
    async with resources.db.write() as session:
        with pytest.raises(BadInput, match="orc dns add"):  # another team's credential proves nothing
            await create_route(
                session, resources.settings, foreign, RouteIn(hostname="*.a.example.org", tls="acme"), {}
            )
        await session.rollback()
    async with resources.db.write() as session:
        with pytest.raises(Conflict, match="can be certified with this DNS credential only"):
            await delete_dns_credential(session, SCOPE, row.id)
        with pytest.raises(Conflict, match="can be certified with this DNS credential only"):
            changes = DnsCredentialChanges(zones=["other.org"])
            await update_dns_credential(session, resources.secret_box, SCOPE, row.id, changes)
        await session.rollback()
    assert proxy.hostnames.count(f"*.shop.{ZONE}") == 2, "with the internal certificate, and its marker"


@pytest.mark.parametrize(
    ("provider", "fields", "words"),
    [
        ("cloudflare", {}, "needs this: API token"),
        ("cloudflare", {"token": "t", "auth_username": "x"}, "has no such field"),
        ("powerdns", {"url": "/run/pdns.sock", "token": "t"}, "begins with http"),
        ("powerdns", {"url": "http://a@b/", "token": "t"}, "begins with http"),
        ("powerdns", {"url": "http://a/b?", "token": "t"}, "begins with http"),
        ("powerdns", {"url": "http://a/b#", "token": "t"}, "begins with http"),
        ("powerdns", {"url": "http://a/", "token": "t", "server_id": "../config?a="}, "at most 64 letters"),
        ("powerdns", {"url": "http://a/", "token": "t", "server_id": ".."}, "not dots alone"),
        (
            "rfc2136",
            {"server": "ns.example.org", "key_name": "k", "algorithm": "hmac-md5", "secret": "x"},
            "IP address",
        ),
        ("rfc2136", {"server": "::1", "key_name": "k", "algorithm": "none", "secret": "x"}, "use one of"),
        ("googleclouddns", {"service_account": "file::/etc/shadow"}, "whole JSON file"),
        ("ovh", {"endpoint": "evil"}, "use one of ovh-eu"),
        ("cloudflare", {"token": "a\nb"}, "printable"),
    ],
)
async def test_fields_that_a_provider_cannot_use_are_refused(
    resources: Resources, provider: str, fields: dict[str, str], words: str
) -> None:
    with pytest.raises(OrcaError, match=words) as refused:
        await store(resources, provider, fields)
    assert refused.value.details["fields"]


async def test_names_and_zones_of_credentials_are_unique_and_the_nearest_zone_wins(resources: Resources) -> None:
    one = await store(resources, "cloudflare", CLOUDFLARE)
    two = await store(resources, "gandi", CLOUDFLARE, f"deep.{ZONE}")
    for name, zone in ((two.name, "new.org"), ("vultr", ZONE)):
        given = DnsCredentialIn(name=name, provider="gandi", zones=[zone], fields=CLOUDFLARE)
        async with resources.db.write() as session:
            with pytest.raises(Conflict):
                await create_dns_credential(session, resources.secret_box, SCOPE, given)
            await session.rollback()
    cases = {f"a.deep.{ZONE}": two, f"*.deep.{ZONE}": two, f"a.{ZONE}": one, ZONE: one, f"not{ZONE}": None}
    assert {name: credential_for(name, TEAM, [one, two]) for name in cases} == cases
    assert credential_for(ZONE, "another team", [one, two]) is None


def test_every_provider_is_one_that_the_library_has() -> None:
    for provider in PROVIDERS.values():
        if provider.name != RFC2136:
            module = import_module(f"lexicon._private.providers.{provider.library or provider.name}")
            text = Path(module.__file__ or "").read_text()
            missing = [field.option for field in provider.fields if field.option not in text]
            assert not missing, f"{provider.name} knows no {missing}"
