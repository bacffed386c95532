"""Reads in the output of a failed step which server it could not reach: words of package managers and the like. Pure.

These are texts of other people's tools, so they change only what is said about a failure, never what is done about it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

_LINE = 1000
_LINES = 40
_HOST = r"(?P<host>[A-Za-z0-9][A-Za-z0-9.-]{0,252})"
_NAMES = tuple(re.compile(pattern.replace("<HOST>", _HOST)) for pattern in (
    r"getaddrinfo (?:EAI_AGAIN|ENOTFOUND) <HOST>",
    r"Temporary failure resolving '?<HOST>",
    r"[Cc]ould(?: not|n't) resolve(?: host:)? '?(?!host\b)(?!hostname\b)<HOST>",
    r"\blookup <HOST>(?: on [^ ]{1,100})?: (?:no such host|server misbehaving|[Tt]emporary |i/o timeout|read udp)",
    r"unable to resolve host address .?<HOST>",
    r"(?:UnknownHostException:|Unknown host) <HOST>",
    r"Name or service not known \(<HOST>",
    r"(?:Failed to open TCP connection to|connecting to) <HOST>:\d{1,5} \(getaddrinfo",
))  # fmt: skip
_NAME_WORDS = (
    "Temporary failure in name resolution", "Name or service not known", "failed to lookup address information",
    "dns error", "NameResolutionError", "EAI_AGAIN", "ENOTFOUND", ":nxdomain", "Couldn't resolve host",
)  # fmt: skip
_CONNECTIONS = tuple(re.compile(pattern.replace("<HOST>", _HOST)) for pattern in (
    r"Failed to connect to <HOST> port",
    r"request to https?://(?:[^/@ ]{1,100}@)?<HOST>[^ ]{0,500} failed, reason:",
    r"Could not connect to <HOST>:\d",
    r"Could not reach host <HOST>",
    r"Failed to open TCP connection to <HOST>:\d",
    r"connect E(?:TIMEDOUT|CONNREFUSED|HOSTUNREACH|NETUNREACH) <HOST>:\d",
    r"dial tcp <HOST>:\d{1,5}: (?:i/o timeout|connect: )",
))  # fmt: skip
_CONNECTION_WORDS = (
    "Failed to establish a new connection", "ReadTimeoutError", "ConnectTimeoutError", "Read timed out", "ECONNRESET",
    "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "curl: (7)", "curl: (28)", "error sending request for url",
    "TLS handshake timeout", "i/o timeout", "Connection timed out", "[28] Timeout was reached",
)  # fmt: skip
_ELSEWHERE = tuple(
    re.compile(pattern.replace("<HOST>", _HOST))
    for pattern in (r"\bhost='<HOST>'", r"https?://(?:[^/@ ]{1,100}@)?<HOST>")
)
_TRIED_AGAIN = re.compile(r"Retry\(total=[1-9]|^npm (?:warn|WARN)|^warning: spurious network error")
"""Complaints about an attempt that was not the last one."""
_OF_ITSELF = ("127.", "localhost", "0.0.0.0")  # noqa: S104 - not an address to listen on


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A server that a step could not reach. `host` is empty where the output does not name it."""

    host: str
    is_unknown: bool
    """Whether its name was not resolved."""


def find_unreachable(lines: Iterable[str]) -> Unreachable | None:
    """Return the server that the last lines of a step complain about; None if they are about something else."""
    found = None
    for line in [written[:_LINE] for written in lines][-_LINES:][::-1]:
        fault = None if _TRIED_AGAIN.search(line) else _read(line)
        if fault and fault.host:
            return replace(fault, is_unknown=fault.is_unknown or bool(found and found.is_unknown))
        found = found or fault
    return found


def _read(line: str) -> Unreachable | None:
    for patterns, words, is_unknown in ((_NAMES, _NAME_WORDS, True), (_CONNECTIONS, _CONNECTION_WORDS, False)):
        match = _first(patterns, line)
        if match is None and not any(word in line for word in words):
            continue
        match = match or _first(_ELSEWHERE, line)
        host = match["host"].rstrip(".-") if match else ""
        return None if host.startswith(_OF_ITSELF) else Unreachable(host, is_unknown)
    return None


def _first(patterns: Iterable[re.Pattern[str]], line: str) -> re.Match[str] | None:
    return next((match for pattern in patterns if (match := pattern.search(line))), None)
