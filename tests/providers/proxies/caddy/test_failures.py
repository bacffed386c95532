"""What Caddy's log says about certificates, as reasons."""

import json

import pytest

from orca.providers.proxies.caddy.failures import find_failures
from orca.sdk.proxies import CertificateFailure


def challenge(at: float, detail: str, kind: str = "http-01", host: str = "a.org") -> str:
    entry = {
        "ts": at,
        "msg": "challenge failed",
        "identifier": host,
        "challenge_type": kind,
        "problem": {"detail": detail},
    }
    return json.dumps(entry)


def given_up(at: float, error: str, host: str = "a.org") -> str:
    return json.dumps({"ts": at, "msg": "could not get certificate from issuer", "identifier": host, "error": error})


def failure(reason: str, at: str, attempts: int, host: str = "a.org") -> CertificateFailure:
    return CertificateFailure(host, reason, at, attempts)


@pytest.mark.parametrize(
    ("lines", "since", "expected"),
    [
        ([], {"a.org": 0}, []),
        ([given_up(5, "refused")], {"a.org": 0}, [failure("refused", "1970-01-01T00:00:05+00:00", 1)]),
        ([given_up(5, "refused")], {"a.org": 6}, []),
        ([given_up(5, "refused", "foreign.org")], {"a.org": 0}, []),
        ([challenge(4, "no route")], {"a.org": 0}, []),
        (
            [challenge(4, "no route"), challenge(5, "no TLS", "tls-alpn-01"), given_up(6, "HTTP 403")],
            {"a.org": 0},
            [failure("no route", "1970-01-01T00:00:06+00:00", 1)],
        ),
        (
            [challenge(4, "first"), given_up(5, "x"), given_up(60, "second")],
            {"a.org": 0},
            [failure("second", "1970-01-01T00:01:00+00:00", 2)],
        ),
        (
            [given_up(5, "one"), given_up(6, "two", "b.org")],
            {"a.org": 0, "b.org": 0},
            [
                failure("one", "1970-01-01T00:00:05+00:00", 1),
                failure("two", "1970-01-01T00:00:06+00:00", 1, "b.org"),
            ],
        ),
        (["not json", "[]", given_up(5, "x\x1b[31m\ny")[:-3], given_up(7, "x\x1b[31m\ny")], {"a.org": 0},
         [failure("x y", "1970-01-01T00:00:07+00:00", 1)]),
    ],
)  # fmt: skip
def test_reasons(lines: list[str], since: dict[str, float], expected: list[CertificateFailure]):
    assert find_failures(lines, since) == expected
