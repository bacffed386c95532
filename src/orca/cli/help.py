"""Help texts, made from the tree alone."""

from collections.abc import Iterable

from orca.cli.failures import EXIT_CODES
from orca.cli.tree import SECTIONS, Entry


def root_help() -> str:
    """Return the output of `orc --help`."""
    lines = [
        "usage: orc COMMAND [options]",
        "",
        "Orca: your repositories, folders and images as live sites on a machine of your own.",
        "",
    ]
    for title, entries in SECTIONS.items():
        lines += [f"{title}:", *_columns((entry.name, entry.summary) for entry in entries), ""]
    lines += ["Exit codes:", *_columns((str(code), meaning) for code, meaning in EXIT_CODES.items()), ""]
    lines += ["`orc COMMAND --help` says more. Commands that ask a server take --server and --json; those about"]
    lines += ["a project take --project as well, and those about a service --project and --service. The name of a"]
    lines += ["service may stand after the command: `orc logs web`, `orc scale web 3`, `orc logs shop/web`."]
    return "\n".join(lines) + "\n"


def noun_help(entry: Entry) -> str:
    """Return the output of `orc NOUN --help`."""
    lines = [f"usage: orc {entry.name} COMMAND [options]", "", entry.summary, "", "Commands:"]
    lines += [*_columns(entry.verbs.items()), "", f"`orc {entry.name} COMMAND --help` says more."]
    return "\n".join(lines) + "\n"


def _columns(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [f"  {name:<13} {text}" for name, text in pairs]
