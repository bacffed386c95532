"""Limits what clients may hold open: deadlines for a request's head and body, and a maximum of connections.

uvicorn itself waits forever for both and accepts any number of connections. Here each connection is checked once a
second; when there is no room, the one that has been idle longest is closed. Responses may take long: streams of
events are not cut as long as the client reads them.
"""

import asyncio
import logging
import resource
import sys
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fcntl import ioctl
from functools import partial
from ipaddress import IPv6Address, ip_address, ip_network
from termios import TIOCOUTQ
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_TICK = 1.0
_FILES = 16_384
"""The limit of open files to request from the system."""
_OWN_FILES = 256
"""Open files reserved for the panel itself: database, Docker, builds."""
_MOST, _MOST_EACH = 2048, 256
_ANSWER = (
    "HTTP/1.1 {}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n{}Content-Length: {}\r\n\r\n{}"
)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait for the client, in seconds."""

    head: float = 10
    body: float = 20
    """Time for a body without receiving a byte; each byte that arrives adds time."""
    body_rate: int = 1024
    """Minimum bytes per second of a body."""
    reading: float = 60
    """Time in which the client reads nothing of a response that waits to be sent."""


@dataclass(frozen=True, slots=True)
class Caps:
    """How many connections may be open."""

    total: int
    each_peer: int

    @classmethod
    def within(cls, files: int) -> "Caps":
        """Return the caps for this limit of open files, with enough left for everything else."""
        total = max(min(_MOST, files - _OWN_FILES), 8)
        return cls(total, max(min(_MOST_EACH, total // 4), 4))


def raise_file_limit() -> int:
    """Raise the limit of open files as far as possible without privileges, and return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _FILES if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


class Connections:
    """All open connections of one listener, oldest first, and their peers."""

    def __init__(self, caps: Caps, *, patience: Timeouts | None = None, trusted: Collection[str] = ()) -> None:
        self.caps = caps
        self.patience = patience or Timeouts()
        self._trusted = [ip_network(network) for network in trusted]
        self._open: dict[Connection, str | None] = {}
        self._by_peer: dict[str, dict[Connection, None]] = {}
        self._ticking: asyncio.TimerHandle | None = None

    def admit(self, newcomer: "Connection") -> bool:
        """Whether there is room; if necessary an older connection without a request is dropped."""
        peer = self._peer_of(newcomer)
        mine = self._by_peer.get(peer, {}) if peer is not None else {}
        if len(mine) >= self.caps.each_peer and not self._drop_one(mine):
            return False
        if len(self._open) >= self.caps.total and not self._drop_one(self._open):
            return False
        self._open[newcomer] = peer
        if peer is not None:
            self._by_peer.setdefault(peer, {})[newcomer] = None
        if self._ticking is None:
            self._ticking = asyncio.get_running_loop().call_later(_TICK, self._tick)
        return True

    def release(self, connection: "Connection") -> None:
        """Remove a closed connection; safe to call twice."""
        peer = self._open.pop(connection, None)
        if peer is not None:
            mine = self._by_peer[peer]
            del mine[connection]
            if not mine:
                del self._by_peer[peer]

    def _drop_one(self, connections: Iterable["Connection"]) -> bool:
        waiting = next((connection for connection in connections if connection.is_waiting), None)
        if waiting is not None:
            self.release(waiting)
            waiting.transport.abort()
        return waiting is not None

    def _tick(self) -> None:
        for connection in list(self._open):
            connection.grow_older(_TICK)
        running = asyncio.get_running_loop()
        self._ticking = running.call_later(_TICK, self._tick) if self._open else None

    def _peer_of(self, connection: "Connection") -> str | None:
        """Return the network that one person usually controls; None for proxies, which serve many people."""
        if connection.client is None:
            return None
        address = ip_address(connection.client[0].partition("%")[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if any(address in network for network in self._trusted):
            return None
        return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else str(address)


class Connection(H11Protocol):
    """uvicorn's connection, with deadlines."""

    def __init__(self, *given: Any, connections: Connections, **named: Any) -> None:
        super().__init__(*given, **named)
        self._all = connections
        self._patience = connections.patience
        self._head = self._unread = 0.0
        self._unsent = 0
        """Bytes of responses that were unsent at the last check."""
        self._credit = self._patience.body
        self._is_socket = False

    @property
    def is_waiting(self) -> bool:
        """Whether the connection is idle: every request that has arrived is answered, and it is no WebSocket."""
        if self._is_socket:
            return False
        return self.cycle is None or (self.cycle.response_complete and self.conn.their_state is h11.IDLE)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Count the connection, or answer that there is no room."""
        super().connection_made(transport)
        if not self._all.admit(self):
            self._answer("503 Service Unavailable", "Too many connections are open; try again soon.\n", retry_after=10)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the connection."""
        self._all.release(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Add time for bytes of a body; end the wait for the head when it is complete."""
        if self.transport.is_closing():
            return
        before = self.cycle
        if before is not None and not before.response_complete:
            self._credit = min(self._credit + len(data) / self._patience.body_rate, self._patience.body)
        super().data_received(data)
        if self.cycle is not before:
            self._head, self._credit = 0.0, self._patience.body

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over to a WebSocket; it counts until that is lost. Its pings find out who is gone."""
        self._is_socket = True
        self.ws_protocol_class = partial(Socket, connection=self)  # type: ignore[assignment]  # it only calls it
        super().handle_websocket_upgrade(event)

    def release(self) -> None:
        """Release the connection of a WebSocket that was lost."""
        self._all.release(self)

    def grow_older(self, seconds: float) -> None:
        """Account for the time since the last check, and close a connection that waited too long."""
        if self._is_socket:
            return
        if self.flow.write_paused or self.transport.is_closing():
            self._wait_for_reader(seconds)
            return
        self._unread, self._unsent = 0.0, 0
        if self.conn.their_state is h11.IDLE:
            self._wait_for_head(seconds)
        elif self.conn.their_state is h11.SEND_BODY:
            self._wait_for_body(seconds)
        else:
            self._credit = self._patience.body

    def resume_writing(self) -> None:
        """Called when the client has read enough for more to be written."""
        self._unread = 0.0
        super().resume_writing()

    def _wait_for_reader(self, seconds: float) -> None:
        """Check whether the client reads. Nothing is written meanwhile, so fewer unsent bytes mean that it read."""
        before, self._unsent = self._unsent, self._count_unsent()
        self._unread = 0.0 if self._unsent < before else self._unread + seconds
        if self._unread >= self._patience.reading:
            self.transport.abort()

    def _count_unsent(self) -> int:
        """Count unsent bytes, with the kernel's buffer, which accepts more only when a good part of it was sent."""
        try:
            held = ioctl(self.transport.get_extra_info("socket").fileno(), TIOCOUTQ, bytes(4))
        except (OSError, ValueError):  # already closed
            held = b""
        return self.transport.get_write_buffer_size() + int.from_bytes(held, sys.byteorder)

    def _wait_for_head(self, seconds: float) -> None:
        """Check the deadline of the head. Between requests uvicorn's shorter one runs until the next first byte."""
        self._head = 0.0 if self.timeout_keep_alive_task is not None else self._head + seconds
        if self._head >= self._patience.head:
            self.transport.close()

    def _wait_for_body(self, seconds: float) -> None:
        """Check the deadline of the body; only time in which the client could have sent something counts."""
        if self.flow.read_paused or self.cycle.waiting_for_100_continue:
            return
        self._credit -= seconds
        if self._credit > 0:
            return
        if self.cycle.response_started:
            self.transport.close()
            return
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        slow = f"nothing for {self._patience.body:g} seconds, or less than {self._patience.body_rate} bytes a second"
        self._answer("408 Request Timeout", f"The request did not arrive in time: {slow}.\n")

    def _answer(self, status: str, text: str, *, retry_after: int | None = None) -> None:
        """Write a response without h11, as the last one on this connection."""
        more = f"Retry-After: {retry_after}\r\n" if retry_after else ""
        self.transport.write(_ANSWER.format(status, more, len(text), text).encode())
        self.transport.close()


class Socket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, which releases its connection."""

    def __init__(self, *given: Any, connection: Connection, **named: Any) -> None:
        super().__init__(*given, **named)
        self._connection = connection

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the connection."""
        self._connection.release()
        super().connection_lost(exc)


class RateLimitedLogFilter(logging.Filter):
    """Rate-limits a log line that clients can cause at will; a line that passes has the number of suppressed ones."""

    _CAUSED = (
        "socket.accept() out of system resource", "Invalid HTTP request received.", "Unsupported upgrade request.",
        "No supported WebSocket library detected.",
    )  # fmt: skip
    loggers = ("asyncio", "uvicorn.error")

    def __init__(self, seconds: float = 60) -> None:
        super().__init__()
        self._seconds = seconds
        self._seen: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is written."""
        text = str(record.msg)
        line = next((cause for cause in self._CAUSED if text.startswith(cause)), None)
        if line is None:
            return True
        at, left_out = self._seen.get(line, (float("-inf"), 0))
        if time.monotonic() - at < self._seconds:
            self._seen[line] = (at, left_out + 1)
            return False
        self._seen[line] = (time.monotonic(), 0)
        if left_out:
            record.msg = f"{text} (and {left_out} times more since this was last said)"
        return True
