"""Pure rules for e-mails, passwords, the lifetime of sessions, and the limits of attempts."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orca.features.identity.common_passwords import COMMON, RUNS

MIN_PASSWORD = 12
MAX_PASSWORD = 1024
MIN_DIFFERENT = 5
_EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f<>()\[\],;:\\\"]{1,64}@[^\s@\x00-\x1f\x7f<>()\[\],;:\\\"/]{1,189}")
_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip
"""Marks in a user agent, in the order in which they are tested: most browsers also contain the marks of others."""
_AFFIXES = "0123456789!?.,;:*+#$%&@_=~^'\"()[]{}<>/\\|- "


def name_browser(agent: str) -> str:
    """Return a user agent as `Firefox on Linux`; those of programs are returned unchanged."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return f"{browser} on {system}" if browser and system else agent


def normalise_email(text: str) -> str:
    """Return the e-mail in lower case without surrounding spaces; raises ValueError when it is not an address."""
    email = text.strip().lower()
    if not _EMAIL.fullmatch(email):
        raise ValueError("this is not an e-mail address")
    return email


def password_problem(password: str, *, email: str, name: str = "") -> str | None:
    """Return why a password is refused, or None. Only length counts, not composition (NIST SP 800-63B, 5.1.1.2)."""
    if len(password) < MIN_PASSWORD:
        return f"use at least {MIN_PASSWORD} characters; a few unrelated words are easy to remember"
    if len(password) > MAX_PASSWORD:
        return f"use at most {MAX_PASSWORD} characters"
    folded = password.lower()
    if len(set(folded)) < MIN_DIFFERENT:
        return "this repeats a few characters; use a few unrelated words instead"
    own = {email.lower(), email.lower().partition("@")[0], name.lower(), *name.lower().split()} - {""}
    if _is_dressed_up(folded, own):
        return "this is little more than your own name or e-mail; use a few unrelated words instead"
    if _is_dressed_up(folded, COMMON) or any(folded in run or folded[::-1] in run for run in RUNS):
        return "this is among the first passwords that are guessed; use a few unrelated words instead"
    return None


def _is_dressed_up(folded: str, words: Iterable[str]) -> bool:
    """Whether a password is one of the words, with digits and signs around it, or repeated."""
    known = frozenset(words)
    core = folded.strip(_AFFIXES)
    return not {folded, core, _unit(folded), _unit(core)}.isdisjoint(known)


def _unit(text: str) -> str:
    """Return the repeated unit: `abcabc` -> `abc`; a text without repetition is returned as it is."""
    return text[: (text + text).find(text, 1)] if text else text


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a browser session lasts."""

    idle: timedelta
    absolute: timedelta

    def is_over(self, *, seen_at: datetime, expires_at: datetime, instant: datetime) -> bool:
        """Whether the session has ended, by inactivity or by age."""
        return instant >= expires_at or instant - seen_at >= self.idle


STEP_UP = timedelta(minutes=10)
"""How long an entered password is valid for actions that need it again."""


def is_stepped_up(stepped_up_at: datetime, instant: datetime) -> bool:
    """Whether the password was entered recently enough to show secrets."""
    return instant - stepped_up_at < STEP_UP


@dataclass(frozen=True, slots=True)
class Limit:
    """`count` attempts within `seconds`, then a pause. With a ceiling, the pause doubles up to it, in seconds."""

    count: int
    seconds: float
    ceiling: float | None = None


@dataclass(frozen=True, slots=True)
class AttemptCounter:
    """The stored counter of one key."""

    started_at: datetime
    count: int = 0
    blocked_until: datetime | None = None


def spend_try(tries: AttemptCounter, limit: Limit, instant: datetime) -> tuple[AttemptCounter, float | None]:
    """Count one more attempt; return the new counter, and the seconds to wait when it is refused (else None)."""
    if tries.blocked_until is not None and instant < tries.blocked_until:
        return tries, (tries.blocked_until - instant).total_seconds()
    if _is_forgotten(tries, limit, instant):
        tries = AttemptCounter(instant)
    count = tries.count + 1
    if count < limit.count:
        return replace(tries, count=count), None
    return replace(tries, count=count, blocked_until=_pause_end(tries, limit, count, instant)), None


def _pause_end(tries: AttemptCounter, limit: Limit, count: int, instant: datetime) -> datetime:
    """Return the end of the pause after the last allowed attempt: the window's end, or with a ceiling, ever later."""
    if limit.ceiling is None:
        return tries.started_at + timedelta(seconds=limit.seconds)
    doublings = min(count - limit.count, 20)
    return instant + timedelta(seconds=min(limit.seconds * 2**doublings, limit.ceiling))


def _is_forgotten(tries: AttemptCounter, limit: Limit, instant: datetime) -> bool:
    if limit.ceiling is not None and tries.blocked_until is not None:
        return instant - tries.blocked_until >= timedelta(seconds=limit.ceiling)
    return instant - tries.started_at >= timedelta(seconds=limit.seconds)


def refund_try(tries: AttemptCounter, limit: Limit) -> AttemptCounter:
    """Return the counter without one attempt that turned out to be legitimate."""
    count = max(tries.count - 1, 0)
    return replace(tries, count=count, blocked_until=None if count < limit.count else tries.blocked_until)
