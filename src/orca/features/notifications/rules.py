"""Which addresses webhooks are sent to, how a message is signed, and when it is tried again: pure decisions."""

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from secrets import token_bytes
from urllib.parse import urlsplit

from orca.errors import BadInput
from orca.sdk.egress import Address, is_allowed, is_allowed_name, read_address

PING = "ping"
PAUSES = tuple(
    timedelta(seconds=seconds) for seconds in (5, 60, 300, 1800, 2 * 3600, 5 * 3600, 8 * 3600, 8 * 3600)
)  # fmt: skip
"""Between the tries of one delivery; together about a day."""
DISABLE_AFTER = timedelta(days=5)
"""A webhook that took nothing for so long is disabled."""
KEEP_DELIVERIES = timedelta(days=30)
KEEP_REPLACED_SECRET = timedelta(hours=24)
"""So long messages carry the signature of a replaced secret, too, so that receivers can change over in peace."""
MOST_WEBHOOKS = 20
"""Of one team: each event is sent to all of them."""
URL_LIMIT = 2000
_SECRET_PREFIX, _SECRET_BYTES = "whsec_", 32
_PUBLIC_HINT = "ORC_WEBHOOK_PRIVATE_NETWORKS says whether webhooks may lead to this machine and its networks."


def parse_url(text: str, *, private_networks: bool) -> str:
    """Check the address of a webhook, as far as it says itself where it leads. Raises BadInput.

    Plain http is for this machine and its networks, where the setting allows them.
    """
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    is_plain = parts.scheme == "http"
    if not host or parts.scheme not in {"http", "https"} or not text.isascii() or not text.isprintable() or " " in text:
        raise BadInput("write the whole address, such as https://hooks.example.org/orca")
    if "@" in parts.netloc or "#" in text:
        raise BadInput("an address of a webhook has no user name, password or fragment")
    if is_plain and not private_networks:
        raise BadInput("the address must begin with https://", hint=f"Plain http is not private. {_PUBLIC_HINT}")
    address = read_address(host)
    is_good = is_allowed_name(host, loopback=private_networks)
    if address is not None:
        is_good = allows(address, is_plain=is_plain, private_networks=private_networks)
    if not is_good:
        raise BadInput(f"{host} is where no webhook is sent to", hint=_PUBLIC_HINT)
    return text


def allows(address: Address, *, is_plain: bool, private_networks: bool) -> bool:
    """Whether webhooks may be sent to an address; plain http never leaves this machine and its networks."""
    is_public = is_allowed(address, private=False, loopback=False)
    return is_allowed(address, private=private_networks, loopback=private_networks) and not (is_plain and is_public)


def new_secret() -> str:
    """Return a new signing secret in the form of Standard Webhooks."""
    return _SECRET_PREFIX + base64.b64encode(token_bytes(_SECRET_BYTES)).decode()


def sign(secrets: Sequence[str], message_id: str, timestamp: int, body: str) -> str:
    """Return the `webhook-signature` of a message, as Standard Webhooks describes it: one signature per secret."""
    signed = f"{message_id}.{timestamp}.{body}".encode()
    keys = [base64.b64decode(secret.removeprefix(_SECRET_PREFIX)) for secret in secrets]
    return " ".join(f"v1,{base64.b64encode(hmac.digest(key, signed, 'sha256')).decode()}" for key in keys)


def is_taken(status: int) -> bool:
    """Whether a receiver took a message."""
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def explain_status(status: int) -> str:
    """Return why an answer does not count as taken; empty for one that does. What the receiver wrote is not shown."""
    if is_taken(status):
        return ""
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return f"The receiver answered {status}: it sends on to another address, which is not followed."
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return f"The receiver answered {status}: it did not accept the message; compare the secret."
    return f"The receiver answered {status}."


def explain_disabling(status: int | None, failing_since: datetime, at: datetime) -> str:
    """Return why a webhook is to be disabled after a failed try; empty when it stays."""
    if status == HTTPStatus.GONE:
        return "The receiver answered 410: it wants no more messages."
    if at - failing_since >= DISABLE_AFTER:
        return f"The receiver has taken nothing for {DISABLE_AFTER.days} days."
    return ""
