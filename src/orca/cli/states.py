"""The style of states, the same in every table."""

from typing import Final

from orca.cli.output import Part, Style, Styled

_LOOKS: Final[dict[str, Style]] = {
    "succeeded": "green", "running": "green", "live": "green", "failed": "red", "broken": "red", "exited": "red",
    "dead": "red", "queued": "cyan", "pending": "yellow", "restarting": "yellow", "cancelled": "dim",
    "superseded": "dim", "stopped": "dim", "waiting": "dim", "skipped": "dim",
    "deploying": "cyan", "empty": "dim", "down": "dim", "degraded": "yellow", "crashed": "red", "crash-looping": "red",
    "unknown": "yellow", "reachable": "green", "unreachable": "red",
}  # fmt: skip


_GLYPHS: Final[dict[str, str]] = {
    "running": "●", "deploying": "◐", "degraded": "▲", "failed": "✕", "crashed": "✕", "crash-looping": "✕",
    "empty": "○", "stopped": "■", "down": "■", "unknown": "?",
}  # fmt: skip
_LABELS: Final = {"empty": "not deployed", "down": "scaled to 0"}


def service_state(state: str) -> Part:
    """Return the state of a service in its colour, on a terminal with the sign that the panel shows."""
    return Styled(state, _LOOKS.get(state, "bold"), _GLYPHS.get(state, ""), _LABELS.get(state, ""))


def state_of(state: str) -> Part:
    """Return a state in its colour."""
    look = _LOOKS.get(state)
    return Styled(state, look) if look else state
