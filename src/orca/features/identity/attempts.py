"""Counters of password attempts, stored in the database so that they survive a restart."""

from collections.abc import Mapping
from datetime import timedelta
from importlib import import_module
from ipaddress import IPv4Address, ip_address, ip_network
from math import ceil
from operator import itemgetter

from sqlalchemy import delete, or_
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import Database, now
from orca.errors import RateLimited
from orca.events import Fact, record
from orca.features.identity.models import Attempt
from orca.features.identity.rules import AttemptCounter, Limit, refund_try, spend_try
from orca.kit.crypto import digest

LOGIN_BY_ACCOUNT = Limit(5, 60, ceiling=900)
LOGIN_BY_PEER = Limit(20, 60, ceiling=900)
_FORGET_AFTER = timedelta(days=1)


def account_key(email: str) -> str:
    """Return the key for attempts at one account, existing or not; the e-mail itself is not stored."""
    return f"login:account:{digest(email)}"


def place_key(email: str, ip: str | None) -> str:
    """Return the key for attempts at an account from a known place of its user; other places cannot use these up."""
    return f"{_place_prefix(email)}{peer_prefix(ip)}"


def _place_prefix(email: str) -> str:
    return f"login:place:{digest(email)}:"


def session_key(session_id: str) -> str:
    """Return the key for password attempts within a valid session; other sessions cannot use these up."""
    return f"password:session:{session_id}"


def peer_key(what: str, ip: str | None) -> str:
    """Return the key for attempts from one place: an IPv4 address, or the /64 of one IPv6 customer."""
    return f"{what}:peer:{peer_prefix(ip)}"


def peer_prefix(ip: str | None) -> str:
    """Return the network that one customer usually controls; `local` when there is no address."""
    if ip is None:
        return "local"
    address = ip_address(ip)
    return str(address) if isinstance(address, IPv4Address) else str(ip_network((address, 64), strict=False))


async def spend_attempts(db: Database, limits: Mapping[str, Limit]) -> None:
    """Count one attempt under each key, in a transaction of its own; raises RateLimited when one is used up.

    An event records that a limit was reached, once and not for every further attempt.
    """
    waits = []
    async with db.write() as session:
        for key, limit in sorted(limits.items(), key=itemgetter(0)):
            row = await _get_or_add(session, key)
            tries, wait = spend_try(AttemptCounter(row.window_started_at, row.count, row.blocked_until), limit, now())
            if tries.blocked_until not in {None, row.blocked_until}:
                what, *by = key.split(":")[:-1]
                told = {"what": what, "by": by[0] if by else ""}
                await record(session, Fact("AttemptsLimited", payload=told, outcome="denied"))
            _store(row, tries)
            waits.append(wait)
    longest = max((wait for wait in waits if wait is not None), default=None)
    if longest is not None:
        raise RateLimited("Too many attempts.", hint="Wait, then try again.", retry_after=ceil(longest))


async def refund_attempts(session: AsyncSession, limits: Mapping[str, Limit]) -> None:
    """Uncount attempts that turned out to be legitimate."""
    for key, limit in sorted(limits.items(), key=itemgetter(0)):
        row = await _get_or_add(session, key)
        _store(row, refund_try(AttemptCounter(row.window_started_at, row.count, row.blocked_until), limit))


async def forget_attempts(session: AsyncSession, key: str) -> None:
    """Reset a counter, after the right password was entered."""
    await session.execute(delete(Attempt).where(Attempt.key == key))


async def forget_account(session: AsyncSession, email: str) -> None:
    """Reset all counters of an account, from every place."""
    places = Attempt.key.startswith(_place_prefix(email), autoescape=True)
    await session.execute(delete(Attempt).where(or_(Attempt.key == account_key(email), places)))


async def _get_or_add(session: AsyncSession, key: str) -> Attempt:
    row = await session.get(Attempt, key, with_for_update=True)
    if row is None:
        await session.execute(delete(Attempt).where(Attempt.window_started_at < now() - _FORGET_AFTER))
        insert = import_module(f"sqlalchemy.dialects.{session.get_bind().dialect.name}").insert
        born = {"key": key, "count": 0, "window_started_at": now()}
        await session.execute(insert(Attempt).values(born).on_conflict_do_nothing())
        row = await session.get_one(Attempt, key, with_for_update=True)
    return row


def _store(row: Attempt, tries: AttemptCounter) -> None:
    row.window_started_at, row.count, row.blocked_until = tries.started_at, tries.count, tries.blocked_until
