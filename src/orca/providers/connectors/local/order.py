"""The message with the command that the supervisor runs. Pure."""

import os
from collections.abc import Mapping

from orca.errors import RequestRefused
from orca.sdk.connectors import Command

GRACE = 2.0
"""Seconds between TERM and KILL."""


def render_order(command: Command, env: Mapping[str, str]) -> bytes:
    """Return the bytes that `supervisor.py` reads. Raises RequestRefused for values that no process can be passed."""
    if not command.argv or not command.argv[0]:
        raise RequestRefused("A command needs a program.")
    if any(not name or "=" in name for name in env):
        raise RequestRefused("The name of an environment variable cannot be empty or hold `=`.")
    pairs = (f"{name}={value}" for name, value in env.items())
    fields = [f"{GRACE}", command.cwd or "", f"{len(command.argv)}", *command.argv, *pairs]
    if any("\0" in field for field in fields):
        raise RequestRefused("Arguments and environment variables cannot hold NUL characters.")
    body = b"\0".join(os.fsencode(field) for field in fields)
    return b"%d\0" % len(body) + body
