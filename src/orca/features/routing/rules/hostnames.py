"""Normalises hostnames: each has one spelling that is stored, compared and served, however it was written."""

import hashlib
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

import idna

MAX_HOSTNAME = 253
MAX_LABEL = 63
_LONGEST_INPUT = 1000
"""Encoding may shorten a non-ASCII name, but not from more than this to a valid length."""
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PORT = re.compile(r"[0-9]{1,5}")
_ADDRESS_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label that browsers parse as part of an IPv4 address."""
_WILDCARD = "*."
_EMOJI_LABEL = re.compile("[a-z0-9\U0001f000-\U0001faff\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff]{1,40}")
"""IDNA 2008 knows no emoji, but some top-level domains register them, and authorities certify them."""
_HYPHENS = re.compile(r"-{2,}")
_HASH_LENGTH = 6
_PRIVATE_DOMAINS = frozenset(
    {
        "corp", "example", "home", "home.arpa", "internal", "intranet", "invalid", "lan", "local", "localhost",
        "onion", "private", "test",
    }
)  # fmt: skip


def parse_hostname(text: str) -> str:
    """Return the hostname in lower-case ASCII (IDNA 2008 after UTS 46), without port and trailing dot.

    `*.` stands for one label in front of at least two. Raises ValueError with the reason.
    """
    if len(text) > _LONGEST_INPUT:
        raise ValueError("the hostname is too long")
    name = _drop_port(text.strip(" ")).lower()
    is_wildcard = name.startswith(_WILDCARD)
    labels = _to_ascii(name.removeprefix(_WILDCARD)).removesuffix(".").split(".")
    for label in labels:
        _check_label(label)
    if _ADDRESS_LABEL.fullmatch(labels[-1]):
        raise ValueError("an IP address cannot be routed; use a name that resolves to it")
    if is_wildcard and len(labels) < 2:  # noqa: PLR2004 - `*.com` would be everybody's
        raise ValueError("a wildcard needs at least two labels after it, as in *.example.org")
    hostname = (_WILDCARD if is_wildcard else "") + ".".join(labels)
    if len(hostname) > MAX_HOSTNAME:
        raise ValueError(f"the hostname is longer than {MAX_HOSTNAME} characters")
    return hostname


def is_wildcard(hostname: str) -> bool:
    """Whether the hostname is a wildcard."""
    return hostname.startswith(_WILDCARD)


def covers(pattern: str, hostname: str) -> bool:
    """Whether requests (or a certificate) for `pattern` include `hostname`; a wildcard matches exactly one label."""
    if pattern == hostname:
        return True
    return is_wildcard(pattern) and not is_wildcard(hostname) and hostname.partition(".")[2] == pattern[2:]


def is_within(hostname: str, zones: Iterable[str]) -> bool:
    """Whether a name, or all names of a wildcard, belong to one of these zones."""
    name = hostname.removeprefix(_WILDCARD)
    return any(name == zone or name.endswith(f".{zone}") for zone in zones)


def names_above(hostname: str, base_domain: str) -> list[str]:
    """Return a name (of a wildcard, its base) and its parents below the base domain, which is not included."""
    labels = hostname.removeprefix(_WILDCARD).removesuffix(f".{base_domain}").split(".")
    return [".".join([*labels[at:], base_domain]) for at in range(len(labels))]


def is_above(hostname: str, base_domain: str) -> bool:
    """Whether a name is the base domain or above it, and so shares cookies with all names below the base domain."""
    name = hostname.removeprefix(_WILDCARD)
    return name == base_domain or base_domain.endswith(f".{name}")


def overlap(one: str, other: str) -> bool:
    """Whether a request could match both names."""
    return covers(one, other) or covers(other, one)


def panel_hostnames(panel_url: str, allowed_hosts: Iterable[str]) -> frozenset[str]:
    """Return the names of the panel itself, which no service may use."""
    names = {"localhost"}
    for text in (urlsplit(panel_url).netloc, *allowed_hosts):
        try:
            names.add(parse_hostname(text))
        except ValueError:
            continue  # an IP address, which no route can claim anyway
    return frozenset(names)


def is_reserved(hostname: str, panel: Iterable[str], base_domain: str) -> bool:
    """Whether a name is reserved: the panel's, a wildcard that covers it, or one that covers all automatic names."""
    return hostname == _WILDCARD + base_domain or any(overlap(hostname, name) for name in panel)


def automatic_hostname(*slugs: str, base_domain: str, salt: str = "") -> str:
    """`<service>-<project>.<base domain>`: one label, so that one wildcard record and certificate cover all of them.

    A label that would be too long, or is taken (then `salt` is given), is cut and ends with six hexadecimal digits.
    """
    label = _HYPHENS.sub("-", "-".join(slug for slug in slugs if slug)).strip("-")
    room = min(MAX_LABEL, MAX_HOSTNAME - len(base_domain) - 1)
    if salt or len(label) > room:
        digest = hashlib.sha256(f"{label} {salt}".encode()).hexdigest()[:_HASH_LENGTH]
        label = f"{label[: room - _HASH_LENGTH - 1].rstrip('-')}-{digest}"
    return f"{label}.{base_domain}"


def is_public(hostname: str) -> bool:
    """Whether a public certificate authority could certify the name, judged by its form alone."""
    labels = hostname.removeprefix(_WILDCARD).split(".")
    return len(labels) > 1 and not any(".".join(labels[at:]) in _PRIVATE_DOMAINS for at in range(len(labels)))


def _drop_port(text: str) -> str:
    name, colon, port = text.partition(":")
    if not colon:
        return text
    if not _PORT.fullmatch(port):
        raise ValueError("use a hostname alone, without scheme, path or address")
    return name


def _to_ascii(name: str) -> str:
    if name.isascii():
        return name
    try:
        mapped = idna.uts46_remap(name, std3_rules=True, transitional=False)
        return ".".join(_encode(label) if label else "" for label in mapped.split("."))
    except UnicodeError as error:
        raise ValueError("the hostname has characters that names cannot have") from error


def _encode(label: str) -> str:
    if not label.isascii() and _EMOJI_LABEL.fullmatch(label):
        return f"xn--{label.encode('punycode').decode()}"
    return idna.alabel(label).decode()


def _check_label(label: str) -> None:
    if not label:
        raise ValueError("the hostname has an empty part")
    if len(label) > MAX_LABEL:
        raise ValueError(f"a part of the hostname is longer than {MAX_LABEL} characters")
    if not _LABEL.fullmatch(label):
        raise ValueError("use letters, digits and inner hyphens, separated by dots; * only as the first part")
    if label.startswith("xn--"):
        _check_punycode(label)


def _check_punycode(label: str) -> None:
    try:
        emoji = label[4:].encode().decode("punycode")
        canonical = _encode(emoji if _EMOJI_LABEL.fullmatch(emoji) else idna.ulabel(label))
    except UnicodeError as error:
        raise ValueError("the hostname has an invalid xn-- part") from error
    if canonical != label:
        raise ValueError("the hostname has an xn-- part that stands for another name")
