"""Reads the output of a process with bounded memory."""

import asyncio
import os
from dataclasses import dataclass
from typing import Literal

from orca.kit.tail import Tail
from orca.sdk.connectors import OutputSink

CHUNK = 1 << 16
_LINGER = 1.0
"""Seconds for which output is read after a command's end, when a detached program holds the pipe."""
_LOOKS = 4
"""Several short waits instead of one: if the event loop was blocked, the next wait sees what arrived meanwhile."""


@dataclass(frozen=True, slots=True)
class Outlet:
    """The read end of a pipe, and the write end until the process has inherited it.

    asyncio's own pipes are not used: they cannot be closed while a detached program still holds the other end.
    """

    name: Literal["stdout", "stderr"]
    reader: asyncio.StreamReader
    transport: asyncio.ReadTransport
    inlet: int

    @classmethod
    async def open(cls, name: Literal["stdout", "stderr"]) -> "Outlet":
        """Create a pipe; while it is not read, the writer blocks once a few chunks are buffered."""
        loop = asyncio.get_running_loop()
        outlet, inlet = os.pipe()
        reader = asyncio.StreamReader(limit=2 * CHUNK, loop=loop)
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader, loop=loop), os.fdopen(outlet, "rb", buffering=0)
        )
        return cls(name, reader, transport, inlet)

    async def pump(self, tail: Tail, sink: OutputSink | None, turn: asyncio.Lock, ended: asyncio.Event) -> None:
        """Read to the end, passing one chunk at a time to the sink and waiting for it."""
        while chunk := await self._read(ended):
            tail.add(chunk)
            if sink:
                async with turn:
                    await sink(self.name, chunk)

    async def _read(self, ended: asyncio.Event) -> bytes:
        """Return the next chunk; empty at the end, or when no more arrived for a while after the command's end."""
        reading = asyncio.ensure_future(self.reader.read(CHUNK))
        ending = asyncio.ensure_future(ended.wait())
        try:
            await asyncio.wait((reading, ending), return_when=asyncio.FIRST_COMPLETED)
            for _ in range(_LOOKS):
                done, _pending = await asyncio.wait((reading,), timeout=_LINGER / _LOOKS)
                if done:
                    return reading.result()
            return b""
        finally:
            reading.cancel()
            ending.cancel()
