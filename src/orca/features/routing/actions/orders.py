"""Certificates of a public authority: which are due, what came, and what failed and waits for a while.

Whatever becomes of an order, the certificate that a name has (or the internal one) is served until a better one comes.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress

from cryptography import x509
from sqlalchemy import delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.events import Fact, record
from orca.features.routing.events import names_of
from orca.features.routing.models import OrderedCertificate, Route
from orca.features.routing.queries import CERTIFICATE_KEY, ORDERED, list_ordered
from orca.features.routing.rules.orders import Held, OrderFailed, is_order_due, next_order_delay
from orca.features.routing.rules.uploads import ParsedCertificate, Unusable, issuer_of, parse_certificate
from orca.features.secrets.actions import delete_secrets, put_secret
from orca.features.secrets.queries import open_secret
from orca.kit.ids import new_id
from orca.resources import Resources
from orca.sdk.proxies import SupportsStoredCertificates

_ACCOUNT = ("acme", "account")


async def note_held(resources: Resources) -> None:
    """A name that is new here may have had its certificate before, under another route."""
    async with resources.db.read() as session:
        unsettled = Route.tls == "acme", Route.certificate_until.is_(None)
        names = (await session.scalars(select(Route.hostname).where(*unsettled).distinct())).all()
        held = await list_ordered(session, names)
    if held:
        async with resources.db.write() as session:
            for row in held:
                known = update(Route).where(*unsettled, Route.hostname == row.hostname)
                await session.execute(known.values(certificate_until=row.not_after))


async def list_due(resources: Resources) -> list[str]:
    """Names that lead here, are not paused, and should have another certificate than they have."""
    ready = Route.tls == "acme", Route.acme_ready_at.is_not(None), Route.state == "live"
    unpaused = or_(Route.acme_check_at.is_(None), Route.acme_check_at <= now())
    async with resources.db.read() as session:
        names = (await session.scalars(select(Route.hostname).where(*ready, unpaused).distinct())).all()
        held = {each.hostname: each for each in await list_ordered(session, names)}
    directory, instant = resources.settings.acme.directory_url, now()
    return sorted(name for name in names if is_order_due(_held(held.get(name)), directory, instant))


def _held(row: OrderedCertificate | None) -> Held | None:
    return None if row is None else Held(row.issued_at, row.not_after, row.directory_url)


async def open_account_key(session: AsyncSession, resources: Resources, make: Callable[[], str]) -> str:
    """The key of our account at the authority, in PEM; made when it is first needed."""
    name = hashlib.sha256(resources.settings.acme.directory_url.encode()).hexdigest()[:32]
    key = await open_secret(session, resources.secret_box, _ACCOUNT, name)
    if key is None:
        key = make()
        await put_secret(session, resources.secret_box, team_id="", owner=_ACCOUNT, name=name, value=key)
    return key


async def keep_certificate(resources: Resources, hostname: str, chain: str, key: str) -> None:
    """In place of the one before. A name that was given up or changed meanwhile has no use for it."""
    async with resources.db.write() as session:
        routes = await _routes_of(session, hostname)
        if not routes:
            return
        row = await _store(session, resources, routes, chain, key)
        _set(routes, order_failures=0, acme_check_at=None, problem="")
        payload = await names_of(session, routes[0]) | {"not_after": row.not_after.isoformat(), "issuer": row.issuer}
        await record(session, Fact("CertificateIssued", routes[0].team_id, "route", routes[0].id, payload))


async def _store(
    session: AsyncSession, resources: Resources, routes: Sequence[Route], chain: str, key: str
) -> OrderedCertificate:
    leaf = x509.load_pem_x509_certificates(chain.encode())[0]
    await forget_ordered(session, routes[0].hostname)
    row = OrderedCertificate(
        id=new_id(), hostname=routes[0].hostname, directory_url=resources.settings.acme.directory_url, chain=chain,
        issuer=issuer_of(leaf), issued_at=leaf.not_valid_before_utc, not_after=leaf.not_valid_after_utc,
    )  # fmt: skip
    session.add(row)
    owner, box = (ORDERED, row.id), resources.secret_box
    await put_secret(session, box, team_id=routes[0].team_id, owner=owner, name=CERTIFICATE_KEY, value=key)
    _set(routes, certificate_until=row.not_after)
    return row


async def give_up_order(resources: Resources, hostname: str, failure: OrderFailed) -> None:
    """For a while. A first order begins with another look at the name; a renewal is only tried again."""
    async with resources.db.write() as session:
        routes = await _routes_of(session, hostname)
        if not routes:
            return
        count = routes[0].order_failures + 1
        again = now() + next_order_delay(failure, count)
        holds = routes[0].certificate_until is not None and routes[0].certificate_until > now()
        told = "The certificate cannot be renewed" if holds else "No public certificate yet"
        values = {"acme_check_at": again, "order_failures": count, "problem": f"{told}: {failure}"}
        if not holds and failure.kind == "refused":
            values["acme_ready_at"] = None
        _set(routes, **values)
        payload = await names_of(session, routes[0]) | {
            "kind": failure.kind, "reason": failure.reason, "failures": count, "next_try_at": again.isoformat(),
        }  # fmt: skip
        fact = Fact("CertificateRefused", routes[0].team_id, "route", routes[0].id, payload, outcome="failed")
        await record(session, fact)


async def adopt_stored(resources: Resources) -> None:
    """Take over what the proxy ordered under an earlier Orca, so that an upgrade changes nothing for visitors."""
    async with resources.db.read() as session:
        holding = Route.tls == "acme", Route.certificate_until > now()
        names = set((await session.scalars(select(Route.hostname).where(*holding))).all())
        names -= {row.hostname for row in await list_ordered(session, names)}
    if not names or not isinstance(resources.proxy, SupportsStoredCertificates):
        return
    newest: dict[str, ParsedCertificate] = {}
    for hostname, chain, key in await resources.proxy.stored_certificates(names):
        with suppress(Unusable):
            parsed = parse_certificate(chain, key, now())
            if hostname not in newest or newest[hostname].not_after < parsed.not_after:
                newest[hostname] = parsed
    async with resources.db.write() as session:
        for hostname, parsed in newest.items():
            routes = await _routes_of(session, hostname)
            if routes:
                await _store(session, resources, routes, parsed.chain, parsed.private_key)


async def forget_ordered(session: AsyncSession, hostname: str) -> None:
    """Remove what was issued for a hostname, with its key."""
    for row in await list_ordered(session, [hostname]):
        await delete_secrets(session, (ORDERED, row.id))
        await session.execute(delete(OrderedCertificate).where(OrderedCertificate.id == row.id))


async def order_again(resources: Resources, hostname: str) -> None:
    """End the pause of a name, for the next look to order."""
    async with resources.db.write() as session:
        paused = Route.hostname == hostname, Route.tls == "acme", Route.acme_ready_at.is_not(None)
        await session.execute(update(Route).where(*paused).values(acme_check_at=None))


async def _routes_of(session: AsyncSession, hostname: str) -> Sequence[Route]:
    query = select(Route).where(Route.hostname == hostname, Route.tls == "acme", Route.acme_ready_at.is_not(None))
    return (await session.scalars(query.order_by(Route.id))).all()


def _set(routes: Sequence[Route], **values: object) -> None:
    for route in routes:
        for name, value in values.items():
            setattr(route, name, value)
