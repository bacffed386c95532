"""Writes: a terminal is opened, is alive, is over."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.events import Fact, record
from orca.features.terminals.models import OpenTerminal
from orca.features.terminals.rules import Reason


@dataclass(frozen=True, slots=True)
class End:
    """How a terminal ended."""

    reason: Reason
    exit_code: int | None = None
    message: str = ""
    """What the engine said, if it failed."""


async def add_terminal(session: AsyncSession, terminal: OpenTerminal, command: str) -> None:
    """Store an open terminal and record who opened it: the program's name, never its arguments or what is typed."""
    session.add(terminal)
    await session.flush()
    payload = {"terminal_id": terminal.id, "replica": terminal.replica, "command": command}
    await record(session, Fact("TerminalOpened", terminal.team_id, "service", terminal.service_id, payload))


async def mark_alive(session: AsyncSession, ids: Collection[str]) -> None:
    """Store that the process which has these terminals is alive."""
    await session.execute(update(OpenTerminal).where(OpenTerminal.id.in_(ids)).values(seen_at=now()))


async def close_terminal(session: AsyncSession, terminal: OpenTerminal, end: End) -> None:
    """Forget an open terminal and record its end, unless that was done already."""
    found = await session.scalar(delete(OpenTerminal).where(OpenTerminal.id == terminal.id).returning(OpenTerminal.id))
    if found is None:
        return
    payload = {
        "terminal_id": terminal.id, "replica": terminal.replica, "opened_by": terminal.actor, "reason": end.reason,
        "exit_code": end.exit_code, "seconds": round((now() - terminal.created_at).total_seconds()),
    }  # fmt: skip
    await record(session, Fact("TerminalClosed", terminal.team_id, "service", terminal.service_id, payload))
