"""The Git hosts that report pushes: how they are called, and which headers each of them sends."""

import base64
import secrets
from collections.abc import Mapping
from typing import Literal

Provider = Literal["github", "gitlab", "gitea", "bitbucket", "azure", "gerrit", "gogs", "generic"]

PROVIDER_NAMES: Mapping[str, str] = {
    "github": "GitHub", "gitlab": "GitLab", "gitea": "Gitea or Forgejo", "bitbucket": "Bitbucket",
    "azure": "Azure DevOps", "gerrit": "Gerrit", "gogs": "Gogs", "generic": "a generic hook",
}  # fmt: skip
"""How those who send pushes are called."""
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
"""What proves that a delivery comes from the host: a signature, or the secret itself."""
SENDS_SECRET = frozenset({"azure", "gerrit"})
"""Hosts that sign nothing: they send the secret as a password. Gerrit can only have it in the address."""
SIGNS_FORM_FIELD = frozenset({"gitea", "gogs"})
"""Hosts that sign the JSON also when they send it as a field of a form; the others sign what is on the wire."""
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
"""Where hosts without a header for it name the event in the body."""


def new_hook_secret(provider: str) -> str:
    """256 random bits. GitLab's signing tokens have a form of their own."""
    key = secrets.token_bytes(32)
    return f"whsec_{base64.b64encode(key).decode()}" if provider == "gitlab" else key.hex()
