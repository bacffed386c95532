"""Test delivery of a hook: signed as by the Git host, and it deploys nothing."""

import base64
import hmac
import json
from datetime import datetime

from orca.features.triggers.pushes.decisions import TEST_EVENT
from orca.features.triggers.pushes.hosts import (
    DELIVERY_HEADERS,
    EVENT_HEADERS,
    EVENT_KEYS,
    SENDS_SECRET,
    SIGNATURE_HEADERS,
)


def make_test_delivery(provider: str, secret: str, identity: str, at: datetime) -> tuple[bytes, dict[str, str]]:
    """Return body and headers."""
    payload = {"id": identity, "sent_by": "Orca", "at": at.isoformat(), EVENT_KEYS.get(provider, "event"): TEST_EVENT}
    body = json.dumps(payload).encode()
    headers = {"content-type": "application/json"}
    headers |= dict.fromkeys(DELIVERY_HEADERS.get(provider, ())[:1], identity)
    headers |= dict.fromkeys(EVENT_HEADERS.get(provider, ()), TEST_EVENT)
    return body, headers | _sign(provider, secret, body)


def _sign(provider: str, secret: str, body: bytes) -> dict[str, str]:
    if provider == "gitlab":
        return {"x-gitlab-token": secret}
    if provider in SENDS_SECRET:
        return {"authorization": f"Basic {base64.b64encode(f'orca:{secret}'.encode()).decode()}"}
    digest = hmac.digest(secret.encode(), body, "sha256").hex()
    prefix = "" if provider in {"gitea", "gogs"} else "sha256="
    return {SIGNATURE_HEADERS[provider][-1]: f"{prefix}{digest}"}
