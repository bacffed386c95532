"""Inspects folders with the installed Orca in a separate process: the command imports nothing of the server."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orca.cli.failures import NOTHING_FOUND, REFUSED, CommandFailed
from orca.cli.orca_file import FILE_NAME

_SECONDS = 120.0
_SEVERAL_PORTS = 4


class SeveralPorts(CommandFailed):
    """There are several candidates for the visitors' port, and only a person can choose."""

    def __init__(self, reason: str, hint: str, ports: list[int]) -> None:
        super().__init__(reason, hint=hint, code=REFUSED)
        self.ports = ports


@dataclass(frozen=True, slots=True)
class Found:
    """What a folder would become, as far as it is known."""

    kind: str | None = None
    ports: tuple[int, ...] = ()
    """Candidates for the visitors' port, if the user has to choose."""


def read_folder(folder: Path, *options: str) -> dict[str, str]:
    """Return by name the files that Orca would write there. Raises CommandFailed, also its subclass SeveralPorts."""
    done = _look(folder, *options)
    if done.returncode == NOTHING_FOUND:
        nothing = json.loads(done.stdout)
        raise CommandFailed(nothing["reason"], hint=nothing["hint"], details=nothing["lines"], code=NOTHING_FOUND)
    if done.returncode == _SEVERAL_PORTS:
        several = json.loads(done.stdout)
        raise SeveralPorts(several["reason"], several["hint"], several["ports"])
    if done.returncode != 0:
        raise _refused(done.stderr)
    files: dict[str, str] = json.loads(done.stdout)
    return files


def check_folder(folder: Path) -> Found:
    """Return what a folder would become.

    Raises CommandFailed for an orca.yaml that a deployment would refuse. The server reports all other problems.
    """
    done = _look(folder, "--check")
    found = json.loads(done.stdout) if done.returncode == 0 else {}
    problem = found.get("problem")
    if problem:
        raise CommandFailed(_headline(problem), hint=problem["hint"], code=REFUSED, problem=problem)
    return Found(found.get("kind"), tuple(found.get("ports") or ()))


def _headline(problem: dict[str, Any]) -> str:
    """Return the only mistake, or the number of those listed below."""
    count = len(problem.get("fields") or {})
    return f"{FILE_NAME} has {count} mistakes:" if count > 1 else str(problem["detail"])


def _look(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run the inspection. With -P, so that modules in the folder are not imported."""
    argv = [sys.executable, "-P", "-m", "orca.server.inspect_folder", *options, "--", str(folder)]
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"looking at the folder took more than {_SECONDS:.0f} s") from None


def _refused(told: str) -> CommandFailed:
    """Parse the error at the end of its output: `error: …`, and optionally `hint: …`."""
    lines = told.strip().splitlines()
    hint = lines.pop().removeprefix("hint:").strip() if lines and lines[-1].startswith("hint:") else ""
    message = lines[-1].removeprefix("error:").strip() if lines else "the folder cannot be looked at"
    return CommandFailed(message, hint=hint, code=REFUSED)
