"""Path prefixes, redirect targets and public URLs."""

import re
from urllib.parse import urlsplit

from orca.features.routing.rules.hostnames import is_wildcard, parse_hostname

MAX_PREFIX = 255
MAX_REDIRECT = 500
HTTP_PORT = 80
HTTPS_PORT = 443
_SEGMENT = r"[A-Za-z0-9._~@:+=,-]+"
_PREFIX = re.compile(rf"(?:/{_SEGMENT})*/?")
_ENCODED = r"%(?!00|0[0-9A-Fa-f]|1[0-9A-Fa-f]|2[EeFf]|5[Cc]|7[Ff])[0-9A-Fa-f]{2}"
"""Percent-encoding, but not of what a path is built from, nor of control characters."""
_TARGET_PATH = re.compile(rf"(?:/(?:[A-Za-z0-9._~@:+=,-]|{_ENCODED})*)*")


def parse_prefix(text: str) -> str:
    """Return a path prefix without trailing slash (`/` alone matches everything). Raises ValueError.

    No percent-encoding, glob or dot segment: the prefix is compared with decoded paths, and must mean one thing.
    """
    if not text.startswith("/"):
        raise ValueError("the path must begin with /")
    if len(text) > MAX_PREFIX or not _PREFIX.fullmatch(text) or _has_dots(text):
        raise ValueError("use /segments of letters, digits and . _ ~ @ : + = , - without empty or dot segments")
    return "/" + text.strip("/")


def parse_redirect(text: str) -> str:
    """An absolute http or https URL, to which path and query of the request are appended. Raises ValueError."""
    if len(text) > MAX_REDIRECT:
        raise ValueError(f"the target is longer than {MAX_REDIRECT} characters")
    if not text.isprintable() or " " in text:
        raise ValueError("the target has characters that a URL cannot have")
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ValueError("the target must be an absolute URL that begins with http:// or https://")
    if "@" in parts.netloc or "?" in text or "#" in text:
        raise ValueError("the target must have no user name, query or fragment; path and query are appended to it")
    if not _TARGET_PATH.fullmatch(parts.path) or _has_dots(parts.path):
        raise ValueError("the path of the target has characters or segments that are not allowed")
    host = parse_hostname(parts.netloc)
    if is_wildcard(host):
        raise ValueError("the target must name one host")
    return f"{parts.scheme}://{host}{_port(parts.port, parts.scheme)}{parts.path.rstrip('/')}"


def is_loop(hostname: str, path_prefix: str, redirect_to: str) -> bool:
    """Whether the target of a redirect is served by the same redirect."""
    parts = urlsplit(redirect_to)
    return parts.hostname == hostname and within(parts.path or "/", path_prefix)


def within(path: str, prefix: str) -> bool:
    """Whether a path belongs to a prefix, as proxies match them: by whole segments, without regard to case."""
    path, prefix = path.casefold(), prefix.casefold().rstrip("/")
    return path == prefix or path.startswith(prefix + "/")


def route_url(scheme: str, hostname: str, path_prefix: str, port: int) -> str:
    """Return the URL that is opened in a browser."""
    return f"{scheme}://{hostname}{_port(port, scheme)}{path_prefix if path_prefix != '/' else '/'}"


def _port(port: int | None, scheme: str) -> str:
    usual = HTTPS_PORT if scheme == "https" else HTTP_PORT
    return "" if port in {None, usual} else f":{port}"


def _has_dots(path: str) -> bool:
    return bool({".", ".."} & set(path.split("/")))
