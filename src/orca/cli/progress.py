"""How a deployment goes, drawn while it does: finished steps, log lines, and one moving last line on a terminal."""

import time
from typing import Any

from orca.cli.output import Output, Part, Styled
from orca.cli.times import duration

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAMES_PER_SECOND = 10
_MARKS: dict[str, Part] = {
    "succeeded": Styled("✓", "green"),
    "failed": Styled("✗", "red"),
    "cancelled": Styled("✗", "yellow"),
    "skipped": Styled("-", "dim"),
}


class Progress:
    """Draws each step once, when it ended, and the log beneath the step it belongs to."""

    def __init__(self, output: Output) -> None:
        self._screen = output.out
        self._drawn: set[str] = set()
        self._running: dict[str, Any] | None = None

    def update(self, deployment: dict[str, Any]) -> None:
        """Draw the steps that ended since."""
        self._running = None
        for step in deployment["steps"]:
            if step["state"] == "running":
                self._running = step
            if step["state"] in _MARKS and step["name"] not in self._drawn:
                self._drawn.add(step["name"])
                self._draw(step)

    def log(self, text: str) -> None:
        """Lines of the log."""
        self._screen.text("".join(f"  {line}\n" for line in text.splitlines()))

    def tick(self) -> None:
        """Move the last line."""
        if self._running is None:
            return
        frame = _FRAMES[int(time.monotonic() * _FRAMES_PER_SECOND) % len(_FRAMES)]
        spent = duration(self._running["started_at"], None)
        self._screen.status(Styled(frame, "cyan"), f" {step_name(self._running['name'])}  ", Styled(spent, "dim"))

    def close(self) -> None:
        """Take the moving line away."""
        self._screen.clear_status()

    def _draw(self, step: dict[str, Any]) -> None:
        spent = duration(step["started_at"], step["finished_at"])
        detail = f"  {step['detail']}" if step["detail"] else ""
        name = f" {step_name(step['name']):<20} "
        self._screen.line(_MARKS[step["state"]], name, Styled(f"{spent:>9}", "dim"), detail)


class UploadBar:
    """How much of an upload was sent."""

    def __init__(self, output: Output, total_bytes: int) -> None:
        self._screen = output.err
        self._total = total_bytes

    def tell(self, sent: int) -> None:
        """Draw the share that was sent."""
        self._screen.status(f"Sending {show_bytes(sent)} of {show_bytes(self._total)} ({100 * sent // self._total} %)")

    def close(self) -> None:
        """Take the line away."""
        self._screen.clear_status()


def step_name(name: str) -> str:
    """`check_health` as people read it."""
    return name.replace("_", " ")


def show_bytes(count: int) -> str:
    """A size with the unit that fits."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:  # noqa: PLR2004 - units of a thousand
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
