"""Checkpoints: signed words, kept outside the database, about how far the trail went and what it ended with."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

EVERY_EVENTS: Final = 1000
EVERY: Final = timedelta(minutes=10)
FILE_NAME: Final = "audit-checkpoints"
_NO_EVENT: Final = 1 << 63
"""More than a database can number."""

Sign = Callable[[str], str]
"""A keyed fingerprint of a message; see `SecretBox.sign`."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """At this time the event `seq` had this hash. The signature covers the checkpoint before it as well."""

    seq: int
    hash: str
    at: str
    signature: str


def next_checkpoint(sign: Sign, last: Checkpoint | None, seq: int, event_hash: str, at: datetime) -> Checkpoint:
    """The checkpoint after `last`."""
    instant = at.isoformat()
    return Checkpoint(seq, event_hash, instant, _signature(sign, last, (seq, event_hash, instant)))


def is_due(last: Checkpoint | None, newest_seq: int, at: datetime) -> bool:
    """Whether enough happened since the last one, or anything at all some time ago."""
    if newest_seq <= (last.seq if last else 0):
        return False
    return last is None or newest_seq - last.seq >= EVERY_EVENTS or at - datetime.fromisoformat(last.at) >= EVERY


def render_checkpoint(checkpoint: Checkpoint) -> str:
    """As a line of the file."""
    return json.dumps(asdict(checkpoint), separators=(",", ":")) + "\n"


def whole_lines(text: str) -> str:
    """Without what a crash left half-written at the end: it was never relied upon."""
    return text[: text.rfind("\n") + 1]


def read_checkpoints(text: str) -> list[Checkpoint | None]:
    """One for each whole line; None for a line that is none."""
    return [_read_line(line) for line in whole_lines(text).splitlines()]


def find_forged(sign: Sign, checkpoints: Sequence[Checkpoint | None]) -> int | None:
    """The number, from 1, of the first line that Orca did not write in this place."""
    last = None
    for number, checkpoint in enumerate(checkpoints, 1):
        if checkpoint is None or checkpoint.signature != _signature(
            sign, last, (checkpoint.seq, checkpoint.hash, checkpoint.at)
        ):
            return number
        last = checkpoint
    return None


def _read_line(line: str) -> Checkpoint | None:
    try:
        found = Checkpoint(**json.loads(line))
        is_whole = (
            isinstance(found.seq, int) and 0 < found.seq < _NO_EVENT
            and isinstance(found.hash, str) and isinstance(found.signature, str)
            and datetime.fromisoformat(found.at).tzinfo is not None
        )  # fmt: skip
    except (ValueError, TypeError, RecursionError):
        return None
    return found if is_whole else None


def _signature(sign: Sign, last: Checkpoint | None, facts: tuple[int, str, str]) -> str:
    return sign(json.dumps(["audit checkpoint", last.signature if last else "", *facts]))
