"""Explains a registry's refusal in Orca's own words: untrusted responses are never quoted. Pure."""

import re

_LIMIT = 4000
_REASONS = tuple(
    (re.compile(pattern, re.IGNORECASE), reason)
    for pattern, reason in (
        (r"no space left on device", "the disk of the engine is full"),
        (r"no such host|cannot be resolved|server misbehaving", "the name of the registry cannot be resolved"),
        (r"connection refused", "the registry refuses connections"),
        (r"no route to host|network is unreachable", "the registry cannot be reached from here"),
        (
            r"server gave HTTP response to HTTPS client",
            "the registry speaks plain HTTP only",
        ),
        (r"x509:|certificate", "the certificate of the registry is not trusted"),
        (r"no matching manifest", "the registry has it for other platforms only"),
        (r"toomanyrequests|too many requests|rate limit", "the registry limits how often it is asked"),
        (
            r"manifest unknown|name unknown|not found|does not exist|repository name not known",
            "the registry has no such image",
        ),
        (r"unauthorized|authentication required|access denied|denied:|forbidden", "the registry does not let us in"),
        (r"i/o timeout|deadline exceeded|timed? ?out|request canceled", "the registry did not answer in time"),
        (r"connection reset|EOF", "the registry broke the connection off"),
    )
)
_STATUS = re.compile(r"\b(?:status(?: code)?|HTTP(?: error)?)[: ]+(?P<status>[1-5][0-9]{2})\b", re.IGNORECASE)


def explain_refusal(said: str) -> str:
    """Explain why a pull failed, by docker's message."""
    said = said[:_LIMIT]
    for pattern, reason in _REASONS:
        if pattern.search(said):
            return reason
    status = _STATUS.search(said)
    return f"the registry answered with status {status['status']}" if status else "the engine's own log says why"
