"""What a template gives, and the words that all of them use. Pure."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orca.sdk.builders import Candidate, Refusal

__all__ = ["Candidate", "Recipe", "Refusal", "Result"]

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


_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
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
    framework: str = ""
    """As people call it: `Django`, `Spring Boot`; empty where there is none."""
    language: str = ""
    """Empty: the same as `kind`."""
    version: str | None = None
    """The major or minor version that the project pins; None where any will do."""
    package_manager: str | None = None
    package_manager_version: str | None = None
    install: str | None = None
    build: str | None = None
    output: str | None = None
    """The folder with the files of a static site, after the build."""
    start: str | None = None
    """The shell command that serves; None for static files."""
    processes: Mapping[str, str] = field(default_factory=dict)
    """All that the project names (a Procfile), without `release`."""
    release: str | None = None
    """A command to run once before each release."""
    warnings: tuple[str, ...] = ()


Result = Recipe | Refusal | None
"""What a language says of a tree: how to build it, why it cannot be built, or that it is not of this language."""


def header(title: str) -> str:
    """The first lines of each Dockerfile: what it is and where it came from."""
    shown = _UNPRINTABLE.sub(" ", title)
    return f"# {shown}\n# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.\n"


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


def suggest_release(command: str | None, declared: str | None) -> tuple[str, ...]:
    """That migrations are not run by themselves, where the project does not say when to run them."""
    if not command or declared:
        return ()
    return (f"Migrations are not run by themselves: `{command}` as the release command does it before each release.",)


def install_packages(names: Iterable[str]) -> list[str]:
    """The RUN that adds packages of Debian; nothing where there are none."""
    wanted = " ".join(dict.fromkeys(names))
    install = f"apt-get update && apt-get install --yes --no-install-recommends {wanted}"
    return [f"RUN {install} \\\n && rm -rf /var/lib/apt/lists/*"] if wanted else []


def cached(command: str, *targets: str) -> str:
    """A RUN whose downloads, in these directories, are kept between builds."""
    mounts = " ".join(f"--mount=type=cache,target={target}" for target in targets)
    return f"RUN {mounts} \\\n    {command}"
