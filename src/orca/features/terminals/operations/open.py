"""Opens terminals, finds those that were kept, and ends those of processes that died."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import structlog

from orca.db import now
from orca.errors import Conflict, NotFound, OrcaError
from orca.features.deployments.queries import find_system
from orca.features.services.queries import get_service
from orca.features.terminals.actions import End, add_terminal, close_terminal
from orca.features.terminals.models import OpenTerminal
from orca.features.terminals.operations.session import TerminalSession
from orca.features.terminals.queries import list_lost
from orca.features.terminals.rules import MOST, MOST_OF_USER
from orca.features.terminals.schemas import OpenIn
from orca.kit.ids import new_id
from orca.resources import Resources
from orca.sdk.engines import Engine, SupportsExec, SupportsTerminals
from orca.sdk.terminals import TerminalRequest, TerminalSize
from orca.sdk.workloads import Replica
from orca.web.guard import Scope, Subject

log = structlog.get_logger("orca.terminals")
LOST_AFTER = timedelta(seconds=90)
_PROBE_SECONDS = 5.0
_FINISH_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class _Opening:
    """Keeps the place of a terminal while it is being opened."""

    owner: tuple[str, ...]


async def open_terminal(
    resources: Resources, subject: Subject, scope: Scope, service_id: str, wanted: OpenIn
) -> TerminalSession:
    """Start a command in a replica of a service. Raises Conflict, NotFound and ProviderError."""
    owner = owner_of(subject, service_id)
    with _reserve(resources, owner) as terminal_id:
        async with resources.db.read(scope.team_id, scope.reach) as session:
            service = await get_service(session, scope, service_id)
            system_id = await find_system(session, service_id)
        engine = await resources.systems.engine(system_id)
        if not isinstance(engine, SupportsTerminals):
            raise Conflict("the engine of this service cannot open terminals")
        replica = _choose(await engine.observe({"orca.service": service_id}), wanted.replica)
        argv = tuple(wanted.command) or await _find_shell(engine, replica)
        request = TerminalRequest(argv, TerminalSize(wanted.columns, wanted.rows) if wanted.tty else None)
        row = OpenTerminal(
            id=terminal_id, team_id=service.team_id, service_id=service_id, system_id=system_id, replica=replica.name,
            replica_id=replica.id, engine_id=await engine.prepare_terminal(replica, request), actor=subject.actor,
            created_at=now(), seen_at=now(),
        )  # fmt: skip
        async with resources.db.write(service.team_id) as session:
            await add_terminal(session, row, argv[0])
        opened = TerminalSession(
            resources,
            row,
            lambda: engine.open_terminal(replica, row.engine_id, request),
            owner=owner,
            keeps=wanted.keep,
        )
        opened.start()
        return opened


def find_terminal(resources: Resources, subject: Subject, service_id: str, terminal_id: str) -> TerminalSession:
    """Return an open terminal of the same user in the same service. Raises NotFound."""
    found = resources.terminals.get(terminal_id)
    if not isinstance(found, TerminalSession) or found.owner != owner_of(subject, service_id):
        raise NotFound("this terminal is not open any more")
    return found


def owner_of(subject: Subject, service_id: str) -> tuple[str, ...]:
    """Return whose a terminal is, and where."""
    return (subject.user_id or subject.actor, subject.team_id, service_id)


async def end_lost(resources: Resources) -> None:
    """End terminals whose process of Orca died, so that no shell stays behind in a container."""
    async with resources.db.read() as session:
        lost = await list_lost(session, now() - LOST_AFTER)
    for row in lost:
        try:
            engine = await resources.systems.engine(row.system_id)
            if isinstance(engine, SupportsTerminals):
                await engine.end_terminal(row.replica_id, row.engine_id)
        except OrcaError as error:
            log.warning("terminal_not_ended", terminal=row.id, reason=error.message)
            continue
        async with resources.db.write() as session:
            await close_terminal(session, row, End("lost"))


async def end_all(resources: Resources) -> None:
    """End the terminals of this process, which stops."""
    sessions = [session for session in resources.terminals.values() if isinstance(session, TerminalSession)]
    for session in sessions:
        session.stop("server-stopped")
    if sessions:
        await asyncio.wait([session.ended for session in sessions], timeout=_FINISH_SECONDS)


@contextmanager
def _reserve(resources: Resources, owner: tuple[str, ...]) -> Iterator[str]:
    """Take the place of one more terminal before anything is awaited, and free it if that is not opened."""
    taken: list[TerminalSession | _Opening] = list(resources.terminals.values())
    mine = sum(other.owner[0] == owner[0] for other in taken)
    if mine >= MOST_OF_USER or len(taken) >= MOST:
        raise Conflict("too many terminals are open", hint="Close one of them first.")
    terminal_id = new_id()
    resources.terminals[terminal_id] = _Opening(owner)
    try:
        yield terminal_id
    except BaseException:
        del resources.terminals[terminal_id]
        raise


def _choose(replicas: list[Replica], index: int | None) -> Replica:
    running = sorted((found for found in replicas if found.state == "running"), key=lambda found: found.index or 0)
    if not running:
        raise Conflict("nothing of this service runs", hint="Start or deploy it first; see `orc ps`.")
    chosen = [found for found in running if index in {None, found.index}]
    if not chosen:
        there = ", ".join(str(found.index) for found in running)
        raise NotFound(f"no replica {index} of this service runs", hint=f"There is: {there}.")
    return max(chosen, key=lambda found: (-(found.index or 0), found.labels.get("orca.release", "")))


async def _find_shell(engine: Engine, replica: Replica) -> tuple[str, ...]:
    """Return bash where the image has it, else sh."""
    if isinstance(engine, SupportsExec):
        try:
            if (await engine.exec(replica, ("bash", "--version"), deadline=_PROBE_SECONDS)).exit_code == 0:
                return ("bash",)
        except OrcaError:
            pass
    return ("sh",)
