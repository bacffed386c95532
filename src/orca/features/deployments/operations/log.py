"""The log of a deployment: bounded, redacted, readable while it grows."""

import asyncio
import time

import structlog
from sqlalchemy import delete, func, select

from orca.db import DATABASE_AWAY, Database, now
from orca.events import notifier
from orca.features.deployments.models import LogChunk
from orca.kit.cancellation import finish_then_cancel
from orca.kit.text import clean_lines, redact, redactions

log = structlog.get_logger("orca.deployments")

FLUSH_SECONDS = 0.25
FLUSH_CHARACTERS = 131_072
KEEP_HEAD = 64 << 10
KEEP_TAIL = 1 << 20
_LINE_LIMIT = 8192


class LogWriter:
    """Collects lines and stores them in chunks. Of a longer log, the beginning and the last MiB are kept."""

    def __init__(self, db: Database, deployment_id: str, secrets: tuple[str, ...] = ()) -> None:
        self.step = ""
        self._db = db
        self._deployment_id = deployment_id
        self._secrets = redactions(secrets)
        self._lines: list[str] = []
        self._size = 0
        self._unsaved = ""
        self._offset: int | None = None
        self._trimmed_at = 0
        self._flushed_at = time.monotonic()
        self._lock = asyncio.Lock()
        self._later: asyncio.Task[None] | None = None

    async def write(self, line: str) -> None:
        """Add a line (or several). Control sequences and the deployment's secrets are removed before it is stored.

        While the database is unreachable, the last MiB is buffered, and the caller is not blocked.
        """
        self._lines.append(line.rstrip("\n"))
        self._size += len(line)
        if self._size >= FLUSH_CHARACTERS or time.monotonic() - self._flushed_at >= FLUSH_SECONDS:
            await self._try_to_flush()
        elif self._later is None or self._later.done():
            self._later = asyncio.create_task(self._flush_later())

    async def _flush_later(self) -> None:
        """Flush after a pause, so that the last lines do not wait for the next one."""
        await asyncio.sleep(FLUSH_SECONDS)
        await self._try_to_flush()

    async def _try_to_flush(self) -> None:
        try:
            await self.flush()
        except DATABASE_AWAY as error:
            reason = str(getattr(error, "orig", error))
            log.warning("log_waits_for_database", deployment=self._deployment_id, reason=reason)

    async def flush(self) -> None:
        """Store the collected lines. Text that could not be stored is kept for the next flush."""
        async with self._lock:
            self._flushed_at = time.monotonic()
            if self._lines:
                self._unsaved = (self._unsaved + self._take_lines())[-KEEP_TAIL:]
            if not self._unsaved:
                return
            offset = await self._find_end() if self._offset is None else self._offset
            self._offset = None  # a commit whose answer was lost may have happened
            # If this were cancelled after the commit, the next flush would store the text a second time.
            await finish_then_cancel(self._store(self._unsaved, offset))
            self._offset, self._unsaved = offset + len(self._unsaved), ""
        notifier.notify()

    def _take_lines(self) -> str:
        """Return the collected text, redacted before long lines are cut: half a secret would not be recognised."""
        lines, self._lines, self._size = self._lines, [], 0
        text = redact(clean_lines(lines), self._secrets)
        if max(map(len, lines)) > _LINE_LIMIT:
            text = "\n".join(line[:_LINE_LIMIT] for line in text.split("\n"))
        return text

    async def _find_end(self) -> int:
        async with self._db.read() as session:
            query = select(func.max(LogChunk.offset + func.length(LogChunk.text)))
            return await session.scalar(query.where(LogChunk.deployment_id == self._deployment_id)) or 0

    async def _store(self, text: str, offset: int) -> None:
        async with self._db.write() as session:
            chunk = LogChunk(deployment_id=self._deployment_id, offset=offset, step=self.step, text=text, at=now())
            session.add(chunk)
            if offset - self._trimmed_at > KEEP_TAIL // 4 and offset > KEEP_HEAD + KEEP_TAIL:
                self._trimmed_at = offset
                await session.execute(
                    delete(LogChunk).where(
                        LogChunk.deployment_id == self._deployment_id,
                        LogChunk.offset >= KEEP_HEAD,
                        LogChunk.offset < offset - KEEP_TAIL,
                    )
                )
