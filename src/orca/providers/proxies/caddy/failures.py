"""Why a certificate could not be had, read from what Caddy wrote about it."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orca.kit.text import clean_output, shorten
from orca.providers.proxies.caddy.certificates import issued_at
from orca.providers.proxies.caddy.layout import Layout
from orca.sdk.proxies import CertificateFailure, ProxyConfig

_GIVEN_UP = "could not get certificate from issuer"
"""Caddy's line at the end of each attempt."""
_CHALLENGE = "challenge failed"
"""What the ACME server saw when it came to look: the better explanation."""
_REASON_LIMIT = 500


@dataclass(slots=True)
class _Attempts:
    count: int = 0
    at: float = 0.0
    reason: str = ""
    seen: str = ""


def read_failures(config: ProxyConfig, layout: Layout) -> list[CertificateFailure]:
    """One per hostname ordered by ACME whose last attempt failed. Reads files: call it in a thread."""
    ordered = {route.hostname: route for route in config.routes if route.tls == "acme"}
    with suppress(FileNotFoundError):
        lines = layout.tls_log.read_text(errors="replace").splitlines()
        named = ordered.keys() & {entry.get("identifier") for entry in _entries(lines)}
        return find_failures(lines, {name: issued_at(ordered[name], layout.storage) for name in named})
    return []


def find_failures(lines: Iterable[str], since: dict[str, float]) -> list[CertificateFailure]:
    """Pure: `since` says from when on failures of a hostname count, in seconds since 1970."""
    found: dict[str, _Attempts] = {}
    for entry in _entries(lines):
        hostname, at = entry.get("identifier"), float(entry.get("ts", 0))
        if hostname not in since or at <= since[hostname]:
            continue
        attempts = found.setdefault(hostname, _Attempts())
        if entry.get("msg") == _CHALLENGE and (not attempts.seen or entry.get("challenge_type") == "http-01"):
            attempts.seen = str(entry.get("problem", {}).get("detail", ""))
        elif entry.get("msg") == _GIVEN_UP:
            attempts.count, attempts.at = attempts.count + 1, at
            attempts.reason, attempts.seen = attempts.seen or str(entry.get("error", "")), ""
    return [_describe(hostname, attempts) for hostname, attempts in found.items() if attempts.count]


def _describe(hostname: str, attempts: _Attempts) -> CertificateFailure:
    # The text comes from a server far away.
    reason = shorten(clean_output(attempts.reason, colours=False).replace("\n", " "), _REASON_LIMIT)
    at = datetime.fromtimestamp(attempts.at, UTC).isoformat(timespec="seconds")
    return CertificateFailure(hostname, reason, at, attempts.count)


def _entries(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        with suppress(ValueError):  # the last line may still be on its way
            entry = json.loads(line)
            if isinstance(entry, dict):
                yield entry
