"""Text that came from outside, made safe to store and show."""

import re
from collections.abc import Iterable

# CSI sequences other than SGR (colours), OSC/DCS/PM/APC strings, and single-character escapes.
_SGR = r"\x1b\[[0-9;:]*m"
_ESCAPES = re.compile(
    rf"(?P<sgr>{_SGR})|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]P^_X].*?(?:\x07|\x1b\\|$)|\x1b[ -/]*[0-~]?", re.DOTALL
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069]")


def clean_output(text: str, *, colours: bool = True) -> str:
    """Program output without terminal tricks: newlines, tabs and (if wanted) SGR colours stay."""
    text = _ESCAPES.sub(lambda match: (match["sgr"] or "") if colours else "", text)
    return _CONTROLS.sub("", text)


def clean_lines(lines: list[str]) -> str:
    """Lines of program output as one clean text; a trick without an end hides its own line only."""
    text = "\n".join(lines) + "\n"
    if _CONTROLS.search(text) or "\x1b" in text:
        text = "\n".join(clean_output(line) for line in lines) + "\n"
    return text


def join(*sentences: str) -> str:
    """Sentences as one text; each gets its full stop if it ends with none."""
    return " ".join(each if each[-1] in ".!?…:" else f"{each}." for each in sentences if each)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters, with an ellipsis where something was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def redact(text: str, secrets: tuple[str, ...]) -> str:
    """Each secret of four characters or more replaced by `•••`, longest first."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 4:  # noqa: PLR2004 - shorter values would mangle ordinary words
            text = text.replace(secret, "•••")
    return text


def redactions(secrets: Iterable[str]) -> tuple[str, ...]:
    """What must not appear in a log: the secrets, and the lines of those that have several."""
    return tuple(line for secret in secrets for line in {secret, *secret.splitlines()} if line.strip())
