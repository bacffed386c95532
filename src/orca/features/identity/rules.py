"""Pure decisions about people: e-mails, passwords, when sessions end, and how fast one may guess."""

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
"""Marks in a browser's name for itself, in the order in which they are believed: most claim to be others as well."""
_AFFIXES = "0123456789!?.,;:*+#$%&@_=~^'\"()[]{}<>/\\|- "


def name_browser(agent: str) -> str:
    """`Firefox on Linux` for what a browser says of itself; programs keep their own words."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return f"{browser} on {system}" if browser and system else agent


def normalise_email(text: str) -> str:
    """Lower-cased and without spaces around; raises ValueError when it cannot be an address."""
    email = text.strip().lower()
    if not _EMAIL.fullmatch(email):
        raise ValueError("this is not an e-mail address")
    return email


def password_problem(password: str, *, email: str, name: str = "") -> str | None:
    """Why a password is refused, or None. Length counts, composition does not (NIST SP 800-63B section 5.1.1.2)."""
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
    """Whether only digits and signs are left around one of the words, or it is the word again and again."""
    known = frozenset(words)
    core = folded.strip(_AFFIXES)
    return not {folded, core, _unit(folded), _unit(core)}.isdisjoint(known)


def _unit(text: str) -> str:
    """`abcabc` -> `abc`; a text that repeats nothing is its own unit."""
    return text[: (text + text).find(text, 1)] if text else text


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a browser session lasts."""

    idle: timedelta
    absolute: timedelta

    def is_over(self, *, seen_at: datetime, expires_at: datetime, instant: datetime) -> bool:
        """Whether it ended, by silence or by age."""
        return instant >= expires_at or instant - seen_at >= self.idle


STEP_UP = timedelta(minutes=10)
"""How long an entered password opens what needs one again."""


def is_stepped_up(stepped_up_at: datetime, instant: datetime) -> bool:
    """Whether the password was entered recently enough to show secrets."""
    return instant - stepped_up_at < STEP_UP


@dataclass(frozen=True, slots=True)
class Limit:
    """`count` tries within `seconds`; then a pause. With a ceiling the pause doubles up to it, in seconds."""

    count: int
    seconds: float
    ceiling: float | None = None


@dataclass(frozen=True, slots=True)
class Tries:
    """What is remembered of one place from which something is tried."""

    started_at: datetime
    count: int = 0
    blocked_until: datetime | None = None


def spend_try(tries: Tries, limit: Limit, instant: datetime) -> tuple[Tries, float | None]:
    """One more try: what is remembered now, and the seconds to wait when it is refused (else None)."""
    if tries.blocked_until is not None and instant < tries.blocked_until:
        return tries, (tries.blocked_until - instant).total_seconds()
    if _is_forgotten(tries, limit, instant):
        tries = Tries(instant)
    count = tries.count + 1
    if count < limit.count:
        return replace(tries, count=count), None
    return replace(tries, count=count, blocked_until=_pause_end(tries, limit, count, instant)), None


def _pause_end(tries: Tries, limit: Limit, count: int, instant: datetime) -> datetime:
    """After the last allowed try: without a ceiling until the window ends, with one ever longer."""
    if limit.ceiling is None:
        return tries.started_at + timedelta(seconds=limit.seconds)
    doublings = min(count - limit.count, 20)
    return instant + timedelta(seconds=min(limit.seconds * 2**doublings, limit.ceiling))


def _is_forgotten(tries: Tries, limit: Limit, instant: datetime) -> bool:
    if limit.ceiling is not None and tries.blocked_until is not None:
        return instant - tries.blocked_until >= timedelta(seconds=limit.ceiling)
    return instant - tries.started_at >= timedelta(seconds=limit.seconds)


def refund_try(tries: Tries, limit: Limit) -> Tries:
    """A try that was honest after all is given back."""
    count = max(tries.count - 1, 0)
    return replace(tries, count=count, blocked_until=None if count < limit.count else tries.blocked_until)
