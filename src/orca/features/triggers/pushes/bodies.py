"""The bodies of deliveries: their signed part, and the JSON in them."""

import json
from typing import Any
from urllib.parse import unquote_to_bytes

from orca.errors import BadInput
from orca.features.triggers.pushes.hosts import SIGNS_FORM_FIELD

MAX_BODY_BYTES = 25 << 20
"""The most that GitHub and GitLab send."""
FORM = "application/x-www-form-urlencoded"
_FIELD = b"payload="
_MAX_FIELDS = 10
_PIECE = 1 << 16


def signed_content(provider: str, body: bytes, content_type: str) -> bytes:
    """Return the content that the host signed: the body, or for some hosts the JSON in a form."""
    return _form_field(body) if provider in SIGNS_FORM_FIELD and _is_form(content_type) else body


def parse_body(body: bytes, content_type: str) -> dict[str, Any]:
    """Return the JSON object in a body, or in the field `payload` of a form. Raises BadInput."""
    try:
        payload = json.loads((_form_field(body) if _is_form(content_type) else body).decode())
    except (ValueError, RecursionError):
        raise BadInput("the body is not valid JSON", hint="Choose application/json in the hook's settings.") from None
    if not isinstance(payload, dict):
        raise BadInput("the body is not a JSON object")
    return payload


def _is_form(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == FORM


def _form_field(body: bytes) -> bytes:
    """Return the value of `payload`, decoded in pieces: `parse_qs` would need many times its memory."""
    fields = body.split(b"&", _MAX_FIELDS)[:_MAX_FIELDS]
    encoded = next((field for field in fields if field.startswith(_FIELD)), _FIELD)[len(_FIELD) :]
    decoded, start = bytearray(), 0
    while start < len(encoded):
        end = start + _PIECE
        escape = encoded.find(b"%", end - 2, end)  # do not split an escape
        end = escape if escape != -1 and end < len(encoded) else end
        decoded += unquote_to_bytes(encoded[start:end].replace(b"+", b" "))
        start = end
    return bytes(decoded)
