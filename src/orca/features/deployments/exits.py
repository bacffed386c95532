"""Explains why a process ended, from its exit code, and what to do about it. Pure."""

import signal
from dataclasses import dataclass

NOT_EXECUTABLE, NOT_FOUND = 126, 127
_BY_SIGNAL = 128
_ASKED = "It was asked to end, by itself or from outside."
_WORDS = {
    NOT_FOUND: "Its program was not found: check the command, and that the image has it in PATH.",
    NOT_EXECUTABLE: "Its program could not be executed: it is no program, or lacks the permission (`chmod +x`).",
    _BY_SIGNAL + signal.SIGKILL: "It was killed from outside, though not for its own memory limit: the machine may be "
    "short.",
    _BY_SIGNAL + signal.SIGTERM: _ASKED,
    _BY_SIGNAL + signal.SIGINT: _ASKED,
}
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386"}


@dataclass(frozen=True, slots=True)
class ExitReason:
    """Why a process ended, and what to do."""

    text: str
    hint: str
    blames_command: bool = False
    """Whether the hint says to check the start command."""


def explain_exit(code: int | None, *, kind: str = "web") -> ExitReason:
    """Explain an exit code; the returned `text` continues a sentence that begins "the process ended"."""
    log = "The last lines it wrote are in the deployment's log."
    if code is None:
        return ExitReason("", log)
    text = f" with exit code {code}"
    if code == 0:
        wanted = "must keep running" if kind == "worker" else "must keep running and answer requests"
        hint = (
            f"It did what it was asked for and ended. A {kind} service {wanted}: check the start command. Something "
            "that is to run once is a release command; something for now and then belongs into `orc run`."
        )
        return ExitReason(f" by itself{text}", hint, blames_command=True)
    if code > _BY_SIGNAL and code - _BY_SIGNAL in _signals() and code not in _WORDS:
        name = signal.Signals(code - _BY_SIGNAL).name
        return ExitReason(
            f"{text} ({name})", f"It crashed, not by an error of its own language but of native code. {log}"
        )
    blames_command = code in {NOT_FOUND, NOT_EXECUTABLE}
    return ExitReason(text, f"{_WORDS[code]} {log}" if code in _WORDS else log, blames_command)


def _signals() -> set[int]:
    return {number.value for number in signal.Signals}


def is_other_machine(image: str, machine: str) -> bool:
    """Whether an image is made for another processor architecture than the engine's; False when either is unknown."""
    return bool(image and machine) and image != _MACHINES.get(machine, machine)
