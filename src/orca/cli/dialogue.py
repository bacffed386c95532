"""Questions to the user at the terminal; without a terminal, a command prints what it would have asked."""

import getpass
import sys
from collections.abc import Sequence

from orca.cli.failures import UsageError
from orca.cli.output import Output, Styled


def is_interactive() -> bool:
    """Whether a user at a terminal can answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(output: Output, question: str, default: str) -> str:
    """Ask for a line of text; Enter alone takes the default."""
    output.err.prompt(f"{question} [{default}]")
    return sys.stdin.readline().strip() or default


def choose_port(output: Output, ports: Sequence[int]) -> int | None:
    """Ask for one of several ports; None without a terminal, or if the answer is none of them."""
    if not is_interactive():
        return None
    output.err.prompt(f"Which port is for visitors? [{'/'.join(map(str, ports))}]")
    answer = sys.stdin.readline().strip()
    return next((port for port in ports if str(port) == answer), None)


def ask_yes(output: Output, question: str) -> bool:
    """Ask yes or no; anything but yes means no."""
    output.err.prompt(f"{question} [y/N]")
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def read_secret(prompt: str) -> str:
    """Read a secret without echo, or the whole of stdin when that is not a terminal."""
    if sys.stdin.isatty():
        return getpass.getpass(prompt)
    return sys.stdin.read().removesuffix("\n")


def confirm(output: Output, what: str, name: str, given: str | None, *, title: str = "") -> None:
    """Raise UsageError unless the name of what will be destroyed was given, by flag or by hand. `title` counts, too."""
    known = {name, title or name}
    if given is not None:
        if given not in known:
            raise UsageError(f"--confirm says {given}, but this is about {name}", hint="Nothing was changed.")
        return
    if not is_interactive():
        raise UsageError(f"{what} This needs --confirm {name}.", hint="Nothing was changed.")
    output.err.line(Styled(what, "yellow"))
    output.err.prompt(f"Type {name} to go on:")
    if sys.stdin.readline().strip() not in known:
        raise UsageError("that is not the name", hint="Nothing was changed.")
