"""Pushes as the real Git hosts send them: their headers, their signatures, the shape of their bodies."""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from typing import Any

OLD, NEW, GONE = "1" * 40, "a" * 40, "0" * 40
PROVIDERS = ("github", "gitlab", "gitea", "bitbucket", "generic")


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
    if provider == "github":
        return {
            "ref": ref, "before": OLD, "after": commit, "created": False, "deleted": commit == GONE, "forced": False,
            "repository": {"full_name": "o/r"}, "head_commit": None if commit == GONE else commits[0],
            "commits": [] if commit == GONE else commits,
        }  # fmt: skip
    if provider == "gitlab":
        return {
            "object_kind": "push", "ref": ref, "before": OLD, "after": commit, "total_commits_count": 1,
            "checkout_sha": None if commit == GONE else commit, "commits": [] if commit == GONE else commits,
        }  # fmt: skip
    if provider == "gitea":
        return {
            "ref": ref,
            "before": OLD,
            "after": commit,
            "commits": commits,
            "total_commits": 1,
            "head_commit": commits[0],
        }
    if provider == "bitbucket":
        target = {"type": "commit", "hash": commit, "message": message}
        kind = "tag" if ref.startswith("refs/tags/") else "branch"
        named = {"type": kind, "name": ref.split("/", 2)[2], "target": target}
        return {
            "push": {"changes": [{"new": None if commit == GONE else named, "old": named, "closed": commit == GONE}]}
        }
    return {"ref": ref, "commit": commit, "message": message, "paths": list(files)}


def deliver(
    provider: str, secret: str, payload: Any, *, delivery="d-1", event=None, at: float | None = None
) -> Delivery:
    """Sign and address a payload as that host does."""
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
