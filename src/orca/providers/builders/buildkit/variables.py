"""Passes build variables to the commands of a build, and finds those that nothing reads. Pure.

Plain ones are build arguments. Secret ones are mounted as files under /run/secrets for the commands that request them,
and are in no layer and no history. BuildKit also excludes them from its cache keys; therefore a keyed hash of a stage's
secrets is inserted before its first command that mounts one, so that a changed secret invalidates the cache.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from orca.sdk.dockerfile import Dockerfile, Flag, Instruction, Resolved, read_json

MARK = "ORCA_SECRETS"
_PROXIES = {f"{name}_PROXY" for name in ("HTTP", "HTTPS", "FTP", "NO", "ALL")}
_ANY = "*"
_SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def inject(dockerfile: Dockerfile, arguments: Iterable[str], secrets: Iterable[str]) -> Dockerfile:
    """Extend a Dockerfile that Orca generated: every stage declares the arguments, every command gets the secrets."""
    declared = [name for name in arguments if name.upper() not in _PROXIES]
    mounts = tuple(Flag("mount", f"type=secret,id={name},mode=0444") for name in secrets if _SHELL_NAME.fullmatch(name))
    exports = render_exports(secrets)

    def injected() -> Iterator[Instruction]:
        for instruction in dockerfile.instructions:
            if instruction.keyword == "RUN" and read_json(instruction.rest) is None and not instruction.body:
                yield replace(instruction, flags=(*mounts, *instruction.flags), rest=exports + instruction.rest)
                continue
            yield instruction
            if instruction.keyword == "FROM":
                yield from (_argument(name, instruction) for name in declared)

    return replace(dockerfile, instructions=tuple(injected()))


def render_exports(secrets: Iterable[str]) -> str:
    """Return the beginning of a shell command that exports secrets as variables, with their trailing newlines."""
    return "".join(
        f'{name}="$(cat /run/secrets/{name}; echo .)"; export {name}="${{{name}%.}}"; '
        for name in secrets
        if _SHELL_NAME.fullmatch(name)
    )


def render_mounts(secrets: Iterable[str]) -> str:
    """Return the flags that `inject` adds, as they appear in the log."""
    return "".join(f"--mount=type=secret,id={name},mode=0444 " for name in secrets if _SHELL_NAME.fullmatch(name))


def mark_secrets(dockerfile: Dockerfile, marks: Mapping[str, str]) -> Dockerfile:
    """Insert a hash of the secrets that a stage mounts before its first command that mounts one."""
    if not marks:
        return dockerfile
    mounted: list[set[str]] = [set()]
    for instruction in dockerfile.instructions:
        if instruction.keyword == "FROM":
            mounted.append(set())
        mounted[-1] |= _mounted_by(instruction)

    def marked() -> Iterator[Instruction]:
        stage, done = 0, True
        for instruction in dockerfile.instructions:
            if instruction.keyword == "FROM":
                stage, done = stage + 1, False
            if not done and _mounted_by(instruction):
                names = sorted(marks) if _ANY in mounted[stage] else sorted(mounted[stage] & marks.keys())
                text = "\0".join(f"{name}={marks[name]}" for name in names)
                yield _argument(f"{MARK}={hashlib.sha256(text.encode()).hexdigest()[:32]}", instruction)
                done = True
            yield instruction

    return replace(dockerfile, instructions=tuple(marked()))


def find_unread(resolved: Resolved, arguments: Iterable[str], secrets: Iterable[str]) -> list[str]:
    """Return the names of build variables that no instruction uses."""
    first = resolved.stages[0].source.line
    declared = {
        instruction.rest.partition("=")[0]
        for instruction in resolved.dockerfile.instructions
        if instruction.line < first
    }
    mounted = set[str]()
    for index in resolved.reachable:
        declared |= resolved.stages[index].arguments
        for resolved_instruction in resolved.stages[index].instructions:
            mounted |= _mounted_by(resolved_instruction.source)
    unread = [name for name in arguments if name not in declared | mounted and name.upper() not in _PROXIES]
    return unread + [name for name in secrets if _ANY not in mounted and name not in mounted]


def find_mounted(dockerfile: Dockerfile) -> set[str]:
    """Return the names of the secrets that commands mount."""
    return {name for instruction in dockerfile.instructions for name in _mounted_by(instruction)}


def _argument(text: str, near: Instruction) -> Instruction:
    return Instruction("ARG", (), text, near.line, near.line)


def _mounted_by(instruction: Instruction) -> set[str]:
    """Return the secrets that an instruction mounts; `*` for one whose name contains a variable."""
    found = set[str]()
    for flag in instruction.effective.flags:
        fields = {key.lower(): value for key, _, value in (field.partition("=") for field in flag.value.split(","))}
        if flag.name == "mount" and fields.get("type") == "secret":
            target = next((fields[key] for key in ("target", "dst", "destination") if key in fields), "")
            name = fields.get("id") or target.rpartition("/")[2]
            found.add(_ANY if "$" in name else name)
    return found
