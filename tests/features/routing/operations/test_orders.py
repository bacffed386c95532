"""Orders at a real ACME server: what came is served, what failed waits, and nothing that works is given up for it."""

import asyncio
import http.server
import sqlite3
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from tests.conftest import free_port
from tests.features.routing.authority import HOSTNAME, Authority
from tests.features.routing.bench import OTHER_SCOPE, OTHER_TEAM, SCOPE, TEAM, ScriptedProxy, issue

from orca.db import now
from orca.errors import ProviderUnavailable
from orca.events import Event
from orca.features.routing.actions import (
    create_dns_credential,
    create_route,
    delete_route,
    forget_service,
    update_route,
)
from orca.features.routing.models import DnsCredential, OrderedCertificate, Route
from orca.features.routing.operations import adopt_stored, apply_routes, check_route
from orca.features.routing.operations.orders import keep_certificate, list_due
from orca.features.routing.schemas.dns import DnsCredentialIn
from orca.features.routing.schemas.routes import RouteIn, RoutePatch
from orca.features.routing.steps import dns_records
from orca.features.routing.steps.run_orders import DNS_AT_ONCE_OF_TEAM, run_orders
from orca.features.secrets.models import Secret
from orca.kit.ids import new_id
from orca.resources import Resources

LOCKED_SECONDS = 7


class Showing(ScriptedProxy):
    """A proxy in memory that shows challenges on a real port."""

    def __init__(self) -> None:
        super().__init__()
        self.challenges: dict[str, str] = {}
        self.shown: list[str] = []
        self.failures: list[Exception] = []
        """What happens instead of showing, once each."""
        self.dropped = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def show_challenge(self, token: str, answer: str) -> None:
        if self.failures:
            raise self.failures.pop()
        await asyncio.to_thread(self.challenges.__setitem__, token, answer)  # as the real one writes its files
        self.shown.append(token)

    async def drop_challenge(self, token: str) -> None:
        self.challenges.pop(token, None)
        self.dropped.set()
        await self.go_on.wait()

    def serve(self, port: int) -> http.server.ThreadingHTTPServer:
        challenges = self.challenges

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = challenges.get(self.path.rpartition("/")[2])
                self.send_response(200 if answer else 404)
                self.end_headers()
                self.wfile.write((answer or "").encode())

            def log_message(self, *_: object) -> None:
                return

        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server


@pytest.fixture
def proxy() -> ScriptedProxy:
    return Showing()


@pytest.fixture
async def ordering(
    make_resources: Callable[..., Resources], proxy: Showing, authority: Authority, tmp_path: Path
) -> AsyncIterator[Resources]:
    await authority.wait()
    server = proxy.serve(authority.http_port)
    acme = {"directory_url": authority.directory, "ca_root": tmp_path / "root.pem", "email": "ada@example.org"}
    yield make_resources(acme=acme)
    server.shutdown()
    server.server_close()


async def add(resources: Resources, service, hostname: str = HOSTNAME, *paths: str) -> None:
    async with resources.db.write() as session:
        for path in paths or ("/",):
            wanted = RouteIn(hostname=hostname, path_prefix=path)
            await create_route(session, resources.settings, service, wanted, {})
    await apply_routes(resources)
    await change(resources, acme_ready_at=now())


async def change(resources: Resources, **values: object) -> None:
    async with resources.db.write() as session:
        await session.execute(update(Route).values(**values))


async def read(resources: Resources) -> list[Route]:
    async with resources.db.read() as session:
        return list((await session.scalars(select(Route).order_by(Route.hostname, Route.path_prefix))).all())


async def read_named(resources: Resources, hostname: str) -> Route:
    return next(route for route in await read(resources) if route.hostname == hostname)


async def hold(resources: Resources, days: float, directory: str = "", hostname: str = HOSTNAME) -> OrderedCertificate:
    """A certificate of ninety days that has so many left."""
    until = now() + timedelta(days=days)
    issued = issue(hostname)
    row = OrderedCertificate(
        id=new_id(), team_id=TEAM, hostname=hostname, chain=issued.certificate, issuer="Old CA",
        directory_url=directory or resources.settings.acme.directory_url, issued_at=until - timedelta(days=90),
        not_after=until,
    )  # fmt: skip
    from orca.features.secrets.actions import put_secret

    async with resources.db.write() as session:
        session.add(row)
        await put_secret(
            session, resources.secret_box, team_id="t", owner=("ordered_certificate", row.id), name="key",
            value=issued.key,
        )  # fmt: skip
        await session.execute(update(Route).values(certificate_until=until))
    await apply_routes(resources)
    return row


def served(proxy: Showing) -> dict[str, tuple[str, str | None, bool]]:
    return {
        each.path_prefix: (each.tls, each.certificate_id, each.https_redirect)
        for each in proxy.served.routes
        if "acme-challenge" not in each.path_prefix
    }


slow = pytest.mark.slow


@slow
async def test_a_certificate_is_ordered_served_and_not_ordered_again(ordering, proxy, service, authority) -> None:
    await add(ordering, service, HOSTNAME, "/", "/api")
    assert set(served(proxy).values()) == {("internal", None, False)}
    await run_orders(ordering)
    routes = await read(ordering)
    assert [(each.problem, each.order_failures) for each in routes] == [("", 0), ("", 0)]
    assert all(each.certificate_until > now() for each in routes)
    modes = set(served(proxy).values())
    assert {(tls, redirect) for tls, _, redirect in modes} == {("custom", True)}
    (certificate,) = proxy.served.certificates
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    await asyncio.to_thread(_check_pair, context, certificate.certificate, certificate.private_key)
    assert proxy.challenges == {}, "the proof is taken away"
    await run_orders(ordering)
    assert authority.orders == 1


def _check_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "c").write_text(certificate)
        (Path(folder) / "k").write_text(key)
        context.load_cert_chain(Path(folder) / "c", Path(folder) / "k")


CUSTOMERS = {
    "externalAccountBindingRequired": True,
    "externalAccountMACKeys": {"kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"},
}
LONG = ".".join(["a" * 63, "b" * 60, "example.org"])


@slow
@pytest.mark.parametrize("authority", [CUSTOMERS], indirect=True)
async def test_customers_are_told_apart_and_a_lost_account_is_made_again(
    ordering, make_resources, proxy, service, authority
) -> None:
    """Also for a name that is too long for a common name (64 characters)."""
    await add(ordering, service, LONG)
    await run_orders(ordering)
    (route,) = await read(ordering)
    assert ("account" in route.problem.lower(), route.order_failures) == (True, 1), route.problem
    key_id, hmac_key = next(iter(CUSTOMERS["externalAccountMACKeys"].items()))
    acme = {name: getattr(ordering.settings.acme, name) for name in ("directory_url", "ca_root")}
    customer = make_resources(acme=acme | {"eab_key_id": key_id, "eab_hmac_key": hmac_key})
    object.__setattr__(customer, "secret_box", ordering.secret_box)
    for _ in range(2):
        await change(customer, acme_ready_at=now(), acme_check_at=None)
        await run_orders(customer)
        (route,) = await read(customer)
        assert (route.problem, route.order_failures) == ("", 0)
        assert route.certificate_until > now() + timedelta(days=9)
        assert [each.tls for each in proxy.served.routes] == ["custom"]
        await authority.forget_everything()
        async with customer.db.write() as session:
            ends = {"issued_at": now() - timedelta(days=90), "not_after": now() + timedelta(minutes=1)}
            await session.execute(update(OrderedCertificate).values(**ends))
            await session.execute(update(Route).values(certificate_until=ends["not_after"]))


@slow
async def test_many_names_at_once_all_come_while_routes_change(ordering, proxy, service) -> None:
    """Also where the loop has few threads, as on a machine with one core."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(4))
    for number in range(12):
        await add(ordering, service, f"n{number}.example.org")
    running = asyncio.create_task(run_orders(ordering))
    for number in range(8):
        await asyncio.sleep(0.3)
        async with ordering.db.write() as session:
            wanted = RouteIn(hostname=f"later{number}.example.org")
            await create_route(session, ordering.settings, service, wanted, {})
        await apply_routes(ordering)
    await running
    held = [route for route in await read(ordering) if route.hostname.startswith("n")]
    assert [(each.order_failures, each.problem, each.certificate_until is not None) for each in held] == [
        (0, "", True)
    ] * 12


@slow
async def test_a_refused_name_waits_for_a_growing_while_and_is_served_meanwhile(ordering, proxy, service, authority):
    await authority.point("127.0.0.9")
    await add(ordering, service)
    for failures, minutes in ((1, 15), (2, 30)):
        await run_orders(ordering)
        (route,) = await read(ordering)
        assert (route.acme_ready_at, route.order_failures) == (None, failures)
        assert timedelta(minutes=minutes - 1) < route.acme_check_at - now() <= timedelta(minutes=minutes)
        assert "the authority refused it: " in route.problem
        assert "127.0.0.9" in route.problem
        assert served(proxy)["/"] == ("internal", None, False)
        await run_orders(ordering)
        assert (await read(ordering))[0].order_failures == failures, "not before its pause is over"
        await change(ordering, acme_ready_at=now(), acme_check_at=None)
    async with ordering.db.read() as session:
        events = (await session.scalars(select(Event).where(Event.type == "CertificateRefused"))).all()
    assert [(event.payload["kind"], event.payload["failures"]) for event in events] == [("refused", 1), ("refused", 2)]


@slow
@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (ProviderUnavailable("it is away"), "the proxy could not show the proof that the authority wants"),
        (RuntimeError("a mistake"), "Orca itself failed: unexpected RuntimeError"),
    ],
)
async def test_an_order_that_fails_waits_alone(ordering, proxy, service, failure: Exception, words: str) -> None:
    for name in ("a", "b", "c"):
        await add(ordering, service, f"{name}.example.org")
    proxy.failures.append(failure)
    await run_orders(ordering)
    routes = await read(ordering)
    (failed,) = (route for route in routes if route.certificate_until is None)
    assert (failed.order_failures, words in failed.problem) == (1, True), failed.problem
    assert failed.acme_check_at > now()
    assert [route.problem for route in routes if route is not failed] == ["", ""]


@slow
async def test_slow_proofs_of_a_team_hold_up_nobody_else(ordering, proxy, service, foreign, monkeypatch) -> None:
    asked: list[str] = []

    async def hang(_resources: object, credential: DnsCredential, *_: str, **__: str) -> dict[str, str]:
        asked.append(credential.team_id)
        await asyncio.sleep(600)
        return {}

    monkeypatch.setattr(dns_records, "run_task", hang)
    monkeypatch.setattr("orca.features.routing.steps.run_orders.LOOK_SECONDS", 0.2)
    given = {"name": "slow", "provider": "cloudflare", "fields": {"token": "t"}}
    for scope, zone in ((SCOPE, "slow.org"), (OTHER_SCOPE, "other.org")):
        async with ordering.db.write() as session:
            wanted = DnsCredentialIn(**given, zones=[zone])
            await create_dns_credential(session, ordering.secret_box, scope, wanted)
    for number in range(12):
        await add(ordering, service, f"s{number}.slow.org")
    running = asyncio.create_task(run_orders(ordering))
    async with asyncio.timeout(30):
        while len(asked) < DNS_AT_ONCE_OF_TEAM:  # noqa: ASYNC110 - the threads set no event here
            await asyncio.sleep(0.05)
        await add(ordering, foreign, HOSTNAME)
        await add(ordering, foreign, "www.other.org")
        while not (await read_named(ordering, HOSTNAME)).certificate_until or OTHER_TEAM not in asked:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert sorted(asked) == [TEAM] * DNS_AT_ONCE_OF_TEAM + [OTHER_TEAM]
    running.cancel()
    await asyncio.wait([running], timeout=5)
    assert running.cancelled()
    await asyncio.sleep(1)
    assert {route.order_failures for route in await read(ordering)} == {0}


@slow
async def test_an_authority_that_is_away_is_asked_again_soon_and_refused_nothing(
    make_resources, proxy, service, tmp_path
) -> None:
    nowhere = f"https://127.0.0.1:{free_port()}/dir"
    resources = make_resources(acme={"directory_url": nowhere})
    await add(resources, service)
    await run_orders(resources)
    (route,) = await read(resources)
    assert "the authority could not be asked" in route.problem
    assert route.acme_ready_at is not None
    assert timedelta(0) < route.acme_check_at - now() <= timedelta(minutes=1)


@slow
async def test_without_the_root_of_a_private_authority_nothing_is_ordered(make_resources, service, tmp_path) -> None:
    resources = make_resources(acme={"directory_url": "https://ca.internal/dir", "ca_root": tmp_path / "root.pem"})
    await add(resources, service)
    await run_orders(resources)
    assert [(each.order_failures, each.problem) for each in await read(resources)] == [(0, "")]


class Limiting(http.server.BaseHTTPRequestHandler):
    """An authority that takes no orders for two days."""

    def do_GET(self) -> None:
        place = f"http://{self.headers['Host']}/x"
        body = f'{{"newNonce": "{place}", "newAccount": "{place}", "newOrder": "{place}"}}'
        self._answer(200, body, "application/json")

    def do_HEAD(self) -> None:
        self._answer(200, "", "text/plain")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = '{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many orders"}'
        self._answer(429, body, "application/problem+json")

    def _answer(self, status: int, body: str, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Replay-Nonce", "YWJjZGVm")
        self.send_header("Retry-After", "172800")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def limiting() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Limiting)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/dir"
    server.shutdown()
    server.server_close()


@slow
async def test_a_limit_is_obeyed_for_as_long_as_the_authority_asks(make_resources, proxy, service, limiting) -> None:
    resources = make_resources(acme={"directory_url": limiting})
    await add(resources, service)
    await run_orders(resources)
    (route,) = await read(resources)
    assert "takes no more orders for now: too many orders (rateLimited)" in route.problem
    assert timedelta(hours=47) < route.acme_check_at - now() <= timedelta(hours=48)


@slow
async def test_another_authority_leaves_sites_as_they_are_until_it_has_issued(
    make_resources, proxy, service, limiting, ordering, authority
) -> None:
    await add(ordering, service)
    before = await hold(ordering, 80, directory=limiting)
    assert served(proxy)["/"] == ("custom", before.id, True)
    away = make_resources(acme={"directory_url": f"https://127.0.0.1:{free_port()}/dir"})
    await run_orders(away)
    assert "cannot be renewed: the authority could not be asked" in (await read(away))[0].problem
    assert served(proxy)["/"] == ("custom", before.id, True)
    await change(ordering, acme_check_at=None)
    await run_orders(ordering)
    tls, certificate_id, redirects = served(proxy)["/"]
    assert (tls, redirects) == ("custom", True)
    assert certificate_id != before.id


@slow
async def test_renewal_is_in_time_and_a_failing_one_keeps_what_works_to_its_end(ordering, proxy, service, authority):
    await add(ordering, service)
    before = await hold(ordering, 31)
    await run_orders(ordering)
    assert authority.orders == 0, "more than a third is left"
    async with ordering.db.write() as session:
        row = await session.get_one(OrderedCertificate, before.id)
        row.issued_at, row.not_after = row.issued_at - timedelta(days=2), now() + timedelta(days=29)
    await authority.point("127.0.0.9")
    await run_orders(ordering)
    (route,) = await read(ordering)
    assert "The certificate cannot be renewed: the authority refused it" in route.problem
    assert route.acme_ready_at is not None
    assert served(proxy)["/"] == ("custom", before.id, True)
    findings = await check_route(ordering, SCOPE, route.id, resolve=_nowhere)
    assert findings[-1].ok
    assert findings[-1].hint == route.problem
    async with ordering.db.write() as session:
        (await session.get_one(OrderedCertificate, before.id)).not_after = now() - timedelta(seconds=1)
        (await session.get_one(Route, route.id)).certificate_until = now() - timedelta(seconds=1)
    await apply_routes(ordering)
    assert served(proxy)["/"] == ("internal", None, False), "an end without a successor"
    await authority.point("127.0.0.1")
    await change(ordering, acme_check_at=None)
    await run_orders(ordering)
    assert served(proxy)["/"][0] == "custom"


async def _nowhere(_hostname: str) -> list[str]:
    return []


@slow
async def test_an_order_for_a_name_that_left_meanwhile_is_forgotten(ordering, proxy, service) -> None:
    await add(ordering, service)
    (route,) = await read(ordering)
    running = asyncio.create_task(run_orders(ordering))
    while not proxy.shown:  # noqa: ASYNC110 - the thread sets no event here
        await asyncio.sleep(0.01)
    async with ordering.db.write() as session:
        row = await session.get_one(Route, route.id)
        await update_route(session, ordering.settings, row, RoutePatch(tls="internal"), {})
    await running
    async with ordering.db.read() as session:
        assert (await session.scalars(select(OrderedCertificate))).all() == []


@slow
async def test_what_orca_breaks_off_itself_is_no_failure(ordering, proxy, service) -> None:
    await add(ordering, service)
    running = asyncio.create_task(run_orders(ordering))
    await asyncio.sleep(0.1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await asyncio.sleep(3)
    assert (await read(ordering))[0].order_failures == 0
    await run_orders(ordering)
    assert (await read(ordering))[0].certificate_until is not None


async def test_what_the_proxy_ordered_under_an_earlier_orca_is_taken_over(resources, proxy, service) -> None:
    await add(resources, service)
    await change(resources, certificate_until=now() + timedelta(days=50))
    old, good = issue(HOSTNAME, days=10), issue(HOSTNAME, days=50)

    async def stored(names: set[str]) -> list[tuple[str, str, str]]:
        assert names == {HOSTNAME}
        broken = (HOSTNAME, "garbage", good.key)
        return [broken, (HOSTNAME, old.certificate, old.key), (HOSTNAME, good.certificate, good.key)]

    proxy.stored_certificates = stored
    await adopt_stored(resources)
    await apply_routes(resources)
    assert [each.certificate for each in proxy.served.certificates] == [good.certificate]
    assert served(proxy)["/"][0] == "custom"


async def _give_back(resources: Resources, service, way: str) -> None:
    async with resources.db.write() as session:
        if way == "service":
            await forget_service(session, service.id)
        for route in (await session.scalars(select(Route))).all():
            await delete_route(session, route)
    await apply_routes(resources)


async def _held(resources: Resources) -> tuple[list[str], list[str]]:
    """Teams of the ordered certificates, and of their keys."""
    async with resources.db.read() as session:
        keys = select(Secret.team_id).where(Secret.owner_type == "ordered_certificate")
        rows = (await session.scalars(select(OrderedCertificate.team_id))).all()
        return list(rows), list((await session.scalars(keys)).all())


@pytest.mark.parametrize("way", ["route", "service"])
@pytest.mark.parametrize("hostname", [HOSTNAME, "*.corp.example.org"])
async def test_what_one_team_proved_is_never_served_for_another(resources, proxy, service, foreign, hostname, way):
    for scope in (SCOPE, OTHER_SCOPE):
        fields = {"token": "anything"}
        junk = DnsCredentialIn(name="junk", provider="hetzner", zones=["corp.example.org"], fields=fields)
        async with resources.db.write() as session:
            await create_dns_credential(session, resources.secret_box, scope, junk)
    await add(resources, service, hostname)
    before = await hold(resources, 60, hostname=hostname)
    assert served(proxy)["/"] == ("custom", before.id, True)
    await _give_back(resources, service, way)
    await add(resources, service, hostname)
    assert await list_due(resources) == {}
    await apply_routes(resources)
    assert served(proxy)["/"] == ("custom", before.id, True), "one's own is there again"
    await _give_back(resources, service, way)
    await add(resources, foreign, hostname)
    assert served(proxy)["/"] == ("internal", None, False)
    assert proxy.served.certificates == ()
    assert await _held(resources) == ([], []), "nor is it kept"
    assert await list_due(resources) == {hostname: foreign.team_id}


async def test_a_certificate_of_another_team_that_is_still_there_counts_for_nothing(
    resources, proxy, service, foreign
) -> None:
    """As an earlier version left it."""
    await add(resources, foreign)
    await hold(resources, 60)
    await change(resources, certificate_until=None)
    await apply_routes(resources)
    assert served(proxy)["/"] == ("internal", None, False)
    assert await list_due(resources) == {HOSTNAME: foreign.team_id}
    (route,) = await read(resources)
    assert route.certificate_until is None
    before = await _held(resources)
    await keep_certificate(resources, service.team_id, HOSTNAME, *_pair())  # ordered before the name changed hands
    assert await _held(resources) == before
    await keep_certificate(resources, foreign.team_id, HOSTNAME, *_pair())
    assert await _held(resources) == ([foreign.team_id], [foreign.team_id])
    assert served(proxy)["/"][0] == "internal"
    await apply_routes(resources)
    assert served(proxy)["/"][0] == "custom"


def _pair() -> tuple[str, str]:
    issued = issue(HOSTNAME)
    return issued.certificate, issued.key


class TestADatabaseThatIsLocked:
    @pytest.fixture
    def database_url(self) -> None:
        """SQLite, which has one writer."""

    async def test_a_certificate_that_cannot_be_stored_yet_waits(self, ordering, proxy, service, authority) -> None:
        """Thrown away, it would be ordered again, and authorities count what they issued."""
        await add(ordering, service)
        proxy.go_on.clear()
        working = asyncio.create_task(run_orders(ordering))
        await proxy.dropped.wait()  # the certificate is here
        with closing(sqlite3.connect(str(ordering.db.engine.url.database), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            proxy.go_on.set()
            await asyncio.wait({working}, timeout=LOCKED_SECONDS)  # longer than a writer waits
            other.execute("ROLLBACK")
        async with asyncio.timeout(30):
            await working
        (route,) = await read(ordering)
        assert route.certificate_until is not None
        assert authority.orders == 1
