"""Verifies that a delivery comes from a host that knows the hook's secret."""

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Sequence
from datetime import datetime

from orca.features.triggers.pushes.bodies import signed_content
from orca.features.triggers.pushes.hosts import PROVIDER_NAMES, SENDS_SECRET, SIGNATURE_HEADERS

HeaderValues = Callable[[str], Sequence[str]]
"""Returns all values of a header; a header that is sent twice is not trusted."""

CLOCK_SKEW_SECONDS = 300
_PLAIN_HEX = frozenset({"gitea", "gogs"})
_FOREIGN_HEADERS = tuple(dict.fromkeys(name for names in SIGNATURE_HEADERS.values() for name in names))
_PASSWORD_LIMIT = 1000


def is_signed(provider: str, secret: str, values: HeaderValues, body: bytes, at: datetime, url_token: str = "") -> bool:
    """Whether the body was signed with the secret, by the method of that host. Constant time in the secret.

    `url_token`: the URL's parameter `token`, for the one host (Gerrit) that cannot send the secret elsewhere.
    """
    if not secret:
        return False
    if provider == "gitlab":
        return _is_signed_by_gitlab(secret, values, body, at)
    if provider in SENDS_SECRET:
        return _has_secret(provider, secret, values, url_token)
    given = [value for name in SIGNATURE_HEADERS.get(provider, ()) for value in _one_each(values(name))]
    if not given:
        return False
    content = signed_content(provider, body, _only(values("content-type")))
    digest = hmac.digest(secret.encode(), content, "sha256").hex()
    expected = digest if provider in _PLAIN_HEX else f"sha256={digest}"
    return all(_equal(value, expected) for value in given)


def may_be_signed(provider: str, values: HeaderValues, url_token: str = "") -> bool:
    """Whether the request has anything that could prove the sender; if not, the body need not be read."""
    return bool(url_token) or any(values(name) for name in SIGNATURE_HEADERS.get(provider, ()))


def _has_secret(provider: str, secret: str, values: HeaderValues, url_token: str) -> bool:
    """Check the password of basic authentication, and Gerrit's token in the URL; all that are present must match."""
    given = [_password(value) for value in _one_each(values("authorization"))]
    if provider == "gerrit" and url_token:
        given.append(url_token)
    return bool(given) and all(_equal(signature, secret) for signature in given)


def _password(authorization: str) -> str:
    """Return the password of `Basic`, with any user name, or the text after `Bearer`."""
    scheme, _, text = authorization[:_PASSWORD_LIMIT].partition(" ")
    if scheme.lower() == "bearer":
        return text.strip()
    try:
        decoded = base64.b64decode(text.strip(), validate=True).decode()
    except ValueError:
        return ""
    return decoded.partition(":")[2] if scheme.lower() == "basic" else ""


def _is_signed_by_gitlab(secret: str, values: HeaderValues, body: bytes, at: datetime) -> bool:
    """Check GitLab's plain token and its newer signature (Standard Webhooks); all that are present must match."""
    tokens, signatures = _one_each(values("x-gitlab-token")), _one_each(values("webhook-signature"))
    if not tokens and not signatures:
        return False
    return all(_equal(token, secret) for token in tokens) and all(
        _is_standard_signature(secret, signature, values, body, at) for signature in signatures
    )


def _is_standard_signature(secret: str, signature: str, values: HeaderValues, body: bytes, at: datetime) -> bool:
    identity, timestamp = _only(values("webhook-id")), _only(values("webhook-timestamp"))
    if not _is_recent(timestamp, at):
        return False
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return False
    signed = hmac.digest(key, f"{identity}.{timestamp}.".encode("latin-1", "replace") + body, "sha256")
    expected = f"v1,{base64.b64encode(signed).decode()}"
    return any(_equal(part, expected) for part in signature.split(" "))


def explain_mismatch(provider: str, values: HeaderValues, at: datetime, url_token: str = "") -> str:
    """Explain to the users of the hook why `is_signed` returned False. Names headers, never their values."""
    wanted = SIGNATURE_HEADERS.get(provider, ())
    given = [name for name in wanted if values(name)]
    if provider == "gerrit" and url_token and not given:
        return "the token in its address does not fit the hook's secret"
    if not given:
        return _explain_missing(provider, wanted, values)
    doubled = next((name for name in given if len(values(name)) > 1), None)
    if doubled is not None:
        return f"its {_shown(doubled)} header came twice"
    has_prefix = provider not in {"gitlab", *_PLAIN_HEX, *SENDS_SECRET}
    if has_prefix and not _only(values(given[0])).startswith("sha256="):
        return f"its {_shown(given[0])} header does not begin with sha256="
    timestamp = _only(values("webhook-timestamp"))
    if "webhook-signature" in given and not _is_recent(timestamp, at):
        return "the time of its signature is more than five minutes off: check the clocks"
    return f"its {_shown(given[0])} header does not fit the hook's secret"


def _explain_missing(provider: str, wanted: Sequence[str], values: HeaderValues) -> str:
    does = "proves itself" if provider in SENDS_SECRET else "signs"
    missing = f"it has no {' or '.join(map(_shown, wanted))} header, by which {PROVIDER_NAMES[provider]} {does}"
    other = next((name for name in _FOREIGN_HEADERS if name not in wanted and values(name)), None)
    return f"{missing}; it has {_shown(other)}" if other else missing


def _shown(header: str) -> str:
    return "-".join(part.capitalize() for part in header.split("-"))


def _is_recent(timestamp: str, at: datetime) -> bool:
    is_number = re.fullmatch(r"[0-9]{1,12}", timestamp) is not None
    return is_number and abs(at.timestamp() - int(timestamp)) <= CLOCK_SKEW_SECONDS


def _one_each(values: Sequence[str]) -> list[str]:
    """Return the values of a header; for one that was sent twice, a value that no signature equals."""
    return [""] if len(values) > 1 else list(values)


def _only(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else ""


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("utf-8", "replace"))
