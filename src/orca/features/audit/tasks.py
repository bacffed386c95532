"""Background doors: the periodic job that proves the trail, and signs how far it went."""

import asyncio
from datetime import datetime, timedelta

import structlog

from orca.events import Fact, record
from orca.features.audit.actions import append_checkpoint, find_last_checkpoint
from orca.features.audit.queries import find_hash, find_newest, load_checkpoints, verify_trail
from orca.features.audit.rules import FILE_NAME, is_due
from orca.instance.marker import note_progress
from orca.kit.threads import run_in_thread
from orca.resources import Resources
from orca.tasks import Periodic

log = structlog.get_logger("orca.audit")
VERIFY_EVERY = timedelta(days=1)


async def write_checkpoint(resources: Resources) -> None:
    """Sign the newest event when that is due, and say so in the log, which may be kept elsewhere.

    Nothing is signed on top of a trail that contradicts the last checkpoint.
    """
    path = resources.settings.data_dir / FILE_NAME
    last = await asyncio.to_thread(find_last_checkpoint, path)
    async with resources.db.read() as session:
        known = await find_hash(session, last.seq) if last else None
        newest = await find_newest(session)
    if last is not None and known != last.hash:
        log.critical("audit_trail_contradicts_checkpoint", seq=last.seq, signed_at=last.at)
        return
    at = resources.clock.now()
    if newest is not None and is_due(last, newest[0], at):
        await run_in_thread(append_checkpoint, path, resources.secret_box.sign, *newest, at)
        log.info("audit_checkpoint", seq=newest[0], hash=newest[1])


async def remember_newest(resources: Resources) -> None:
    """Outside the database, so that the next start sees when its end is missing."""
    async with resources.db.read() as session:
        newest = await find_newest(session)
    if newest is not None:
        await run_in_thread(note_progress, resources.settings.data_dir, *newest)


async def verify(resources: Resources) -> None:
    """Walk the whole trail. What is wrong is told in the log and as an event."""
    checkpoints = await asyncio.to_thread(load_checkpoints, resources.settings)
    async with resources.db.read() as session:
        trail = await verify_trail(session, resources.secret_box.sign, checkpoints)
    if not trail.problem:
        return
    log.critical("audit_trail_broken", seq=trail.first_broken, problem=trail.problem)
    async with resources.db.write() as session:
        payload = {"problem": trail.problem, "seq": trail.first_broken}
        await record(session, Fact("AuditTrailBroken", payload=payload, outcome="failed"))


class Keeper:
    """The job of one process: prove the trail when it begins and every day, and sign it on the way.

    One job, because the lease on one that runs daily would outlive its holder by days.
    """

    def __init__(self) -> None:
        self._verified_at: datetime | None = None

    async def run(self, resources: Resources) -> None:
        """See `verify` and `write_checkpoint`."""
        at = resources.clock.now()
        if self._verified_at is None or at - self._verified_at >= VERIFY_EVERY:
            await verify(resources)
            self._verified_at = at
        await write_checkpoint(resources)
        await remember_newest(resources)


PERIODIC = (Periodic("audit-trail", 60, Keeper().run),)
