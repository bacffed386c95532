"""Draws the progress of a deployment: finished steps, log lines, and a live status line on a terminal."""

import time
from typing import Any

from orca.cli.output import Output, Part, Styled
from orca.cli.times import duration, show_seconds
from orca.kit.amounts import show_bytes

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAMES_PER_SECOND = 10
_SETTLE_SECONDS = 0.7
_MARKS: dict[str, Part] = {
    "succeeded": Styled("✓", "green"),
    "failed": Styled("✗", "red"),
    "cancelled": Styled("✗", "yellow"),
}

Step = dict[str, Any]


class Progress:
    """Draws each step once, after it has ended, below its log."""

    def __init__(self, output: Output) -> None:
        self._screen = output.out
        self._drawn: set[str] = set()
        self._seen: dict[tuple[str, str], float] = {}
        """When a step was first seen in a state, by this machine's clock in seconds."""
        self._running = ""

    def update(self, steps: list[Step], *, before: str | None = None, is_over: bool = False) -> None:
        """Draw the steps that have ended, after a short delay, because their log may still arrive.

        `before`: log of this step has arrived, so that the log of all earlier steps is complete.
        """
        names = [step["name"] for step in steps]
        complete = names[: names.index(before)] if before in names else []
        self._running = ""
        for step in steps:
            seen = self._seen.setdefault((step["name"], step["state"]), time.monotonic())
            if step["state"] == "running":
                self._running = step["name"]
            if step["state"] not in _MARKS or step["name"] in self._drawn:
                continue
            if not is_over and step["name"] not in complete and time.monotonic() - seen < _SETTLE_SECONDS:
                return
            self._drawn.add(step["name"])
            self._draw(step)

    def log(self, text: str) -> None:
        """Print lines of the log."""
        self._screen.text("".join(f"  {line}\n" for line in text.splitlines()))

    def tick(self) -> None:
        """Update the status line."""
        if not self._running:
            return
        now = time.monotonic()
        spent = show_seconds(now - self._seen[self._running, "running"])
        frame = _FRAMES[int(now * _FRAMES_PER_SECOND) % len(_FRAMES)]
        self._screen.status(Styled(frame, "cyan"), f" {step_name(self._running)}  ", Styled(spent, "dim"))

    def close(self) -> None:
        """Remove the status line."""
        self._screen.clear_status()

    def _draw(self, step: Step) -> None:
        spent = duration(step["started_at"], step["finished_at"])
        detail = f"  {step['detail']}" if step["detail"] and step["state"] == "succeeded" else ""
        name = f" {step_name(step['name']):<20} "
        self._screen.line(_MARKS[step["state"]], name, Styled(f"{spent:>9}", "dim"), detail)


class UploadBar:
    """The progress bar of an upload."""

    def __init__(self, output: Output, total_bytes: int) -> None:
        self._screen = output.err
        self._total = total_bytes

    def tell(self, sent: int) -> None:
        """Draw the share that has been sent."""
        self._screen.status(f"Sending {show_bytes(sent)} of {show_bytes(self._total)} ({100 * sent // self._total} %)")

    def close(self) -> None:
        """Remove the bar."""
        self._screen.clear_status()


def step_name(name: str) -> str:
    """Return the display name of a step such as `check_health`."""
    return name.replace("_", " ")
