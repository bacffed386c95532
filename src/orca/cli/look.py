"""Looks at folders with the installed Orca, in a process of its own: the command imports nothing of the server."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from orca.cli.failures import NOTHING_FOUND, REFUSED, CommandFailed
from orca.cli.orca_file import FILE_NAME

_SECONDS = 120.0


def read_folder(folder: Path, *options: str) -> dict[str, str]:
    """File name -> content of what Orca would write there. Raises CommandFailed."""
    done = _look(folder, *options)
    if done.returncode == NOTHING_FOUND:
        nothing = json.loads(done.stdout)
        raise CommandFailed(nothing["reason"], hint=nothing["hint"], details=nothing["lines"], code=NOTHING_FOUND)
    if done.returncode != 0:
        raise _refused(done.stderr)
    files: dict[str, str] = json.loads(done.stdout)
    return files


def check_folder(folder: Path) -> str | None:
    """The kind of service that a folder makes, where something tells.

    Raises CommandFailed for an orca.yaml that a deployment would refuse. Whatever else goes wrong, the server tells.
    """
    done = _look(folder, "--check")
    found = json.loads(done.stdout) if done.returncode == 0 else {}
    problem = found.get("problem")
    if problem:
        raise CommandFailed(_headline(problem), hint=problem["hint"], code=REFUSED, problem=problem)
    return found.get("kind")


def _headline(problem: dict[str, Any]) -> str:
    """The one mistake, or how many are listed below it."""
    count = len(problem.get("fields") or {})
    return f"{FILE_NAME} has {count} mistakes:" if count > 1 else str(problem["detail"])


def _look(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """-P: the folder must not lend its modules to us."""
    argv = [sys.executable, "-P", "-m", "orca.initialise", *options, "--", str(folder)]
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"looking at the folder took more than {_SECONDS:.0f} s") from None


def _refused(told: str) -> CommandFailed:
    """Its last words: `error: …`, and perhaps `hint: …`."""
    lines = told.strip().splitlines()
    hint = lines.pop().removeprefix("hint:").strip() if lines and lines[-1].startswith("hint:") else ""
    message = lines[-1].removeprefix("error:").strip() if lines else "the folder cannot be looked at"
    return CommandFailed(message, hint=hint, code=REFUSED)
