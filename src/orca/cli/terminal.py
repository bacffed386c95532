"""Connects this terminal, or this pipe, to a command in a container, by a WebSocket.

What the command writes reaches a pseudo-terminal unchanged, as with `ssh`: it controls the terminal of the person who
runs it.
"""

import codecs
import json
import os
import select
import signal
import ssl
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from orca.cli.client import API, Client
from orca.cli.connection import ProxiedConnection, explain
from orca.cli.connection import connect as open_connection
from orca.cli.failures import INTERRUPTED, UNREACHABLE, CommandFailed, UsageError
from orca.cli.output import Output, ReaderGone

OWN_FAILURE = 125
"""The exit code when the command could not be run or followed to its end, as in `docker exec`."""
_INPUT = b"\0"
_STDERR = 2
_RESTARTS = 1012
"""Code of WebSockets with which a server that stops closes them."""
_CHUNK = 32 << 10
_ACKNOWLEDGE = 64 << 10
_SECONDS = 30.0


def _size() -> os.terminal_size:
    """The terminal's own size: COLUMNS and LINES of a shell are those from when it last drew."""
    try:
        return os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        return os.terminal_size((80, 24))


class TerminalClient:
    """One command in a container, from its start to its exit code."""

    def __init__(self, client: Client, output: Output, *, has_tty: bool, has_input: bool) -> None:
        self._client = client
        self._output = output
        self._has_tty = has_tty
        self._has_input = has_input
        self._room = 0
        self._wake, self._woken = os.pipe()
        self._texts = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in (1, _STDERR)}

    def run(self, target: str, first: dict[str, Any]) -> int:
        """Run the command and return its exit code. Raises CommandFailed."""
        columns, rows = _size()
        with _opened(self._client, target) as socket, self._prepared():
            socket.send(json.dumps({**first, "type": "open", "tty": self._has_tty, "columns": columns, "rows": rows}))
            threading.Thread(target=self._send_input, args=(socket,), daemon=True).start()
            try:
                return self._receive(socket)
            except ConnectionClosed as closed:
                raise _broken(is_restarting=closed.rcvd is not None and closed.rcvd.code == _RESTARTS) from None
            except KeyboardInterrupt:
                return INTERRUPTED

    @contextmanager
    def _prepared(self) -> Iterator[None]:
        """Switch this terminal to raw mode and watch its size; restore it in any case."""
        before = termios.tcgetattr(sys.stdin) if self._has_tty else None
        former = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGHUP)}
        if before is not None:
            os.set_blocking(self._woken, False)
            former[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, _ignore)
            signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
            tty.setraw(sys.stdin, termios.TCSADRAIN)
        try:
            yield
        finally:
            if before is not None:
                signal.set_wakeup_fd(-1)
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
            for number, handler in former.items():
                signal.signal(number, handler)

    def _receive(self, socket: ClientConnection) -> int:
        shown = 0
        for message in socket:
            if isinstance(message, bytes):
                self._show(message[0], message[1:])
                shown += len(message) - 1
                if shown >= _ACKNOWLEDGE:
                    socket.send(json.dumps({"type": "ack", "bytes": shown}))
                    shown = 0
                continue
            facts = json.loads(message)
            kind = facts.get("type")
            if kind == "opened":
                self._grow(int(facts.get("window", _CHUNK)))
            elif kind == "ack":
                self._grow(int(facts["bytes"]))
            elif kind == "closed":
                return _exit_code(facts)
            elif kind == "refused":
                raise CommandFailed(str(facts.get("message")), hint=str(facts.get("hint") or ""), code=OWN_FAILURE)
        raise _broken()

    def _show(self, channel: int, data: bytes) -> None:
        stream = sys.stderr if channel == _STDERR else sys.stdout
        if stream.isatty() and not self._has_tty:  # the output of a program, which may not control the terminal
            screen = self._output.err if channel == _STDERR else self._output.out
            screen.text(self._texts[channel].decode(data))
            return
        try:
            stream.buffer.write(data)
            stream.buffer.flush()
        except BrokenPipeError:
            raise ReaderGone from None

    def _grow(self, count: int) -> None:
        """Allow that many further bytes of input to be sent."""
        self._room += count
        os.write(self._woken, b"\0")

    def _send_input(self, socket: ClientConnection) -> None:
        """Send what is typed, and the size whenever it has changed; ends with the process."""
        size, is_open = _size(), self._has_input
        if not is_open:
            with suppress(ConnectionClosed):
                socket.send(json.dumps({"type": "end-of-input"}))
        with suppress(ConnectionClosed, OSError):
            while True:
                source = [sys.stdin.fileno()] if is_open and self._room > 0 else []
                ready, _, _ = select.select([self._wake, *source], [], [])
                if self._wake in ready:
                    os.read(self._wake, _CHUNK)
                    if self._has_tty and (new := _size()) != size:
                        size = new
                        socket.send(json.dumps({"type": "resize", "columns": size.columns, "rows": size.lines}))
                if source and source[0] in ready:
                    data = os.read(source[0], min(_CHUNK, self._room))
                    self._room -= len(data)
                    is_open = bool(data)
                    socket.send(_INPUT + data if data else json.dumps({"type": "end-of-input"}))


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(INTERRUPTED)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """The byte in the pipe is what counts."""


def _exit_code(facts: dict[str, Any]) -> int:
    if facts.get("reason") == "exited" and facts.get("exit_code") is not None:
        return int(facts["exit_code"])
    raise CommandFailed(f"the command was ended: {facts.get('message', '')}", code=OWN_FAILURE)


def _broken(*, is_restarting: bool = False) -> CommandFailed:
    reason = "Orca is stopping or restarting" if is_restarting else "the connection broke"
    return CommandFailed(f"{reason}, so the command was killed", code=UNREACHABLE)


@contextmanager
def _opened(client: Client, target: str) -> Iterator[ClientConnection]:
    """Open the WebSocket on a connection of the same kind as all other requests have. Raises CommandFailed."""
    server = client.server
    parts = urlsplit(server.url)
    host = "localhost" if server.socket is not None else parts.netloc.rpartition("@")[2]
    address = f"ws://{host}{parts.path.rstrip('/')}{API}{target}"
    try:
        connection = open_connection(server.url, server.socket, _SECONDS)
        if isinstance(connection, ProxiedConnection):
            raise UsageError(
                "the proxy in the environment passes on no WebSockets to a server without TLS",
                hint="Name the server in NO_PROXY, or use its https address.",
            )
        connection.connect()
        socket = connect(
            address, sock=connection.sock, additional_headers=client.headers(), user_agent_header=None,
            compression=None, open_timeout=_SECONDS, close_timeout=2, proxy=None, max_size=1 << 20,
        )  # fmt: skip
    except InvalidStatus as error:
        raise client.failure_of(error.response.status_code, error.response.headers, error.response.body) from None
    except (OSError, ssl.SSLError, InvalidHandshake) as error:
        raise explain(error, server.url, server.socket) from None
    try:
        yield socket
    finally:
        socket.close()
