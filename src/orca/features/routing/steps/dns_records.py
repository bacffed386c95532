"""TXT records that prove names: stored in the database before they are created, and removed even after a crash."""

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, nullcontext
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DataError, IntegrityError

from orca.db import now
from orca.errors import DeadlineExceeded, ProviderUnavailable, RateLimited
from orca.features.routing.actions.dns_credentials import open_fields
from orca.features.routing.models import DnsCredential, DnsRecord
from orca.features.routing.operations.reach import ReachCheck
from orca.features.routing.queries import PROOF, get_dns_credential
from orca.features.routing.rules.dns_providers import DUCK_DNS
from orca.features.routing.rules.hostnames import is_within
from orca.features.routing.rules.orders import OrderFailed
from orca.features.secrets.errors import SecretUnreadable
from orca.kit.ids import new_id
from orca.resources import Resources
from orca.sdk.connectors import Command
from orca.systems import LOCAL
from orca.web.guard import Scope

log = structlog.get_logger("orca.routing")
_MODULE = "orca.features.routing.steps.change_record"
DEADLINES = {"find": 30, "check": 60, "create": 90, "wait": 200, "delete": 90}
"""Seconds that each task may take."""
_ONLY_DNS = {"find", "wait"}
"""These tasks may take long but use little memory, so they need no slot."""
_MOST_CHECKED = 10
_LEFT_OVER = timedelta(minutes=15)
"""No order takes longer: an older record was left by an order that crashed."""
_TURN_SECONDS = 600
_EACH_TURN, _SWEEP_SECONDS = 20, 120
"""Records of a team that one sweep handles at most, and seconds after which it begins no further one."""
MOST_TRIES = 288
"""About a day of attempts, when the team has no other leftovers."""
Answer = Mapping[str, str]


class Prover:
    """Publishes the proofs of one order at one DNS provider."""

    def __init__(self, resources: Resources, credential: DnsCredential) -> None:
        self._resources = resources
        self._credential = credential
        self._held = AsyncExitStack()
        self._made: list[DnsRecord] = []

    async def show(self, name: str, value: str) -> None:
        """Create the record where aliases lead, and wait until the zone's name servers have it. Raises OrderFailed."""
        try:
            await self._show(name, value)
        except asyncio.CancelledError:
            await self.leave()
            raise

    async def _show(self, name: str, value: str) -> None:
        found = _check(await _find(self._resources, self._credential, name))
        await self._await_turn(found)
        row = DnsRecord(
            id=new_id(), credential_id=self._credential.id, zone=found["zone"], name=found["record"], value=value
        )
        try:
            async with self._resources.db.write() as session:
                session.add(row)
        except (IntegrityError, DataError) as error:
            step = "look whether the DNS credential is still there (`orc dns list`)"
            raise OrderFailed("unproven", f"the record could not be noted ({type(error).__name__}); {step}") from error
        self._made.append(row)
        for task in ("create", "wait"):
            asked = {"record": row.name, "zone": row.zone, "value": value}
            _check(await run_task(self._resources, self._credential, task, **asked))

    async def drop(self) -> None:
        """Remove the records that were created. Raises OrderFailed for one that stays until the next sweep."""
        async with self._held:
            for row in self._made:
                await remove_record(self._resources, self._credential, row)

    async def leave(self) -> None:
        """Release the place for other orders; records that are left there are removed by `sweep_records`."""
        await self._held.aclose()

    async def _await_turn(self, found: Answer) -> None:
        """Wait until this order has the place for its proof to itself.

        Some providers cannot store two values, or rewrite the whole record at a change, so each place holds one proof
        at a time, whichever credentials lead there. The team's own lock comes first: a team with many orders for one
        place queues only one of them before other teams.
        """
        place = _place(self._credential, found["zone"], found["record"])
        try:
            async with asyncio.timeout(_TURN_SECONDS):
                for key in ((self._credential.team_id, place), (place,)):
                    await self._held.enter_async_context(_turn(self._resources, *key))
        except TimeoutError:
            reason = f"proofs of other names stood at {place} for {_TURN_SECONDS // 60} minutes"
            raise OrderFailed("unproven", reason) from None


def _place(credential: DnsCredential, zone: str, record: str) -> str:
    """Return the key of a proof's place: its record, or the domain at Duck DNS, which has one value for all names."""
    return (zone if credential.provider == DUCK_DNS else record).lower()


def _turn(resources: Resources, *key: str) -> asyncio.Lock:
    return resources.dns_turns.setdefault(key, asyncio.Lock())


async def remove_record(resources: Resources, credential: DnsCredential, row: DnsRecord) -> None:
    """Remove the record at the provider first, then its row. Raises OrderFailed."""
    _check(await run_task(resources, credential, "delete", record=row.name, zone=row.zone, value=row.value))
    async with resources.db.write() as session:
        await session.execute(delete(DnsRecord).where(DnsRecord.id == row.id))


async def sweep_records(resources: Resources) -> None:
    """Remove records that orders left behind: a limited number per team, in limited time.

    A record at a place with a newer proof waits for a later sweep. One that cannot be removed after many attempts is
    given up and logged.
    """
    async with resources.db.read() as session:
        query = select(DnsRecord, DnsCredential).join(DnsCredential, DnsCredential.id == DnsRecord.credential_id)
        query = query.order_by(DnsRecord.tries, DnsRecord.created_at)
        known = [(row, credential) for row, credential in (await session.execute(query)).all()]
    limit = now() - _LEFT_OVER
    standing = {_place(credential, row.zone, row.name) for row, credential in known if row.created_at >= limit}
    rows = [
        (row, credential)
        for row, credential in known
        if row.created_at < limit and _place(credential, row.zone, row.name) not in standing
    ]
    teams: dict[str, list[tuple[DnsRecord, DnsCredential]]] = {}
    for row, credential in rows:
        teams.setdefault(credential.team_id, []).append((row, credential))
    async with asyncio.TaskGroup() as turns:
        for own in teams.values():
            turns.create_task(_sweep_team(resources, own[:_EACH_TURN]))


async def _sweep_team(resources: Resources, rows: Sequence[tuple[DnsRecord, DnsCredential]]) -> None:
    until = time.monotonic() + _SWEEP_SECONDS
    for row, credential in rows:
        if time.monotonic() > until:
            return
        turn = _turn(resources, _place(credential, row.zone, row.name))
        if turn.locked():
            continue
        try:
            async with turn:
                await remove_record(resources, credential, row)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other records are none the worse
            await _count_try(resources, row, getattr(error, "reason", type(error).__name__))


async def _count_try(resources: Resources, row: DnsRecord, reason: str) -> None:
    is_over = row.tries + 1 >= MOST_TRIES
    log.warning("dns_record_left", record=row.name, zone=row.zone, reason=reason, is_given_up=is_over)
    this = DnsRecord.id == row.id
    async with resources.db.write() as session:
        change = delete(DnsRecord) if is_over else update(DnsRecord).values(tries=DnsRecord.tries + 1)
        await session.execute(change.where(this))


async def check_zones(resources: Resources, scope: Scope, credential_id: str) -> list[ReachCheck]:
    """Check that each zone is found and that the provider accepts the credential for it. Nothing is changed there.

    Raises RateLimited while another credential of the team is being checked.
    """
    async with resources.db.read() as session:
        credential = await get_dns_credential(session, scope, credential_id)
    team = credential.team_id
    if team in resources.dns_checks:
        raise RateLimited(
            "a DNS credential is being tried already", hint="Try again when that is done.", retry_after=10
        )
    resources.dns_checks.add(team)
    try:
        return [await _check_zone(resources, credential, zone) for zone in credential.zones[:_MOST_CHECKED]]
    finally:
        resources.dns_checks.discard(team)


async def _check_zone(resources: Resources, credential: DnsCredential, zone: str) -> ReachCheck:
    answer = await _find(resources, credential, PROOF + zone)
    if "message" not in answer:
        found = answer["zone"]
        answer = await run_task(resources, credential, "check", record=answer["record"], zone=found)
        if "message" not in answer:
            return ReachCheck("provider", True, f"{zone}: the zone {found} can be changed")
    hints = {"rejected": "Store another one with `orc dns update`.", "unreachable": "Try again in a moment."}
    return ReachCheck("provider", False, f"{zone}: {answer['message']}", hints.get(answer["kind"], ""))


async def _find(resources: Resources, credential: DnsCredential, name: str) -> Answer:
    """Return where the record belongs. An alias must not lead outside the zones of the credential."""
    found = await run_task(resources, credential, "find", record=name)
    target = found.get("record", name).lower()
    if target == name or is_within(target, credential.zones):
        return found
    message = f"{name} leads to {target}, which is in no zone of this DNS credential; name it there (`orc dns update`)"
    return {"kind": "refused", "message": message}


async def run_task(resources: Resources, credential: DnsCredential, task: str, **asked: str) -> Answer:
    """Run a task of `change_record` in its own process. The answer has `kind` and `message` when it failed."""
    try:
        async with resources.db.read() as session:
            fields = await open_fields(session, resources.secret_box, credential)
    except SecretUnreadable as error:
        return {"kind": "rejected", "message": error.message}
    acme = resources.settings.acme
    order: dict[str, Any] = {
        **asked, "task": task, "provider": credential.provider, "fields": fields,
        "resolvers": list(acme.dns_resolvers), "private": acme.dns_private_networks,
        "loopback": acme.dns_loopback,
    }  # fmt: skip
    argv = (sys.executable, "-I", "-m", _MODULE)
    try:
        command = Command(argv, deadline=DEADLINES[task], stdin=json.dumps(order).encode())
        async with nullcontext() if task in _ONLY_DNS else resources.dns_slots:
            connector = await resources.systems.connector(LOCAL)
            result = await connector.run(command)
        answer: Answer = json.loads(result.stdout)
    except DeadlineExceeded:
        return {"kind": "unreachable", "message": f"the provider did not answer within {DEADLINES[task]} s"}
    except ProviderUnavailable as error:
        return {"kind": "unreachable", "message": error.message}
    except ValueError:
        return {"kind": "refused", "message": "the program that asks the provider ended without an answer"}
    return answer


def _check(answer: Answer) -> Answer:
    if "message" not in answer:
        return answer
    step = "; `orc dns update` takes another one" if answer["kind"] == "rejected" else ""
    raise OrderFailed("unproven", answer["message"] + step)
