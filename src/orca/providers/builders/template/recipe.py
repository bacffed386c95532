"""The result of a template, and the Dockerfile fragments that all templates share. Pure."""

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orca.sdk.builders import Candidate, Refusal

__all__ = ["Candidate", "Recipe", "Refusal", "Result"]

USER = "10001:10001"
"""A user that does not exist on the host, and is not root in the container."""

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
_BUILTINS = {
    "cd", "export", "set", ".", "if", "for", "while", "exec", "ulimit", "umask",
    "source", "eval", "trap", "wait", "until", "case", "command", ":", "!", "{", "[[",
}  # fmt: skip
_EXPANDED = frozenset("$;&|<>()`*?[]{}~#!\\\n")
"""Characters that mean something to a shell outside of single quotes."""
_BASH, _SH = "/bin/bash", "/bin/sh"


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
    """Display name: `Django`, `Spring Boot`; empty where there is none."""
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
    """All processes that the project declares (in a Procfile), without `release`."""
    release: str | None = None
    """A command to run once before each release."""
    warnings: tuple[str, ...] = ()


Result = Recipe | Refusal | None
"""A language's result for a tree: how to build it, why it cannot be built, or None for another language."""


def header(title: str) -> str:
    """Return the first lines of each Dockerfile: its title and origin."""
    shown = _UNPRINTABLE.sub(" ", title)
    return f"# {shown}\n# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.\n"


def shell_command(command: str, base: str = "", *, has_entrypoint: bool = False) -> str:
    """A CMD that runs a command line, with variables such as $PORT; as the only process if it is a single one.

    Debian's /bin/sh drops variables whose names have dots or dashes (`spring.datasource.url`), bash keeps them. So
    there is no shell where the command needs none, and else bash: all default images have it, `base` (the user's own
    image) perhaps not. `has_entrypoint`: the default image starts commands by a script of /bin/sh, which is left out.
    """
    first = command.split(None, 1)[0]
    single = not _OPERATORS.search(_QUOTED.sub("", command)) and "=" not in first and first not in _BUILTINS
    words = _plain_words(command) if single else None
    shell = _SH if base else _BASH
    cmd = f"CMD {json.dumps(words or [shell, '-c', f'exec {command}' if single else command])}"
    return f"ENTRYPOINT []\n{cmd}" if has_entrypoint and not base else cmd


def _plain_words(command: str) -> list[str] | None:
    """Return the arguments of a command without anything for a shell to do; None for others.

    A relative path may be a script without a first line that names its interpreter, which only a shell can run.
    """
    if not _EXPANDED.isdisjoint(_QUOTED.sub("", command)):
        return None
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    return words if words and ("/" not in words[0] or words[0].startswith("/")) else None


def copy(sources: Iterable[str], destination: str, *, flags: str = "") -> str:
    """Return a COPY in the form that accepts any name."""
    return f"COPY {flags + ' ' if flags else ''}{json.dumps([*sources, destination])}"


def place_app() -> list[str]:
    """Return the lines that copy the built application to /app, owned by the user together with the folder itself.

    COPY creates a missing folder with the owner of the copied files; an earlier WORKDIR would create it as root.
    """
    return [copy(["/app/"], "/app/", flags=f"--from=build --chown={USER}"), "WORKDIR /app", f"USER {USER}"]


def suggest_release(command: str | None, declared: str | None) -> tuple[str, ...]:
    """Return a warning that migrations do not run by themselves, if the project declares no release command."""
    if not command or declared:
        return ()
    return (f"Migrations are not run by themselves: `{command}` as the release command does it before each release.",)


def install_packages(names: Iterable[str]) -> list[str]:
    """Return the RUN that installs Debian packages; empty without packages."""
    wanted = " ".join(dict.fromkeys(names))
    install = f"apt-get update && apt-get install --yes --no-install-recommends {wanted}"
    return [f"RUN {install} \\\n && rm -rf /var/lib/apt/lists/*"] if wanted else []


def cached(command: str, *targets: str) -> str:
    """Return a RUN with a cache mount for its downloads in these directories."""
    mounts = " ".join(f"--mount=type=cache,target={target}" for target in targets)
    return f"RUN {mounts} \\\n    {command}"
