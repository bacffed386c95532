"""Procfiles: one line per process. Only the web process (or else the first) becomes the service. Pure."""

import re

_LINE = re.compile(r"(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>\S.*)")


def parse_procfile(text: str) -> dict[str, str]:
    """Process name -> shell command, in the order of the file; lines that are none are left out."""
    matches = (_LINE.fullmatch(line.strip()) for line in text.splitlines())
    return {match["name"]: match["command"] for match in matches if match}


def choose_process(processes: dict[str, str]) -> tuple[str, str] | None:
    """The name and command of the process that the service runs."""
    name = "web" if "web" in processes else next((name for name in processes if name != "release"), None)
    return (name, processes[name]) if name else None
