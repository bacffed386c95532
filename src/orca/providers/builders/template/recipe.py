"""What a template gives, and the words that all of them use. Pure."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

USER = "10001:10001"
"""Nobody on the host, and not root in the container."""

IGNORE_FILE = ".dockerignore"
IGNORE = """\
# Written by Orca: what has no place in an image.
.git
.github
.venv
venv
**/__pycache__
**/node_modules
**/.env
**/.env.*
!**/.env.example
**/*.pem
.DS_Store
"""


_QUOTED = re.compile(r"'[^']*'")
_OPERATORS = re.compile(r"[;&|()<>`]")
_BUILTINS = {"cd", "export", "set", ".", "if", "for", "while", "exec", "ulimit", "umask"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to build one kind of project."""

    kind: str
    title: str
    """For example `Python (FastAPI, uv) · app in main.py`."""
    dockerfile: str
    port: int | None
    evidence: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    service_kind: str = "web"


def header(title: str) -> str:
    """The first lines of each Dockerfile: what it is and where it came from."""
    return f"# {title}\n# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.\n"


def shell_command(command: str) -> str:
    """A CMD that runs a command line, with variables such as $PORT; as the only process if it is a single one."""
    first = command.split(None, 1)[0]
    single = not _OPERATORS.search(_QUOTED.sub("", command)) and "=" not in first and first not in _BUILTINS
    return f"CMD {json.dumps(['/bin/sh', '-c', f'exec {command}' if single else command])}"


def copy(sources: Iterable[str], destination: str, *, flags: str = "") -> str:
    """A COPY in the form that takes any name."""
    return f"COPY {flags + ' ' if flags else ''}{json.dumps([*sources, destination])}"


def place_app() -> list[str]:
    """The finished application in /app, run from there; the folder itself is the user's, too.

    COPY makes a missing folder with the owner of what it copies; a WORKDIR before it would make root's.
    """
    return [copy(["/app/"], "/app/", flags=f"--from=build --chown={USER}"), "WORKDIR /app", f"USER {USER}"]


def cached(command: str, *targets: str) -> str:
    """A RUN whose downloads, in these directories, are kept between builds."""
    mounts = " ".join(f"--mount=type=cache,target={target}" for target in targets)
    return f"RUN {mounts} \\\n    {command}"
