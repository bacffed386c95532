"""Lines of a deployment's log: a page of them, and a search in all that is kept. The id of a line is its offset."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.deployments.models import LogChunk
from orca.features.deployments.schemas import LogLineQuery
from orca.kit.text import clean_output

_LEVELS = {"✗ ": "error", "Warning: ": "warn"}
"""How Orca's own lines in the log begin."""


@dataclass(frozen=True, slots=True)
class DeploymentLogLine:
    """A line of the log, the step that wrote it, and when it was stored."""

    id: int
    step: str
    text: str
    at: datetime
    level: str


@dataclass(frozen=True, slots=True)
class LogPage:
    """Lines in order, and whether there are others before and behind them."""

    lines: Sequence[DeploymentLogLine] = ()
    has_older: bool = False
    has_newer: bool = False
    total: int | None = None
    """How many lines match a search."""


NO_LINES = LogPage()


async def read_log_page(session: AsyncSession, deployment_id: str, asked: LogLineQuery) -> LogPage:
    """Return the page that is asked for; the end of the log by default."""
    if asked.grep:
        return await _search(session, deployment_id, asked)
    if asked.after is not None:
        found = await _read_after(session, deployment_id, asked.after, asked.limit + 1)
        return LogPage(found[: asked.limit], has_older=True, has_newer=len(found) > asked.limit)
    if asked.around is None:
        found = await _read_before(session, deployment_id, asked.before, asked.limit + 1)
        return LogPage(found[-asked.limit :], len(found) > asked.limit, has_newer=asked.before is not None)
    half = asked.limit // 2
    before = await _read_before(session, deployment_id, asked.around, half + 1)
    after = await _read_after(session, deployment_id, asked.around - 1, half + 2)
    lines = [*before[-half:], *after[: half + 1]]
    return LogPage(lines, has_older=len(before) > half, has_newer=len(after) > half + 1)


async def read_last_lines(
    session: AsyncSession, deployment_id: str, step: str, limit: int
) -> Sequence[DeploymentLogLine]:
    """Return the last lines that a step wrote, without Orca's own about its failure."""
    query = select(LogChunk).where(LogChunk.deployment_id == deployment_id, LogChunk.step == step)
    chunks = (await session.scalars(query.order_by(LogChunk.offset.desc()).limit(4 * limit))).all()
    lines = [line for chunk in reversed(chunks) for line in _last_of(chunk, None, 4 * limit)]
    return [line for line in lines if line.level != "error" and line.text.strip()][-limit:]


async def find_step_lines(session: AsyncSession, deployment_id: str) -> dict[str, int]:
    """Map each step that wrote something to the id of its first line that is kept."""
    query = select(LogChunk.step, func.min(LogChunk.offset)).where(LogChunk.deployment_id == deployment_id)
    return dict((await session.execute(query.group_by(LogChunk.step))).all())


def split_chunk(chunk: LogChunk) -> list[DeploymentLogLine]:
    """Return the lines of a chunk, each with its offset in the log."""
    return _draw(chunk, chunk.offset, chunk.text.removesuffix("\n").split("\n"))


def _draw(chunk: LogChunk, place: int, texts: Sequence[str]) -> list[DeploymentLogLine]:
    lines, at = [], chunk.at.replace(microsecond=0)
    for text in texts:
        level = next((level for start, level in _LEVELS.items() if text.startswith(start)), "none")
        lines.append(DeploymentLogLine(place, chunk.step, text.rstrip("\r"), at, level))
        place += len(text) + 1
    return lines


def _last_of(chunk: LogChunk, before: int | None, wanted: int) -> list[DeploymentLogLine]:
    """Return the last lines of a chunk before an offset, without looking at the others: a chunk may have thousands."""
    text = chunk.text if before is None else chunk.text[: max(0, before - chunk.offset)]
    texts = text.removesuffix("\n").rsplit("\n", wanted)
    if len(texts) <= wanted:
        return _draw(chunk, chunk.offset, texts) if text else []
    return _draw(chunk, chunk.offset + len(texts[0]) + 1, texts[1:])


def _first_of(chunk: LogChunk, after: int, wanted: int) -> list[DeploymentLogLine]:
    """Return the first lines of a chunk behind an offset."""
    whole = chunk.text.removesuffix("\n")
    begin = whole.find("\n", after - chunk.offset) + 1 if after >= chunk.offset else 0
    if after >= chunk.offset and begin == 0:
        return []
    return _draw(chunk, chunk.offset + begin, whole[begin:].split("\n", wanted)[:wanted])


def _gap(before: LogChunk, chunk: LogChunk) -> list[DeploymentLogLine]:
    """Return a line for the part of the log between two chunks that was dropped."""
    end = before.offset + len(before.text)
    left_out = f"… {chunk.offset - end:,} characters were left out …"
    return [DeploymentLogLine(end, chunk.step, left_out, before.at, "none")] if chunk.offset > end else []


async def _read_before(
    session: AsyncSession, deployment_id: str, before: int | None, wanted: int
) -> list[DeploymentLogLine]:
    """Return the last `wanted` lines before an offset, or of the whole log. Each chunk has a line or more."""
    query = select(LogChunk).where(LogChunk.deployment_id == deployment_id).order_by(LogChunk.offset.desc())
    if before is not None:
        query = query.where(LogChunk.offset < before)
    lines: list[DeploymentLogLine] = []
    later: LogChunk | None = None
    for chunk in await session.scalars(query.limit(wanted)):
        lines[:0] = [*_last_of(chunk, before, wanted), *(_gap(chunk, later) if later else ())]
        later = chunk
        if len(lines) >= wanted:
            break
    return lines[-wanted:]


async def _read_after(session: AsyncSession, deployment_id: str, after: int, wanted: int) -> list[DeploymentLogLine]:
    """Return the first `wanted` lines behind an offset. The chunk of the offset itself may have none of them."""
    begin = select(func.max(LogChunk.offset)).where(LogChunk.deployment_id == deployment_id, LogChunk.offset <= after)
    query = select(LogChunk).where(LogChunk.deployment_id == deployment_id).order_by(LogChunk.offset)
    query = query.where(LogChunk.offset >= func.coalesce(begin.scalar_subquery(), 0))
    lines: list[DeploymentLogLine] = []
    earlier: LogChunk | None = None
    for chunk in await session.scalars(query.limit(wanted + 1)):
        lines += [*(_gap(earlier, chunk) if earlier else ()), *_first_of(chunk, after, wanted)]
        earlier = chunk
        if len(lines) >= wanted:
            break
    return lines[:wanted]


async def _search(session: AsyncSession, deployment_id: str, asked: LogLineQuery) -> LogPage:
    """Look through all that is kept, off the event loop: the size of a log is limited."""
    query = select(LogChunk).where(LogChunk.deployment_id == deployment_id).order_by(LogChunk.offset)
    chunks = (await session.scalars(query)).all()
    matches = await asyncio.to_thread(_find, chunks, asked.grep.lower())
    before, after = asked.before, asked.after
    if after is not None:
        found = [line for line in matches if line.id > after]
        return LogPage(found[: asked.limit], has_newer=len(found) > asked.limit, total=len(matches))
    found = [line for line in matches if before is None or line.id < before]
    return LogPage(found[-asked.limit :], len(found) > asked.limit, total=len(matches))


def _find(chunks: Iterable[LogChunk], wanted: str) -> list[DeploymentLogLine]:
    return [line for chunk in chunks for line in split_chunk(chunk) if wanted in _plain(line.text).lower()]


def _plain(text: str) -> str:
    return clean_output(text, colours=False) if "\x1b" in text else text
