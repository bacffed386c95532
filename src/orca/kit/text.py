"""Makes text from outside safe to store and show."""

import re
from collections.abc import Iterable

# CSI sequences other than SGR (colours), OSC/DCS/PM/APC strings, and single-character escapes.
_SGR = r"\x1b\[[0-9;:]*m"
_ESCAPES = re.compile(
    rf"(?P<sgr>{_SGR})|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]P^_X].*?(?:\x07|\x1b\\|$)|\x1b[ -/]*[0-~]?", re.DOTALL
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069]")

_LINES_OF_ONE, _LINES = 500, 2000
"""Maximum numbers of lines, of one secret and of all, that are hidden also where they appear alone."""


def clean_output(text: str, *, colours: bool = True) -> str:
    """Remove control sequences from program output; newlines, tabs and, if wanted, SGR colours stay."""
    if text.isprintable():  # most lines are: thousands of them come in a second
        return text
    text = _ESCAPES.sub(lambda match: (match["sgr"] or "") if colours else "", text)
    return _CONTROLS.sub("", text)


def clean_lines(lines: list[str]) -> str:
    """Join lines of program output as one clean text; an unterminated sequence removes text of its own line only."""
    text = "\n".join(lines) + "\n"
    if _CONTROLS.search(text) or "\x1b" in text:
        text = "\n".join(clean_output(line) for line in lines) + "\n"
    return text


def join(*sentences: str) -> str:
    """Join sentences to one text; each gets a full stop if it has none."""
    return " ".join(sentence if sentence[-1] in ".!?…:" else f"{sentence}." for sentence in sentences if sentence)


def shorten(text: str, limit: int) -> str:
    """Shorten a text to at most `limit` characters, with an ellipsis where it was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def redact(text: str, secrets: tuple[str, ...]) -> str:
    """Replace each secret of four characters or more by `•••`, longest first."""
    if not any(secret in text for secret in secrets):
        return text
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 4:  # noqa: PLR2004 - shorter values would mangle ordinary words
            text = text.replace(secret, "•••")
    return text


def redactions(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return the texts that must not appear in a log: the secrets, and the lines of multi-line ones.

    Every line of a log is searched for each of them, so there are limits: the first lines of one, the longest of all.
    """
    whole = [secret for secret in dict.fromkeys(secrets) if secret.strip()]
    lines = {line for secret in whole for line in secret.splitlines()[:_LINES_OF_ONE] if line.strip()}
    return tuple(dict.fromkeys([*whole, *sorted(lines, key=len, reverse=True)[:_LINES]]))
