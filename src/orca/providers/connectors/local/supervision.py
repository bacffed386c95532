"""Starts a command under its supervisor (`supervisor.py`) and guarantees that both end, in any case."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

from orca.errors import ProviderUnavailable, RequestRefused
from orca.kit.cancellation import shield_until_done
from orca.kit.tail import Tail
from orca.providers.connectors.local.order import GRACE
from orca.providers.connectors.local.output import CHUNK, Outlet
from orca.sdk.connectors import CommandResult, OutputSink

_SUPERVISOR = Path(__file__).with_name("supervisor.py")


class SupervisedProcess:
    """One command, its supervisor, and the pipes to both."""

    def __init__(
        self,
        supervisor: asyncio.subprocess.Process,
        control: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        outlets: tuple[Outlet, Outlet],
        stdin: bytes,
    ) -> None:
        self._leash = supervisor
        self._answers, self._control = control
        self._outlets = outlets
        self._stdin = stdin
        self._group: int | None = None

    async def start(self, order: bytes) -> None:
        """Make the supervisor start the command. Raises ProviderUnavailable and RequestRefused."""
        self._control.write(order)
        verdict, number, *rest = await self._hear()
        if verdict == b"started":
            self._group = int(number)
            return
        cause = os.strerror(int(number))
        if rest == [b"directory"]:
            raise RequestRefused(f"The working directory cannot be entered: {cause}.")
        raise ProviderUnavailable(f"The program cannot be started: {cause}.", hint="Install it, or correct the PATH.")

    async def follow(self, output_limit: int, sink: OutputSink | None) -> CommandResult:
        """Write stdin, read output, and wait until the command has ended and its output is read."""
        tails = Tail(output_limit), Tail(output_limit)
        turn, ended = asyncio.Lock(), asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                for outlet, tail in zip(self._outlets, tails, strict=True):
                    group.create_task(outlet.pump(tail, sink, turn, ended))
                feeding = group.create_task(self._feed())
                _, code = await self._hear()
                ended.set()
                feeding.cancel()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return CommandResult(int(code), tails[0].bytes(), tails[1].bytes())

    async def stop(self) -> None:
        """Close the socket, and wait until the group is empty; takes little more than GRACE."""
        if not self._control.is_closing():
            self._control.write_eof()
        try:
            async with asyncio.timeout(2 * GRACE):
                await self._leash.wait()
        except TimeoutError:
            self._kill()
            await self._leash.wait()
        for outlet in self._outlets:
            outlet.transport.close()
        self._control.close()
        with suppress(ConnectionError):
            await self._control.wait_closed()

    def _kill(self) -> None:
        """Kill the group, as the last resort, when the supervisor is gone or hangs."""
        with suppress(ProcessLookupError):
            if self._group and os.getsid(self._group) == self._leash.pid:
                os.killpg(self._group, signal.SIGKILL)
        with suppress(ProcessLookupError):
            self._leash.kill()

    async def _hear(self) -> list[bytes]:
        with suppress(ConnectionError):
            if answer := (await self._answers.readline()).split():
                return answer
        self._kill()
        raise ProviderUnavailable(
            "The supervisor of a command was killed, and the command with it.",
            hint="Look for an out-of-memory kill in the system log.",
        )

    async def _feed(self) -> None:
        if (stdin := self._leash.stdin) is None:
            return
        with suppress(ConnectionError):  # a command need not read its input
            stdin.write(self._stdin)
            await stdin.drain()
            stdin.close()
            await stdin.wait_closed()


@asynccontextmanager
async def supervised(order: bytes, stdin: bytes) -> AsyncIterator[SupervisedProcess]:
    """Start a command; no process of it is left when the context ends, cancelled or not."""
    spawning = asyncio.ensure_future(_spawn(stdin))
    try:
        process = await asyncio.shield(spawning)
        await process.start(order)
        yield process
    finally:
        await shield_until_done(_stop(spawning))


async def _stop(spawning: "asyncio.Future[SupervisedProcess]") -> None:
    with suppress(ProviderUnavailable):  # it never started, which was reported already
        await (await spawning).stop()


async def _spawn(stdin: bytes) -> SupervisedProcess:
    """Start a supervisor, which waits for its order. Its environment is empty and its arguments reveal nothing."""
    with ExitStack() as handed_over:
        ours, theirs = socket.socketpair()
        handed_over.callback(theirs.close)
        outlets = await Outlet.open("stdout"), await Outlet.open("stderr")
        for outlet in outlets:
            handed_over.callback(os.close, outlet.inlet)
        try:
            supervisor = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_SUPERVISOR), str(theirs.fileno())),
                stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
                stdout=outlets[0].inlet,
                stderr=outlets[1].inlet,
                env={},
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            for outlet in outlets:
                outlet.transport.close()
            raise ProviderUnavailable(f"No process can be started: {error.strerror}.") from error
    ours.setblocking(False)
    return SupervisedProcess(supervisor, await asyncio.open_connection(sock=ours, limit=CHUNK), outlets, stdin)
