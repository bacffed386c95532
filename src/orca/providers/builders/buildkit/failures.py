"""Explains why a build failed and what to do, by the step, its exit code, and what was observed. Pure."""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from orca.errors import StepFailed
from orca.kit.text import shorten
from orca.providers.builders.buildkit.errors import (
    BaseImageUnavailable,
    BuildCommandMissing,
    BuildFailed,
    BuildFileMissing,
    BuildOutOfMemory,
)
from orca.providers.builders.buildkit.progress import Progress, Step
from orca.providers.builders.buildkit.unreachable import Unreachable, find_unreachable
from orca.sdk.dockerfile import read_json
from orca.sdk.dockerfile.errors import BadDockerfile

_NOT_FOUND, _NOT_EXECUTABLE, _KILLED = 127, 126, 137
_COPIED_LIMIT = 4000
_WRAPPING = re.compile(r"^failed to solve(?: with frontend \S+)?: |failed to create LLB definition: ")
_LINE = re.compile(r"(?P<before>dockerfile parse error (?:on )?line |Dockerfile:)(?P<line>\d+)")


@dataclass(frozen=True, slots=True)
class FailedBuild:
    """Observations about the failed build."""

    out_of_memory: bool = False
    memory_bytes: int = 0
    missing_files: tuple[str, ...] = ()
    """Sources of the failed COPY or ADD that the source tree does not have."""
    registry: str = ""
    """The registry of the failed step's base image."""
    registry_known: bool = True
    """Whether the registry's host name resolves."""
    username: str = ""
    """The user name of the login for the registry; empty if none was used."""
    login_works: bool = False
    """Whether the registry accepted that login when it was tried again."""


def explain_step(step: Step, observed: FailedBuild) -> StepFailed:
    """Return the error for a failed step."""
    details: dict[str, object] = {
        "step": step.instruction,
        "exit_code": step.exit_code,
        "last_lines": list(step.last_lines),
    }
    what = f"{step.position + ': ' if step.position else ''}{shorten(step.instruction, 200)}"
    if observed.out_of_memory:
        limit = observed.memory_bytes >> 20
        return BuildOutOfMemory(
            f"The build ran out of memory in step {what}. It may use {limit} MiB.",
            hint="Let it do less at once (fewer parallel jobs), or raise the memory limit of builds.",
            **details,
        )
    if step.base_image:
        return _base_image(step.base_image, step, observed, details)
    if step.instruction.startswith(("COPY ", "ADD ")) and step.exit_code is None:
        return _file(step, what, observed, details)
    return _command(step, what, details)


def _base_image(image: str, step: Step, observed: FailedBuild, details: dict[str, object]) -> StepFailed:
    registry, user = observed.registry, observed.username
    if not observed.registry_known:
        hint = "Its registry's host name cannot be resolved: check the network and DNS of this machine."
    elif user and observed.login_works:
        hint = f"{registry} accepts the login of {user}: check the image's name and tag, and that {user} may read it."
    elif user:
        hint = f"Logging in to {registry} as {user} fails, too: correct that login (`orc credentials`)."
    else:
        hint = f"Check its name and tag. A private one needs a login: `orc credentials add-registry {registry}`."
    return BaseImageUnavailable(f"The base image {image} cannot be fetched: {step.error}", hint=hint, **details)


def _file(step: Step, what: str, observed: FailedBuild, details: dict[str, object]) -> StepFailed:
    if observed.missing_files:
        names = ", ".join(observed.missing_files)
        return BuildFileMissing(
            f"Step {what} copies {names}, which is not in the source tree.",
            hint="Check the path (it is relative to the subdirectory that is built), and that the file is committed.",
            **details,
        )
    return BuildFileMissing(
        f"Step {what} failed: {step.error}", hint="Check that .dockerignore does not leave the file out.", **details
    )


def _command(step: Step, what: str, details: dict[str, object]) -> StepFailed:
    if step.exit_code == _NOT_FOUND:
        return BuildCommandMissing(
            f"Step {what} calls a program that is not there (exit code 127).",
            hint="Install it in an earlier step, or begin with an image that has it.",
            **details,
        )
    if step.exit_code == _NOT_EXECUTABLE:
        return BuildCommandMissing(
            f"Step {what} calls a file that cannot be executed (exit code 126).",
            hint="Make it executable in the repository: git update-index --chmod=+x FILE.",
            **details,
        )
    if step.exit_code not in {None, _KILLED} and (server := find_unreachable(step.last_lines)):
        return _network(server, step, what, details)
    cause = f"exit code {step.exit_code}" if step.exit_code is not None else step.error
    hint = "Read the lines above it in the log."
    if step.exit_code == _KILLED:
        hint = "It was killed from outside, most often for memory; give the build more or let it do less at once."
    return BuildFailed(f"Step {what} failed: {cause}.", hint=hint, **details)


def _network(server: Unreachable, step: Step, what: str, details: dict[str, object]) -> StepFailed:
    host = server.host or "a server that it needs"
    which = "whose name was not resolved" if server.is_unknown else "which did not answer"
    check = "DNS" if server.is_unknown else "network, firewall and proxy"
    name = ", and the name" if server.is_unknown and server.host else ""
    return BuildFailed(
        f"Step {what} failed (exit code {step.exit_code}): this machine could not reach {host}, {which}.",
        hint=f"The source may be fine. Check the {check} of this machine{name}; the lines above have the tool's words.",
        **details,
    )


def explain_refusal(progress: Progress, original_line: Callable[[int], int]) -> StepFailed:
    """Return the error for a build that ended before any step: the Dockerfile is invalid."""
    words = progress.trailer[-1] if progress.trailer else "no reason was given"
    words = _WRAPPING.sub("", words)
    words = _LINE.sub(lambda match: f"{match['before']}{original_line(int(match['line']))}", words)
    return BadDockerfile(f"The Dockerfile was refused: {words}", hint="Correct the Dockerfile and deploy again.")


def copied_files(instruction: str) -> tuple[str, ...]:
    """Return the sources of a COPY or ADD in the tree: plain names only, no patterns, variables, URLs or stages."""
    _, _, rest = instruction[:_COPIED_LIMIT].partition(" ")
    try:
        words = read_json(rest) or shlex.split(rest)
    except ValueError:
        return ()
    if any(word.startswith("--from=") for word in words):
        return ()
    files = [word for word in words if not word.startswith("--")][:-1]
    return tuple(file for file in files if not re.search(r"[*?\[\]$]|://|<<", file))
