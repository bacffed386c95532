"""Certificates of a public authority: which are due, which were issued, and which failed and wait for a retry.

Whatever the result of an order, the current certificate of a name (or the internal one) is served until a newer one
is issued.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.events import Fact, record
from orca.features.routing.actions.certificates import forget_ordered
from orca.features.routing.events import names_of
from orca.features.routing.models import OrderedCertificate, Route
from orca.features.routing.queries import CERTIFICATE_KEY, ORDERED
from orca.features.routing.rules.orders import HeldCertificate, OrderFailed, is_order_due, next_order_delay
from orca.features.secrets.actions import put_secret
from orca.features.secrets.errors import SecretUnreadable
from orca.features.secrets.queries import open_secret
from orca.kit.clock import format_instant
from orca.kit.ids import new_id
from orca.resources import Resources
from orca.sdk.proxies import SupportsStoredCertificates
from orca.systems import LOCAL

if TYPE_CHECKING:
    from orca.features.routing.rules.uploads import ParsedCertificate

log = structlog.get_logger("orca.routing")
_ACCOUNT = ("acme", "account")
_ITS_OWN = and_(OrderedCertificate.hostname == Route.hostname, OrderedCertificate.team_id == Route.team_id)
"""A certificate only belongs to a route if the route's team proved the name."""


async def list_due(resources: Resources) -> dict[str, str]:
    """Return the hostnames, with their team, for which a new certificate is due and may be ordered now.

    A new route's hostname may already have a certificate from another route of the team: then its end is stored.
    """
    instant = now()
    is_due = Route.acme_ready_at.is_not(None) & (Route.state == "live")
    is_due &= or_(Route.acme_check_at.is_(None), Route.acme_check_at <= instant)
    is_unsettled = Route.certificate_until.is_(None) & OrderedCertificate.id.is_not(None)
    query = (
        select(Route.hostname, Route.team_id, is_due.label("is_due"), is_unsettled.label("is_unsettled"))
        .add_columns(OrderedCertificate.issued_at, OrderedCertificate.not_after, OrderedCertificate.directory_url)
        .outerjoin(OrderedCertificate, _ITS_OWN)
        .where(Route.tls == "acme", is_due | is_unsettled)
        .distinct()
    )
    async with resources.db.read() as session:
        rows = (await session.execute(query.order_by(Route.hostname))).all()
    await _settle(resources, {row.hostname: row.not_after for row in rows if row.is_unsettled})
    directory = resources.settings.acme.directory_url
    held = {
        row.hostname: HeldCertificate(row.issued_at, row.not_after, row.directory_url) for row in rows if row.issued_at
    }
    names = {row.hostname: row.team_id for row in rows if row.is_due}
    return {name: team for name, team in names.items() if is_order_due(held.get(name), directory, instant)}


async def _settle(resources: Resources, ends: Mapping[str, datetime]) -> None:
    if not ends:
        return
    async with resources.db.write() as session:
        for hostname, not_after in ends.items():
            unsettled = Route.tls == "acme", Route.certificate_until.is_(None), Route.hostname == hostname
            await session.execute(update(Route).where(*unsettled).values(certificate_until=not_after))


async def open_account_key(
    session: AsyncSession, resources: Resources, make: Callable[[], str], *, lost: str | None = None
) -> str:
    """Return the key of our account at the authority, in PEM; created on first use, and to replace a `lost` one."""
    name = hashlib.sha256(resources.settings.acme.directory_url.encode()).hexdigest()[:32]
    try:
        key = await open_secret(session, resources.secret_box, _ACCOUNT, name)
    except SecretUnreadable:
        log.warning("acme_account_unreadable", step="another account is made")
        key = None
    if key is None or key == lost:
        key = make()
        await put_secret(session, resources.secret_box, team_id="", owner=_ACCOUNT, name=name, value=key)
    return key


async def keep_certificate(resources: Resources, team_id: str, hostname: str, chain: str, key: str) -> None:
    """Store a newly issued certificate of a name, unless the name was removed or went to another team meanwhile."""
    async with resources.db.write() as session:
        routes = await _routes_of(session, hostname)
        if not routes or routes[0].team_id != team_id:
            return
        row = await _store(session, resources, routes, chain, key)
        if is_order_due(HeldCertificate(row.issued_at, row.not_after, row.directory_url), row.directory_url, now()):
            # It would be due again at once: without a pause, orders would follow each other without end.
            when = f"{row.issued_at:%Y-%m-%d %H:%M} to {row.not_after:%Y-%m-%d %H:%M} UTC"
            reason = (
                f"it is for {when}, and by this machine's clock that is (nearly) over; `timedatectl` shows the clock"
            )
            await _pause(session, routes, OrderFailed("unusable", reason))
            return
        _set(routes, order_failures=0, acme_check_at=None, problem="")
        payload = await names_of(session, routes[0]) | {
            "not_after": format_instant(row.not_after),
            "issuer": row.issuer,
        }
        await record(session, Fact("CertificateIssued", routes[0].team_id, "route", routes[0].id, payload))


async def _store(
    session: AsyncSession, resources: Resources, routes: Sequence[Route], chain: str, key: str
) -> OrderedCertificate:
    from cryptography import x509  # noqa: PLC0415 - megabytes that a start does without

    from orca.features.routing.rules.uploads import issuer_of  # noqa: PLC0415 - likewise

    leaf = x509.load_pem_x509_certificates(chain.encode())[0]
    await forget_ordered(session, routes[0].hostname)
    row = OrderedCertificate(
        id=new_id(), team_id=routes[0].team_id, hostname=routes[0].hostname, chain=chain,
        directory_url=resources.settings.acme.directory_url, issuer=issuer_of(leaf),
        issued_at=leaf.not_valid_before_utc, not_after=leaf.not_valid_after_utc,
    )  # fmt: skip
    session.add(row)
    owner, box = (ORDERED, row.id), resources.secret_box
    await put_secret(session, box, team_id=routes[0].team_id, owner=owner, name=CERTIFICATE_KEY, value=key)
    _set(routes, certificate_until=row.not_after)
    return row


async def give_up_order(resources: Resources, hostname: str, failure: OrderFailed) -> None:
    """Pause the orders of a name after a failure; a refused first order also needs a new preflight before the next."""
    async with resources.db.write() as session:
        routes = await _routes_of(session, hostname)
        if not routes:
            return
        await _pause(session, routes, failure)


async def _pause(session: AsyncSession, routes: Sequence[Route], failure: OrderFailed) -> None:
    count = routes[0].order_failures + 1
    again = now() + next_order_delay(failure, count)
    holds = routes[0].certificate_until is not None and routes[0].certificate_until > now()
    told = "The certificate cannot be renewed" if holds else "No public certificate yet"
    values = {"acme_check_at": again, "order_failures": count, "problem": f"{told}: {failure}"}
    if not holds and failure.kind == "refused":
        values["acme_ready_at"] = None
    _set(routes, **values)
    payload = await names_of(session, routes[0]) | {
        "kind": failure.kind, "reason": failure.reason, "failures": count, "next_try_at": format_instant(again),
    }  # fmt: skip
    fact = Fact("CertificateRefused", routes[0].team_id, "route", routes[0].id, payload, outcome="failed")
    await record(session, fact)


async def adopt_stored(resources: Resources) -> None:
    """Store the certificates that the proxy ordered under an earlier Orca, so that visitors notice no upgrade."""
    async with resources.db.read() as session:
        holding = (
            Route.tls == "acme",
            Route.certificate_until > now(),
            ~select(OrderedCertificate).where(_ITS_OWN).exists(),
        )
        names = set((await session.scalars(select(Route.hostname).where(*holding))).all())
    proxy = await resources.systems.proxy(LOCAL) if names else None  # an earlier Orca had no other
    if not isinstance(proxy, SupportsStoredCertificates):
        return
    from orca.features.routing.rules.uploads import Unusable, parse_certificate  # noqa: PLC0415 - megabytes that a start does without

    newest: dict[str, ParsedCertificate] = {}
    for hostname, chain, key in await proxy.stored_certificates(names):
        with suppress(Unusable):
            parsed = parse_certificate(chain, key, now())
            if hostname not in newest or newest[hostname].not_after < parsed.not_after:
                newest[hostname] = parsed
    async with resources.db.write() as session:
        for hostname, parsed in newest.items():
            routes = await _routes_of(session, hostname)
            if routes:
                await _store(session, resources, routes, parsed.chain, parsed.private_key)


async def order_again(resources: Resources, hostname: str) -> None:
    """End the pause of a name, so that the next run orders its certificate."""
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
