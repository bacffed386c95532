"""Passwords, e-mails, session lifetimes and the arithmetic of limits, by tables."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orca.features.identity.rules import (
    AttemptCounter,
    Lifetime,
    Limit,
    is_stepped_up,
    name_browser,
    normalise_email,
    password_problem,
    refund_try,
    spend_try,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOGIN = Limit(5, 60, ceiling=900)
HOURLY = Limit(20, 3600)


@pytest.mark.parametrize(
    "password",
    [
        "short", "elevenchars", "password1234", "Password1234!", "passwordpassword", "PASSWORD!!!!!", "123456789012",
        "qwertyuiopasdf", "lkjhgfdsapoiu", "abcabcabcabc", "aaaaaaaaaaaaaaaa", "1111222233334444", "monkeymonkey99",
        "ada.lovelace@example.org", "ADA.LOVELACE2026", "Lovelace-1815", "lovelacelovelace", "x" * 1025,
        "correcthorsebatterystaple", "iloveyou!!!!!!", "changeme12345",
    ],
)  # fmt: skip
def test_a_guessable_password_is_refused_with_a_reason(password: str) -> None:
    assert password_problem(password, email="ada.lovelace@example.org", name="Ada Lovelace")


@pytest.mark.parametrize(
    "password",
    [
        "a-good-long-passphrase", "twelve chars", "ключ от квартиры", "        spaces only at the ends   ",
        "8f3k2l9d0s7a", "password of the ferryman", "x7" + "qb3z" * 255, "🐋🐋 sing below ice",
    ],
)  # fmt: skip
def test_a_password_that_is_long_and_not_common_is_accepted_without_composition_rules(password: str) -> None:
    assert password_problem(password, email="ada.lovelace@example.org", name="Ada Lovelace") is None


def test_the_bounds_of_length_are_exact() -> None:
    letters = "kdmxwzpqvbhy" * 86
    assert password_problem(letters[:11], email="a@b") is not None
    assert password_problem("mxkwdzpqvbhy", email="a@b") is None
    assert password_problem("ä" + letters[:1023], email="a@b") is None
    assert password_problem("ä" + letters[:1024], email="a@b") is not None


@pytest.mark.parametrize(
    ("text", "email"),
    [(" Ada@Example.ORG ", "ada@example.org"), ("a+b@c.d", "a+b@c.d"), ("jörg@münchen.de", "jörg@münchen.de")],
)
def test_an_email_is_lower_cased_and_trimmed(text: str, email: str) -> None:
    assert normalise_email(text) == email


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "@b",
        "a@",
        "a@@b",
        "a b@c",
        "a@b c",
        "a@b\nbcc: x",
        "a@b,c@d",
        "<a@b>",
        "a\x00@b",
        '"a"@b',
        "x" * 65 + "@b",
    ],
)
def test_what_is_no_email_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="e-mail"):
        normalise_email(text)


@pytest.mark.parametrize(
    ("silence", "age", "is_over"), [(0, 0, False), (29, 11, False), (30, 0, True), (0, 12, True), (31, 13, True)]
)
def test_a_session_ends_by_silence_and_by_age(silence: int, age: int, is_over: bool) -> None:
    lifetime = Lifetime(timedelta(minutes=30), timedelta(hours=12))
    born = NOW - timedelta(hours=age)
    seen = NOW - timedelta(minutes=silence)
    assert lifetime.is_over(seen_at=seen, expires_at=born + lifetime.absolute, instant=NOW) is is_over


def test_an_entered_password_opens_secrets_for_ten_minutes() -> None:
    assert is_stepped_up(NOW - timedelta(minutes=9, seconds=59), NOW)
    assert not is_stepped_up(NOW - timedelta(minutes=10), NOW)


def spend_many(limit: Limit, instants: list[float]) -> list[float | None]:
    tries, waits = AttemptCounter(NOW), []
    for seconds in instants:
        tries, wait = spend_try(tries, limit, NOW + timedelta(seconds=seconds))
        waits.append(wait)
    return waits


def test_five_tries_a_minute_then_pauses_that_double_up_to_a_quarter_of_an_hour() -> None:
    assert spend_many(LOGIN, [0, 1, 2, 3, 4]) == [None] * 5
    assert spend_many(LOGIN, [0, 1, 2, 3, 4, 5]) == [*[None] * 5, 59.0]
    pauses, at = [], 4.0
    tries = AttemptCounter(NOW, 5, NOW + timedelta(seconds=64))
    for _ in range(7):
        at += pauses[-1] if pauses else 60
        tries, wait = spend_try(tries, LOGIN, NOW + timedelta(seconds=at))
        assert wait is None
        assert tries.blocked_until is not None
        pauses.append((tries.blocked_until - NOW).total_seconds() - at)
    assert pauses == [120, 240, 480, 900, 900, 900, 900]


def test_slow_tries_are_never_refused() -> None:
    assert spend_many(LOGIN, [61.0 * n for n in range(30)]) == [None] * 30


def test_a_block_is_never_for_ever() -> None:
    blocked = AttemptCounter(NOW, 400, NOW + timedelta(seconds=900))
    tries, wait = spend_try(blocked, LOGIN, NOW + timedelta(seconds=900 + 900))
    assert (tries.count, wait) == (1, None)


def test_a_limit_without_ceiling_waits_for_the_end_of_its_window() -> None:
    assert spend_many(HOURLY, list(range(20))) == [None] * 20
    assert spend_many(HOURLY, [*range(20), 600])[-1] == 3000
    assert spend_many(HOURLY, [*range(20), 3600])[-1] is None


def test_an_honest_try_is_given_back_and_lifts_the_pause_it_caused() -> None:
    tries, _ = spend_try(AttemptCounter(NOW, 4), LOGIN, NOW)
    assert tries.blocked_until is not None
    assert refund_try(tries, LOGIN) == AttemptCounter(NOW, 4)
    assert refund_try(AttemptCounter(NOW, 0), LOGIN) == AttemptCounter(NOW, 0)


@given(st.lists(st.floats(min_value=0, max_value=100), max_size=200))
def test_however_tries_are_spread_no_window_lets_more_through_than_allowed(gaps: list[float]) -> None:
    instants, at = [], 0.0
    for gap in gaps:
        at += gap
        instants.append(at)
    allowed = [at for at, wait in zip(instants, spend_many(LOGIN, instants), strict=True) if wait is None]
    for start in allowed:
        assert sum(start <= at < start + 60 for at in allowed) <= 2 * LOGIN.count


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36", "Chrome on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36 Edg/126.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36", "Chrome on Android"),
        ("python-httpx/0.28.1", "python-httpx/0.28.1"),
        ("", ""),
    ],
)  # fmt: skip
def test_browsers_are_named_for_people(agent: str, name: str) -> None:
    assert name_browser(agent) == name
