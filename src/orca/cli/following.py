"""Follows a deployment to its end: log and steps, across lost connections, with a choice at Ctrl-C."""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from orca.cli.client import Client, segment
from orca.cli.dialogue import ask_yes, is_interactive
from orca.cli.failures import FAILED, INTERRUPTED, UNREACHABLE, CommandFailed
from orca.cli.output import Output
from orca.cli.progress import Progress
from orca.cli.sse import Event, follow

FINISHED = frozenset({"succeeded", "failed", "cancelled", "superseded"})
_CROSS = "✗ "
"""How the log begins the line with the reason of a failure."""
_TICK_SECONDS = 0.1
_LOOK_SECONDS = 1.0

Deployment = dict[str, Any]
News = Event | CommandFailed


@dataclass
class Following:
    """One deployment being followed."""

    client: Client
    output: Output
    deployment: Deployment
    progress: Progress = field(init=False)
    _news: "queue.Queue[News]" = field(default_factory=queue.Queue, init=False)
    _looked_at: float = field(default=0.0, init=False)
    _step: str = field(default="", init=False)
    _waits: str = field(default="", init=False)
    """Why it waited at the last look."""
    _explained: str = field(default="", init=False)
    _last_words: list[str] = field(default_factory=list, init=False)
    """Lines of the log that say why it failed; `finish` prints the reason, too."""

    def __post_init__(self) -> None:
        self.progress = Progress(self.output)

    @property
    def path(self) -> str:
        """The API path of the deployment."""
        return f"/deployments/{segment(self.deployment['id'])}"

    def run(self) -> Deployment:
        """Follow it to its end; return the final deployment. Raises CommandFailed."""
        threading.Thread(target=self._read, daemon=True).start()
        try:
            while not self._is_over():
                pass
        finally:
            self.progress.close()
        self._look(final=True)
        reason = self.deployment.get("reason")
        self.progress.log("\n".join(line for line in self._last_words if not reason or reason not in line))
        return self.deployment

    def _is_over(self) -> bool:
        try:
            return self._wait()
        except KeyboardInterrupt:
            self._interrupted()
            return False

    def _wait(self) -> bool:
        """Wait briefly for events; True when there will be no more."""
        try:
            news = self._news.get(timeout=_TICK_SECONDS)
        except queue.Empty:
            if time.monotonic() - self._looked_at > _LOOK_SECONDS:
                self._look()
            if not self.output.as_json:
                self.progress.update(self.deployment.get("steps", []))
                self.progress.tick()
            return self.deployment["state"] in FINISHED and self._news.empty()
        if isinstance(news, CommandFailed):
            raise self._lost(news)
        if news.name == "log":
            self._draw(news.data)
        return news.name == "end"

    def _draw(self, chunk: Any) -> None:
        if self.output.as_json:
            self.output.stream(chunk)
            return
        if chunk["step"] != self._step:
            self._step = chunk["step"]
            self._look()
            self.progress.update(self.deployment.get("steps", []), before=self._step)
        lines = chunk["text"].splitlines()
        self._last_words += [line for line in lines if line.startswith(_CROSS)]
        self.progress.log("\n".join(line for line in lines if not line.startswith(_CROSS)))

    def _look(self, *, final: bool = False) -> None:
        """Read its state. Unless `final`, an unreachable server is ignored, because the reader thread handles it."""
        self._looked_at = time.monotonic()
        try:
            self.deployment = self.client.get(self.path)
        except CommandFailed as error:
            if final or error.code != UNREACHABLE:
                raise
            return
        self._explain_wait()
        if final and not self.output.as_json:
            self.progress.update(self.deployment["steps"], is_over=True)
            if self.deployment.get("log_removed_at"):
                self.output.note("Its log was removed: it had been kept for ORC_KEEP_LOG_DAYS.")

    def _explain_wait(self) -> None:
        """Print why it waits, if that was so at the look before, too: short waits are of no interest."""
        waits, before = self.deployment.get("waits_for", ""), self._waits
        self._waits = waits
        if waits and waits == before and waits != self._explained and not self.output.as_json:
            self._explained = waits
            self.progress.log(waits)

    def _read(self) -> None:
        """Read events, in a separate thread, because reading blocks and the display must be updated meanwhile."""
        try:
            for event in follow(self.client, f"{self.path}/log"):
                self._news.put(event)
        except CommandFailed as error:
            self._news.put(error)
        except Exception as error:  # noqa: BLE001 - the main thread must hear of it, or it would wait for ever
            self._news.put(CommandFailed(f"the log cannot be read ({type(error).__name__}: {error})"))

    def _lost(self, error: CommandFailed) -> CommandFailed:
        if error.code != UNREACHABLE:
            return error
        hint = f"It goes on without you: `orc deployments follow {self.deployment['number']}`."
        return CommandFailed(f"lost sight of the deployment: {error.message}", hint=hint, code=UNREACHABLE)

    def _interrupted(self) -> None:
        """Handle Ctrl-C: leave, or cancel and wait for the end. A second one leaves."""
        self.progress.close()
        self.output.err.line()
        number = self.deployment["number"]
        left = CommandFailed(
            f"you left; deployment {number} goes on", hint=f"`orc deployments follow {number}`, or `orc cancel`.",
            code=INTERRUPTED,
        )  # fmt: skip
        try:
            wants_cancel = is_interactive() and ask_yes(
                self.output, f"Cancel deployment {number}? No leaves it running."
            )
        except KeyboardInterrupt:
            raise left from None
        if not wants_cancel:
            raise left
        self.client.post(f"{self.path}/cancel")
        self.output.note("Cancelling …")


def finish(deployment: Deployment, output: Output, draw: Callable[[], None]) -> None:
    """Print the result. Raises CommandFailed with the reason unless it succeeded."""
    if output.as_json:
        output.stream(deployment)
    else:
        for warning in deployment["warnings"]:
            output.err.line("warning: ", warning)
    if deployment["state"] == "succeeded":
        if not output.as_json:
            draw()
        return
    reason = deployment["reason"] or f"it ended as {deployment['state']}"
    raise CommandFailed(
        f"deployment {deployment['number']} {deployment['state']}: {reason}", hint=deployment["hint"], code=FAILED
    )
