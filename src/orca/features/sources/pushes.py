"""Judges what a Git host says when somebody pushed: whether it is that host, what happened, and whom it concerns.

Pure: the door reads the request, this module judges it. Nothing is parsed before its signature was checked.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import parse_qs

from orca.errors import BadInput
from orca.features.sources.rules import GitRef, asks_to_skip, is_branch_wanted, is_watched
from orca.kit.text import clean_output, shorten

Provider = Literal["github", "gitlab", "gitea", "bitbucket", "generic"]
HeaderValues = Callable[[str], Sequence[str]]
"""All values of a header; a header that comes twice is no header to trust."""

MAX_BODY_BYTES = 1 << 20
CLOCK_SKEW_SECONDS = 300
REPEATED_WITHIN = timedelta(minutes=5)
"""For how long the same body, without an id of the host's, counts as the same delivery."""
_BY_CONTENT = "sha256:"
REFUSED = "refused: "
"""Begins the names of refused deliveries."""
_MESSAGE_LIMIT = 2000
_DELIVERY = re.compile(r"[\x21-\x7e]{1,128}")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SIGNATURE_HEADERS: Mapping[str, tuple[str, ...]] = {
    "github": ("x-hub-signature-256",),
    "gitea": ("x-forgejo-signature", "x-gitea-signature"),
    "bitbucket": ("x-hub-signature",),
    "generic": ("x-orca-signature-256",),
}
_FOREIGN_HEADERS = tuple(
    dict.fromkeys([*(each for names in _SIGNATURE_HEADERS.values() for each in names), "x-gitlab-token"])
)
PROVIDER_NAMES: Mapping[str, str] = {
    "github": "GitHub", "gitlab": "GitLab", "gitea": "Gitea or Forgejo", "bitbucket": "Bitbucket",
    "generic": "a generic hook",
}  # fmt: skip
"""How those who send pushes are called."""
_DELIVERY_HEADERS: Mapping[str, tuple[str, ...]] = {
    "github": ("x-github-delivery",),
    "gitlab": ("webhook-id", "idempotency-key", "x-gitlab-webhook-uuid"),
    "gitea": ("x-forgejo-delivery", "x-gitea-delivery"),
    "bitbucket": ("x-request-uuid", "x-request-id"),
    "generic": ("x-orca-delivery",),
}
_EVENT_HEADERS: Mapping[str, tuple[str, ...]] = {
    "github": ("x-github-event",),
    "gitlab": ("x-gitlab-event",),
    "gitea": ("x-forgejo-event", "x-gitea-event"),
    "bitbucket": ("x-event-key",),
    "generic": ("x-orca-event",),
}
_PUSH_EVENTS = {"push", "push hook", "system hook", "repo:push", "repo:refs_changed"}


@dataclass(frozen=True, slots=True)
class Change:
    """What a push did to one ref."""

    kind: Literal["branch", "tag"]
    name: str
    commit: str
    message: str = ""
    is_deletion: bool = False
    files: tuple[str, ...] | None = None
    """Paths that changed; None when the host does not tell all of them."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a delivery, and why."""

    is_accepted: bool
    reason: str
    change: Change | None = None


def new_hook_secret(provider: str) -> str:
    """256 random bits. GitLab's signing tokens have a form of their own."""
    key = secrets.token_bytes(32)
    return f"whsec_{base64.b64encode(key).decode()}" if provider == "gitlab" else key.hex()


def is_signed(provider: str, secret: str, values: HeaderValues, body: bytes, at: datetime) -> bool:
    """Whether the body was signed with the secret, in the way of that host. Constant time in the secret."""
    if not secret:
        return False
    if provider == "gitlab":
        return _is_signed_by_gitlab(secret, values, body, at)
    expected = hmac.digest(secret.encode(), body, "sha256").hex()
    if provider != "gitea":
        expected = f"sha256={expected}"
    given = [value for name in _SIGNATURE_HEADERS.get(provider, ()) for value in _one_each(values(name))]
    return bool(given) and all(_equal(value, expected) for value in given)


def _is_signed_by_gitlab(secret: str, values: HeaderValues, body: bytes, at: datetime) -> bool:
    """By its plain token, by the signature it learned later (Standard Webhooks), or both; what is there must fit."""
    tokens, signatures = _one_each(values("x-gitlab-token")), _one_each(values("webhook-signature"))
    if not tokens and not signatures:
        return False
    return all(_equal(token, secret) for token in tokens) and all(
        _is_standard_signature(secret, signature, values, body, at) for signature in signatures
    )


def _is_standard_signature(secret: str, signature: str, values: HeaderValues, body: bytes, at: datetime) -> bool:
    identity, timestamp = _only(values("webhook-id")), _only(values("webhook-timestamp"))
    if not _is_recent(timestamp, at):
        return False
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return False
    signed = hmac.digest(key, f"{identity}.{timestamp}.".encode("latin-1", "replace") + body, "sha256")
    expected = f"v1,{base64.b64encode(signed).decode()}"
    return any(_equal(each, expected) for each in signature.split(" "))


def explain_mismatch(provider: str, values: HeaderValues, at: datetime) -> str:
    """Why `is_signed` said no, for those who look after the hook. Names headers, never their values."""
    wanted = _SIGNATURE_HEADERS.get(provider, ("x-gitlab-token", "webhook-signature"))
    given = [name for name in wanted if values(name)]
    if not given:
        missing = f"it has no {' or '.join(map(_shown, wanted))} header, by which {PROVIDER_NAMES[provider]} signs"
        other = next((name for name in _FOREIGN_HEADERS if name not in wanted and values(name)), None)
        return f"{missing}; it has {_shown(other)}" if other else missing
    doubled = next((name for name in given if len(values(name)) > 1), None)
    if doubled is not None:
        return f"its {_shown(doubled)} header came twice"
    if provider not in {"gitlab", "gitea"} and not _only(values(given[0])).startswith("sha256="):
        return f"its {_shown(given[0])} header does not begin with sha256="
    timestamp = _only(values("webhook-timestamp"))
    if "webhook-signature" in given and not _is_recent(timestamp, at):
        return "the time of its signature is more than five minutes off: check the clocks"
    return f"its {_shown(given[0])} header does not fit the hook's secret"


def _shown(header: str) -> str:
    return "-".join(part.capitalize() for part in header.split("-"))


def _is_recent(timestamp: str, at: datetime) -> bool:
    is_number = re.fullmatch(r"[0-9]{1,12}", timestamp) is not None
    return is_number and abs(at.timestamp() - int(timestamp)) <= CLOCK_SKEW_SECONDS


def _one_each(values: Sequence[str]) -> list[str]:
    """The values of a header; one that was sent twice gives something no signature equals."""
    return [""] if len(values) > 1 else list(values)


def _only(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else ""


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("latin-1", "replace"), expected.encode("latin-1", "replace"))


def name_delivery(provider: str, values: HeaderValues, body: bytes) -> str:
    """What a repeated delivery has in common with its first: the host's id for it, else the body itself."""
    for header in _DELIVERY_HEADERS.get(provider, ()):
        if _DELIVERY.fullmatch(_only(values(header))):
            return _only(values(header))
    return f"{_BY_CONTENT}{hashlib.sha256(body).hexdigest()}"


def is_named_by_content(delivery: str) -> bool:
    """Whether the host gave no id, so that two pushes of the same state have one name."""
    return delivery.startswith(_BY_CONTENT)


def is_repeated(last_at: datetime, at: datetime, *, is_newest: bool) -> bool:
    """Whether a body that came before, without an id, is the same push again, and not a branch that was set back."""
    return is_newest or at - last_at < REPEATED_WITHIN


def name_refusal(reason: str) -> str:
    """What repeated refusals have in common. Holds a space, so that no host's id for a delivery is the same."""
    return f"{REFUSED}{hashlib.sha256(reason.encode()).hexdigest()[:32]}"


def parse_body(body: bytes, content_type: str) -> dict[str, Any]:
    """The JSON object in a body; GitHub and Gitea can also send it as a form field. Raises BadInput."""
    try:
        text = body.decode()
        if content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
            text = parse_qs(text, max_num_fields=10).get("payload", [""])[0]
        payload = json.loads(text)
    except (ValueError, RecursionError):
        raise BadInput("the body is not valid JSON", hint="Choose application/json in the hook's settings.") from None
    if not isinstance(payload, dict):
        raise BadInput("the body is not a JSON object")
    return payload


def name_event(provider: str, values: HeaderValues) -> str:
    """What the host calls the event; generic hooks need not say `push`."""
    for header in _EVENT_HEADERS.get(provider, ()):
        if event := _only(values(header)):
            return shorten(clean_output(event, colours=False), 100)
    return "push" if provider == "generic" else ""


def read_changes(provider: str, event: str, payload: Mapping[str, Any]) -> list[Change]:
    """What a push did, ref by ref; empty for other events. Raises BadInput for a push that makes no sense."""
    if event.lower() not in _PUSH_EVENTS or (event.lower() == "system hook" and payload.get("object_kind") != "push"):
        return []
    read = {"bitbucket": _read_bitbucket, "generic": _read_generic}.get(provider, _read_common)
    return read(payload)


def decide(changes: Sequence[Change], event: str, *, branch: str, watch_paths: Sequence[str]) -> Decision:
    """Whether a push deploys the service, and why (not)."""
    if not changes:
        return Decision(False, f"“{event}” is not a push: nothing to deploy" if event else "not a push")
    decisions = [_decide_one(change, branch, watch_paths) for change in changes]
    return next((each for each in decisions if each.is_accepted), decisions[0])


def leave_alone(decision: Decision) -> Decision:
    """What becomes of a delivery for a service that has no repository to fetch from."""
    if decision.change is None:
        return decision
    return Decision(False, "the service does not come from Git: nothing to fetch", decision.change)


def _decide_one(change: Change, branch: str, watch_paths: Sequence[str]) -> Decision:
    if change.kind == "tag":
        return Decision(False, f"tag {change.name}: only branches are deployed", change)
    if not is_branch_wanted(change.name, (branch,)):
        return Decision(False, f"branch {change.name} is not {branch}", change)
    if change.is_deletion:
        return Decision(False, f"branch {change.name} was deleted", change)
    if asks_to_skip(change.message):
        return Decision(False, "the commit message asks to skip it", change)
    if not is_watched(change.files, watch_paths):
        return Decision(False, "no changed file is watched", change)
    return Decision(True, f"{change.commit[:12]} on {change.name} will be deployed", change)


def _read_common(payload: Mapping[str, Any]) -> list[Change]:
    """GitHub, GitLab, Gitea and Forgejo: `ref`, `before`, `after`, `commits`."""
    kind, name = _parse_ref(_text(payload, "ref"))
    after = _text(payload, "after")
    if payload.get("deleted") is True or (after and not after.strip("0")):
        return [Change(kind, name, "", is_deletion=True)]
    commit = _commit(_text(payload, "checkout_sha") or after)
    commits = _dicts(payload, "commits")
    head = payload.get("head_commit")
    heads = [head] if isinstance(head, dict) else [each for each in commits if each.get("id") == commit]
    message = _text(heads[-1], "message") if heads else ""
    return [Change(kind, name, commit, message, files=_files(payload, commits))]


def _files(payload: Mapping[str, Any], commits: Sequence[Mapping[str, Any]]) -> tuple[str, ...] | None:
    """What changed between before and after, unless the host left something out."""
    before = _text(payload, "before")
    totals = [payload.get(key) for key in ("total_commits_count", "total_commits")]
    incomplete = any(isinstance(total, int) and total > len(commits) for total in totals)
    if not commits or incomplete or payload.get("forced") is True or not before.strip("0"):
        return None
    files: dict[str, None] = {}
    for each in commits:
        for key in ("added", "modified", "removed"):
            paths = each.get(key)
            if not isinstance(paths, list):
                return None
            files |= dict.fromkeys(path for path in paths if isinstance(path, str))
    return tuple(files)


def _read_bitbucket(payload: Mapping[str, Any]) -> list[Change]:
    """Bitbucket Cloud nests changes in `push`; Data Center has them on top, with full refs."""
    push = payload.get("push")
    if isinstance(push, dict):
        return [each for change in _dicts(push, "changes") if (each := _read_cloud_change(change))]
    return [_read_data_center_change(change) for change in _dicts(payload, "changes")]


def _read_cloud_change(change: Mapping[str, Any]) -> Change | None:
    new, old = change.get("new"), change.get("old")
    ref = new if isinstance(new, dict) else old
    if not isinstance(ref, dict):
        return None
    kind: Literal["branch", "tag"] = "branch" if ref.get("type") == "branch" else "tag"
    name = _ref_name(_text(ref, "name"))
    if not isinstance(new, dict):
        return Change(kind, name, "", is_deletion=True)
    target = new.get("target")
    target = target if isinstance(target, dict) else {}
    return Change(kind, name, _commit(_text(target, "hash")), _text(target, "message"))


def _read_data_center_change(change: Mapping[str, Any]) -> Change:
    ref = change.get("ref")
    kind, name = _parse_ref(_text(ref if isinstance(ref, dict) else {}, "id"))
    if change.get("type") == "DELETE":
        return Change(kind, name, "", is_deletion=True)
    return Change(kind, name, _commit(_text(change, "toHash")))


def _read_generic(payload: Mapping[str, Any]) -> list[Change]:
    """`{"branch" or "ref", "commit", "message"?, "paths"?}`."""
    ref = _text(payload, "ref") or f"refs/heads/{_text(payload, 'branch')}"
    kind, name = _parse_ref(ref)
    paths = payload.get("paths")
    files = tuple(each for each in paths if isinstance(each, str)) if isinstance(paths, list) else None
    return [Change(kind, name, _commit(_text(payload, "commit")), _text(payload, "message"), files=files)]


def _parse_ref(ref: str) -> tuple[Literal["branch", "tag"], str]:
    if ref.startswith("refs/heads/"):
        return "branch", _ref_name(ref.removeprefix("refs/heads/"))
    if ref.startswith("refs/tags/"):
        return "tag", _ref_name(ref.removeprefix("refs/tags/"))
    raise BadInput("the push names no branch or tag", hint="A ref such as refs/heads/main is expected.")


def _ref_name(name: str) -> str:
    return str(GitRef.parse(name))


def _commit(text: str) -> str:
    if not _COMMIT.fullmatch(text):
        raise BadInput("the push names no whole commit id", hint="40 or 64 hexadecimal digits are expected.")
    return text


def _text(holder: Mapping[str, Any], key: str) -> str:
    value = holder.get(key)
    if not isinstance(value, str):
        return ""
    storable = value.encode(errors="replace").decode()  # JSON can hold halves of characters, a database cannot
    return shorten(clean_output(storable, colours=False), _MESSAGE_LIMIT)


def _dicts(holder: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = holder.get(key)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
