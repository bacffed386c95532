"""A real pseudo-terminal in which a test types."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from types import TracebackType
from typing import Self

from tests.cli.conftest import Orc


class Terminal:
    """Runs a command in a terminal of 100 columns; `seen` is all that it wrote."""

    def __init__(self, argv: list[str], orc: Orc) -> None:
        self.seen = ""
        self._main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *argv], cwd=orc.folder, env={**orc.env, "TERM": "xterm-256color"},
            stdin=side, stdout=side, stderr=side,
        )  # fmt: skip
        os.close(side)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        os.close(self._main)

    def type(self, text: str) -> None:
        os.write(self._main, text.encode())

    def interrupt(self) -> None:
        """Ctrl-C, as the terminal's driver sees it."""
        self.type("\x03")

    def expect(self, text: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} did not appear in:\n{self.seen}"
            if not self._read():
                assert text in self.seen, f"it ended without {text!r}:\n{self.seen}"

    def wait(self, seconds: float = 60) -> int:
        deadline = time.monotonic() + seconds
        while self._read():
            if time.monotonic() > deadline:
                self.process.send_signal(signal.SIGKILL)
                raise AssertionError(f"it does not end:\n{self.seen}")
        return self.process.wait(10)

    def _read(self) -> bool:
        """Read what is there; False once the other end is closed."""
        if not select.select([self._main], [], [], 0.1)[0]:
            return True
        try:
            chunk = os.read(self._main, 65536)
        except OSError:
            return False
        self.seen += chunk.decode("utf-8", "replace")
        return bool(chunk)
