"""Addresses, signatures and pauses of webhooks."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.sdk.test_egress import HERE, NEVER, PRIVATE, WORLD

from orca.errors import BadInput
from orca.features.notifications.rules import (
    PAUSES,
    allows,
    explain_disabling,
    explain_status,
    new_secret,
    parse_url,
    sign,
)
from orca.sdk.egress import read_address

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def bracketed(text: str) -> str:
    return f"[{text.strip('[]')}]" if ":" in text else text


@pytest.mark.parametrize("text", [text for text in NEVER if "%" not in text])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_url_of_a_forbidden_address_is_refused_in_every_notation(scheme: str, text: str) -> None:
    for private in (True, False):
        with pytest.raises(BadInput):
            parse_url(f"{scheme}://{bracketed(text)}/orca", private_networks=private)


@pytest.mark.parametrize("text", HERE + PRIVATE)
def test_url_inside_is_for_instances_that_allow_it(text: str) -> None:
    for scheme in ("http", "https"):
        url = f"{scheme}://{bracketed(text)}:8080/orca"
        assert parse_url(url, private_networks=True) == url
        with pytest.raises(BadInput):
            parse_url(url, private_networks=False)


@pytest.mark.parametrize("text", WORLD)
def test_url_outside_is_never_plain(text: str) -> None:
    assert parse_url(f"https://{bracketed(text)}/", private_networks=False)
    for private in (True, False):
        with pytest.raises(BadInput):
            parse_url(f"http://{bracketed(text)}/", private_networks=private)
    address = read_address(text)
    assert address is not None
    assert not allows(address, is_plain=True, private_networks=True)
    assert allows(address, is_plain=False, private_networks=False)


@pytest.mark.parametrize(
    "url",
    [
        "", "hooks.example.org/x", "ftp://example.org/", "file:///etc/passwd", "https://", "https:///x", "https://a b/",
        "https://user:password@example.org/", "https://user@example.org/", "https://example.org/#x", "https://[::1/",
        "https://example.org:99999/", "https://ex\u00e4mple.org/", "https://example.org/\n", "javascript:alert(1)",
        "https://localhost/", "https://a.localhost/", "https://metadata.google.internal/", "https://LOCALHOST./",
        "https://host.docker.internal/", "http://hooks.example.org/",
    ],
)  # fmt: skip
def test_url_that_leads_nowhere_or_tells_too_much_is_refused(url: str) -> None:
    with pytest.raises(BadInput):
        parse_url(url, private_networks=False)


def test_signature_is_that_of_standard_webhooks() -> None:
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", '{"test": 2432232314}'
    made = sign([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_secrets_are_long_and_different() -> None:
    made = {new_secret() for _ in range(20)}
    assert len(made) == 20
    assert all(each.startswith("whsec_") and len(each) == 50 for each in made)


@pytest.mark.parametrize(
    ("status", "words"),
    [(200, ""), (204, ""), (301, "not followed"), (401, "secret"), (410, "410"), (500, "500"), (199, "199")],
)
def test_status_is_explained(status: int, words: str) -> None:
    assert (explain_status(status) == "") is (words == "")
    assert words in explain_status(status)


@pytest.mark.parametrize(
    ("status", "days", "words"),
    [(500, 0, ""), (None, 4.9, ""), (None, 5, "5 days"), (410, 0, "410"), (500, 9, "5 days")],
)
def test_webhook_is_disabled_when_it_takes_nothing(status: int | None, days: float, words: str) -> None:
    reason = explain_disabling(status, NOW - timedelta(days=days), NOW)
    assert (reason == "") is (words == "")
    assert words in reason


def test_pauses_grow_to_about_a_day() -> None:
    assert list(PAUSES) == sorted(PAUSES)
    assert timedelta(hours=20) < sum(PAUSES, timedelta()) < timedelta(hours=28)
