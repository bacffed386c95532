"""Pushes as the real Git hosts send them: their headers, their signatures, the shape of their bodies."""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

OLD, NEW, GONE = "1" * 40, "a" * 40, "0" * 40
PROVIDERS = ("github", "gitlab", "gitea", "bitbucket", "azure", "gerrit", "gogs", "generic")


def hexdigest(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@dataclass
class Delivery:
    """One request of a Git host."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers.items() if key.lower() == name.lower()]


def push_body(
    provider: str, *, branch="main", commit=NEW, message="Add a page", files=("src/app.py",), ref=None
) -> dict[str, Any]:
    ref = ref or f"refs/heads/{branch}"
    commits = [{"id": commit, "message": message, "added": list(files), "modified": [], "removed": []}]
    common = {"ref": ref, "before": OLD, "after": commit, "commits": [] if commit == GONE else commits}
    named = {"type": "tag" if ref.startswith("refs/tags/") else "branch", "name": ref.split("/", 2)[2],
             "target": {"type": "commit", "hash": commit, "message": message}}  # fmt: skip
    update = {"name": ref, "oldObjectId": OLD, "newObjectId": commit}
    changes = [
        {"new": None if commit == GONE else named, "old": {**named, "target": {"hash": OLD}}, "closed": commit == GONE}
    ]
    bodies = {
        "github": {
            **common, "created": False, "deleted": commit == GONE, "forced": False, "repository": {"full_name": "o/r"},
            "head_commit": None if commit == GONE else commits[0],
        },
        "gitlab": {
            **common, "object_kind": "push", "total_commits_count": 1, "checkout_sha": None if commit == GONE else commit,
        },
        "gitea": {**common, "total_commits": 1, "head_commit": commits[0]},
        "gogs": common,
        "bitbucket": {"push": {"changes": changes}},
        "azure": {
            "id": "", "eventType": "git.push", "publisherId": "tfs",
            "resource": {"refUpdates": [update], "commits": [{"commitId": commit, "comment": message}]},
        },
        "gerrit": {
            "type": "ref-updated", "refUpdate": {"oldRev": OLD, "newRev": commit, "refName": ref, "project": "repo"}, "eventCreatedOn": 1,
        },
        "generic": {"ref": ref, "commit": commit, "message": message, "paths": list(files)},
    }  # fmt: skip
    return bodies[provider]


def deliver(
    provider: str, secret: str, payload: Any, *, delivery="d-1", event=None, at: float | None = None
) -> Delivery:
    """Sign and address a payload as that host does."""
    if provider == "azure" and isinstance(payload, dict) and "id" in payload:
        payload = {**payload, "id": delivery}
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    sent = Delivery(body, {"Content-Type": "application/json"})
    signature = hexdigest(secret, body)
    if provider == "github":
        sent.headers |= {"X-GitHub-Event": event or "push", "X-GitHub-Delivery": delivery,
                         "X-Hub-Signature": "sha1=" + hmac.new(secret.encode(), body, hashlib.sha1).hexdigest(),
                         "X-Hub-Signature-256": f"sha256={signature}"}  # fmt: skip
    elif provider == "gitlab":
        sent.headers |= {"X-Gitlab-Event": event or "Push Hook", "Idempotency-Key": delivery, "X-Gitlab-Token": secret}
    elif provider == "gitea":
        sent.headers |= {"X-Gitea-Event": event or "push", "X-Gitea-Delivery": delivery, "X-Gitea-Signature": signature,
                         "X-Forgejo-Event": event or "push", "X-Forgejo-Delivery": delivery, "X-Forgejo-Signature": signature,
                         "X-GitHub-Event": event or "push", "X-GitHub-Delivery": delivery}  # fmt: skip
    elif provider == "gogs":
        sent.headers |= {"X-Gogs-Event": event or "push", "X-Gogs-Delivery": delivery, "X-Gogs-Signature": signature}
    elif provider in {"azure", "gerrit"}:
        sent.headers["Authorization"] = "Basic " + base64.b64encode(f"any:{secret}".encode()).decode()
    elif provider == "bitbucket":
        sent.headers |= {
            "X-Event-Key": event or "repo:push",
            "X-Request-UUID": delivery,
            "X-Hub-Signature": f"sha256={signature}",
        }
    else:
        sent.headers |= {"X-Orca-Delivery": delivery, "X-Orca-Signature-256": f"sha256={signature}"}
        if event:
            sent.headers["X-Orca-Event"] = event
    return sent


def sign_as_gitlab_19(sent: Delivery, secret: str, *, at: float | None = None, identity="d-1") -> Delivery:
    """Put GitLab's signature (Standard Webhooks) in place of its token."""
    timestamp = str(int(at if at is not None else time.time()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.new(key, f"{identity}.{timestamp}.".encode() + sent.body, hashlib.sha256).digest()
    sent.headers.pop("X-Gitlab-Token", None)
    sent.headers |= {
        "webhook-id": identity, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }  # fmt: skip
    return sent


def as_form(sent: Delivery) -> Delivery:
    """The same delivery as Gitea, Forgejo and Gogs send it as a form: the signature stays that of the JSON."""
    body = urlencode({"payload": sent.body}).encode()
    return Delivery(body, {**sent.headers, "Content-Type": "application/x-www-form-urlencoded"})
