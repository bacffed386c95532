"""Questions to the person at the terminal; without one, a command says what it would have asked."""

import getpass
import sys

from orca.cli.failures import UsageError
from orca.cli.output import Output, Styled


def is_interactive() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(output: Output, question: str, default: str) -> str:
    """A line of text; just Enter takes the default."""
    output.err.prompt(f"{question} [{default}]")
    return sys.stdin.readline().strip() or default


def ask_yes(output: Output, question: str) -> bool:
    """Yes or no; anything but yes is no."""
    output.err.prompt(f"{question} [y/N]")
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def read_secret(prompt: str) -> str:
    """A secret typed without echo, or the whole of stdin when that is no terminal."""
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
