"""Which pushes concern a service, and how a hook is reached: pure decisions."""

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from functools import partial
from urllib.parse import urlsplit

from orca.errors import BadInput
from orca.features.sources.rules import PATH_LIMIT

_PATTERN_LIMIT = 50
_CHANGES_LIMIT = 2000
_JOINERS = dict.fromkeys((0x200C, 0x200D))
_CI = r"(?:orca|ci|cd|actions|azurepipelines|azpipelines|azp)"
_SKIP = re.compile(rf"\[(?:(?:skip|no)[ _-]{_CI}|{_CI}[ _-]skip)\]|\*\*\*NO_CI\*\*\*", re.IGNORECASE)
_SKIP_TRAILER = re.compile(r"skip-checks:[ \t]*true", re.IGNORECASE)
_MAKE_PUBLIC = "Give the panel an address that it can reach, and set ORC_BASE_URL to that."
_HOME_DOMAINS = (".local", ".lan", ".internal", ".home.arpa", ".test")


def hook_url(panel_url: str, hook_id: str) -> str:
    """Return the address to which a Git host sends its pushes."""
    return f"{panel_url}/api/v1/hooks/{hook_id}"


def warn_of_reach(panel_url: str) -> str:
    """Return a warning when, judged by its name, this panel address cannot be reached by all Git hosts; else empty."""
    host = urlsplit(panel_url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    is_here = host == "localhost" or host.endswith(".localhost") if address is None else address.is_loopback
    is_private = "." not in host or host.endswith(_HOME_DOMAINS) if address is None else not address.is_global
    if is_here:
        return f"{host} is the panel's own machine: no Git host elsewhere reaches this address. {_MAKE_PUBLIC}"
    return f"A Git host outside your network does not reach {host}. {_MAKE_PUBLIC}" if is_private else ""


def warn_of_origin(*, is_git: bool) -> str:
    """Return a warning that pushes do nothing for a service without a repository; empty for one from Git."""
    return "" if is_git else "This service does not come from Git: pushes are left alone until its source is Git."


def parse_patterns(patterns: Iterable[str]) -> tuple[str, ...]:
    """Branch or watch-path patterns: `release/*`, `apps/web/**`, `!**/*.md`. BadInput for too many or odd ones."""
    lines = tuple(line.strip() for line in patterns if line.strip())
    if len(lines) > _PATTERN_LIMIT or not all(len(line) <= PATH_LIMIT and _is_shown(line) for line in lines):
        hint = f"Use at most {_PATTERN_LIMIT} short patterns."
        raise BadInput("There are too many patterns, or one is too long.", hint=hint)
    return lines


def _is_shown(line: str) -> bool:
    """Whether all characters are visible; the joiners of emoji and some scripts are allowed, though not printable."""
    return line.translate(_JOINERS).isprintable()


def is_watched(changed: Sequence[str] | None, patterns: Sequence[str]) -> bool:
    """Whether a push changes watched paths. True without patterns, or when the changes are not known (None).

    Patterns are written as in .gitignore: one without a slash matches at any depth, one that names a directory
    matches all beneath it, and the last match decides.
    """
    if not patterns or changed is None or len(changed) > _CHANGES_LIMIT:
        return True
    return any(_decide(patterns, partial(_is_beneath, path=path)) for path in changed)


def is_branch_wanted(branch: str, patterns: Sequence[str]) -> bool:
    """Whether a branch matches the patterns: `main`, `release/*`, `!release/old`. The last match decides.

    `*` stops at a slash and `**` does not. With only exclusions, every other branch is wanted.
    """
    parts = branch.split("/")
    return _decide(patterns, lambda pattern: len(parts) in _reach(pattern.split("/"), parts))


def _decide(patterns: Sequence[str], matches: Callable[[str], bool]) -> bool:
    wanted = all(pattern.startswith("!") for pattern in patterns)
    for pattern in patterns:
        if matches(pattern.removeprefix("!")):
            wanted = not pattern.startswith("!")
    return wanted


def _is_beneath(pattern: str, path: str) -> bool:
    steps = [step for step in pattern.split("/") if step]
    if "/" not in pattern.rstrip("/"):
        steps.insert(0, "**")
    parts = path.split("/")
    reached = _reach(steps, parts)
    if pattern.endswith("/"):  # directories only
        reached -= {len(parts)}
    return bool(reached - {0}) if steps[-1:] != ["**"] else min(reached, default=len(parts)) < len(parts)


def _reach(steps: Sequence[str], parts: Sequence[str]) -> set[int]:
    """Return how many leading parts of a path the steps can match; one pass per step, so the time stays bounded."""
    reached = {0}
    for step in steps:
        if step == "**":
            reached = set(range(min(reached), len(parts) + 1)) if reached else reached
        else:
            reached = {at + 1 for at in reached if at < len(parts) and fnmatchcase(parts[at], step)}
    return reached


def asks_to_skip(message: str) -> bool:
    """Whether a commit message has a mark that tells hosts to ignore the push, such as `[skip ci]`."""
    trailers = re.sub(r"\r\n?", "\n", message).rstrip().rpartition("\n\n")[2].split("\n")
    return bool(_SKIP.search(message)) or any(_SKIP_TRAILER.fullmatch(line.strip()) for line in trailers)
