"""The Git hosts that report pushes: their names, and the headers that each sends."""

import base64
import secrets
from collections.abc import Mapping
from typing import Literal

Provider = Literal["github", "gitlab", "gitea", "bitbucket", "azure", "gerrit", "gogs", "generic"]

PROVIDER_NAMES: Mapping[str, str] = {
    "github": "GitHub", "gitlab": "GitLab", "gitea": "Gitea or Forgejo", "bitbucket": "Bitbucket",
    "azure": "Azure DevOps", "gerrit": "Gerrit", "gogs": "Gogs", "generic": "a generic hook",
}  # fmt: skip
"""Display names of the hosts."""
SIGNATURE_HEADERS: Mapping[str, tuple[str, ...]] = {
    "github": ("x-hub-signature-256",),
    "gitlab": ("x-gitlab-token", "webhook-signature"),
    "gitea": ("x-forgejo-signature", "x-gitea-signature"),
    "bitbucket": ("x-hub-signature",),
    "azure": ("authorization",),
    "gerrit": ("authorization",),
    "gogs": ("x-gogs-signature",),
    "generic": ("x-orca-signature-256",),
}
"""Headers that prove that a delivery comes from the host: a signature, or the secret itself."""
SENDS_SECRET = frozenset({"azure", "gerrit"})
"""Hosts without signatures, which send the secret as a password. Gerrit can only send it in the URL."""
SIGNS_FORM_FIELD = frozenset({"gitea", "gogs"})
"""Hosts that sign the JSON even when they send it as a form field; the others sign the body as sent."""
DELIVERY_HEADERS: Mapping[str, tuple[str, ...]] = {
    "github": ("x-github-delivery",),
    "gitlab": ("webhook-id", "idempotency-key", "x-gitlab-webhook-uuid"),
    "gitea": ("x-forgejo-delivery", "x-gitea-delivery"),
    "bitbucket": ("x-request-uuid", "x-request-id"),
    "gogs": ("x-gogs-delivery",),
    "generic": ("x-orca-delivery",),
}
EVENT_HEADERS: Mapping[str, tuple[str, ...]] = {
    "github": ("x-github-event",),
    "gitlab": ("x-gitlab-event",),
    "gitea": ("x-forgejo-event", "x-gitea-event"),
    "bitbucket": ("x-event-key",),
    "gogs": ("x-gogs-event",),
    "generic": ("x-orca-event",),
}
EVENT_KEYS: Mapping[str, str] = {"azure": "eventType", "gerrit": "type"}
"""Body key of the event's name, for hosts without a header for it."""


def new_hook_secret(provider: str) -> str:
    """Return 256 random bits as text. GitLab's signing tokens have a format of their own."""
    key = secrets.token_bytes(32)
    return f"whsec_{base64.b64encode(key).decode()}" if provider == "gitlab" else key.hex()
