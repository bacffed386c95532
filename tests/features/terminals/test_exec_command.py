"""`orc exec` as a process of its own, on pipes and on a terminal."""

import asyncio
import fcntl
import os
import signal
import struct
import sys
import termios
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import Done, Orc, make_orc
from tests.cli.terminal import Terminal
from tests.conftest import API_TOKEN, until
from tests.features.terminals.conftest import Served

ORC = [sys.executable, "-m", "orca.cli"]


def orc_of(served: Served, folder: Path) -> Orc:
    folder.mkdir()
    return make_orc(folder, ORC_URL=f"http://localhost:{served.port}", ORC_TOKEN=API_TOKEN)


async def run(served: Served, tmp_path: Path, *arguments: str, stdin: str = "") -> Done:
    return await asyncio.to_thread(orc_of(served, tmp_path / "cli").process, *arguments, stdin=stdin)


async def test_exec_pipes_input_and_output(served: Served, tmp_path: Path) -> None:
    done = await run(served, tmp_path, "exec", "web", "--", "cat", stdin="line\n" * 100_000)
    assert (done.code, done.out, done.err) == (0, "line\n" * 100_000, "")


async def test_exec_returns_the_exit_code_of_its_command(served: Served, tmp_path: Path) -> None:
    assert (await run(served, tmp_path, "exec", "web", "--replica", "0", "--", "false")).code == 1


async def test_exec_refusals_say_what_to_do(served: Served, tmp_path: Path) -> None:
    done = await run(served, tmp_path, "exec", "web", "--replica", "3", "--", "true")
    assert (done.code, done.err) == (125, "error: no replica 3 of this service runs\nhint: There is: 0.\n")
    orc = orc_of(served, tmp_path / "other")
    orc.env["ORC_TOKEN"] = "x" * 40
    done = await asyncio.to_thread(orc.process, "exec", "-s", served.service_id, "--", "true")
    assert done.code == 3
    done = await asyncio.to_thread(orc.process, "exec", "web", "ls")
    assert (done.code, "begins after `--`" in done.err) == (2, True)


async def test_exec_on_a_terminal_is_raw_has_its_size_and_restores_it(served: Served, tmp_path: Path) -> None:
    opened = served.host.terminals.open

    def use(terminal: Terminal) -> int:
        before = termios.tcgetattr(terminal._main)
        screen = until(lambda: next(iter(opened.values()), None), what="the terminal is open")
        until(lambda: (screen.size.columns, screen.size.rows) == (100, 30), what="the first size arrives")
        cooked = termios.ICANON | termios.ECHO | termios.ISIG
        until(lambda: not termios.tcgetattr(terminal._main)[3] & cooked, what="the terminal is raw")
        terminal.type("typed\x03\x04")
        terminal.expect("typed\x03\x04")  # for the command, not for us
        fcntl.ioctl(terminal._main, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))
        os.kill(terminal.process.pid, signal.SIGWINCH)
        until(lambda: (screen.size.columns, screen.size.rows) == (132, 50), what="the size arrives")
        terminal.type("exit 7\r")
        code = terminal.wait()
        assert termios.tcgetattr(terminal._main)[:4] == before[:4]
        return code

    assert await _on_terminal(served, tmp_path, use) == 7


async def test_exec_on_a_terminal_restores_it_when_it_is_ended(served: Served, tmp_path: Path) -> None:
    def use(terminal: Terminal) -> int:
        before = termios.tcgetattr(terminal._main)
        until(lambda: served.host.terminals.open, what="the terminal is open")
        terminal.process.terminate()
        code = terminal.wait()
        assert termios.tcgetattr(terminal._main)[:4] == before[:4]
        return code

    assert await _on_terminal(served, tmp_path, use) == 130


async def _on_terminal(served: Served, tmp_path: Path, use: Callable[[Terminal], int]) -> int:
    orc = orc_of(served, tmp_path / "cli")

    def work() -> int:
        with Terminal([*ORC, "exec", "-s", served.service_id, "--", "sh"], orc) as terminal:
            return use(terminal)

    return await asyncio.to_thread(work)
