"""Reads what a push changed, in the format of each Git host."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from orca.errors import BadInput
from orca.features.triggers.pushes.hosts import EVENT_HEADERS, EVENT_KEYS
from orca.features.triggers.pushes.signatures import HeaderValues
from orca.kit.text import clean_output, shorten

Kind = Literal["branch", "tag", "other"]
_MESSAGE_LIMIT = 20_000
_NAME_LIMIT = 4096
"""Longer than any name that Git can store as a file."""
_COMMITS_SENT = 2048
"""The most commits that GitHub sends; it does not say whether there were more."""
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_PUSH_EVENTS = {
    "push", "push hook", "system hook", "repo:push", "repo:refs_changed", "git.push", "ref-updated", "change-merged",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RefChange:
    """What a push changed in one ref."""

    kind: Kind
    name: str
    """As sent by the host: Git allows nearly everything in a name, but this one is never passed to Git."""
    commit: str
    message: str = ""
    is_deletion: bool = False
    files: tuple[str, ...] | None = None
    """Changed paths; None when the host does not send all of them."""
    before: str = ""
    """The commit that the ref pointed to before; empty for a new ref, or if the host does not send it."""
    may_be_forced: bool = False
    """Whether commits may have been removed (force push): the paths that these changed are not in `files`."""


def name_event(provider: str, values: HeaderValues, payload: Mapping[str, Any] | None = None) -> str:
    """Return the host's name of the event; for generic hooks, `push` is the default."""
    for header in EVENT_HEADERS.get(provider, ()):
        given = values(header)
        if len(given) == 1 and given[0]:
            return shorten(clean_output(given[0], colours=False), 100)
    if provider in EVENT_KEYS:
        return shorten(_text(payload or {}, EVENT_KEYS[provider]), 100)
    return "push" if provider == "generic" else ""


def read_changes(provider: str, event: str, payload: Mapping[str, Any]) -> list[RefChange]:
    """Return what a push changed, one item per ref; empty for other events. Raises BadInput for an invalid push."""
    if event.lower() not in _PUSH_EVENTS or (event.lower() == "system hook" and payload.get("object_kind") != "push"):
        return []
    read = {"bitbucket": _read_bitbucket, "generic": _read_generic, "azure": _read_azure, "gerrit": _read_gerrit}
    return read.get(provider, _read_common)(payload)


def _read_common(payload: Mapping[str, Any]) -> list[RefChange]:
    """GitHub, GitLab, Gitea, Forgejo and Gogs: `ref`, `before`, `after`, `commits`."""
    kind, name = _parse_ref(_name(payload, "ref"))
    after = _text(payload, "after")
    if payload.get("deleted") is True or _is_nothing(after):
        return [RefChange(kind, name, "", is_deletion=True)]
    commit = _text(payload, "checkout_sha") or after if kind == "branch" else after
    commits = _dicts(payload, "commits")
    head = payload.get("head_commit")
    heads = [head] if isinstance(head, dict) else [pushed for pushed in commits if pushed.get("id") == commit]
    message = _text(heads[-1], "message") if heads else ""
    before, files = _known(_text(payload, "before")), _files(payload, commits)
    untold = files is not None and not isinstance(payload.get("forced"), bool)
    return [RefChange(kind, name, _commit(commit, kind), message, files=files, before=before, may_be_forced=untold)]


def _files(payload: Mapping[str, Any], commits: Sequence[Mapping[str, Any]]) -> tuple[str, ...] | None:
    """Return the paths changed between before and after; None when the host may have left some out."""
    before = _text(payload, "before")
    totals = [payload.get(key) for key in ("total_commits_count", "total_commits")]
    incomplete = any(isinstance(total, int) and total > len(commits) for total in totals)
    if not 0 < len(commits) < _COMMITS_SENT or incomplete or payload.get("forced") is True or not before.strip("0"):
        return None
    files: dict[str, None] = {}
    for pushed in commits:
        for key in ("added", "modified", "removed"):
            paths = pushed.get(key)
            if not isinstance(paths, list):
                return None
            files |= dict.fromkeys(path for path in paths if isinstance(path, str))
    return tuple(files)


def _read_bitbucket(payload: Mapping[str, Any]) -> list[RefChange]:
    """Bitbucket Cloud nests changes in `push`; Data Center has them on top, with full refs."""
    push = payload.get("push")
    if isinstance(push, dict):
        return [read for change in _dicts(push, "changes") if (read := _read_cloud_change(change))]
    message = _text(_dict(payload, "toCommit"), "message")
    return [_read_data_center_change(change, message) for change in _dicts(payload, "changes")]


def _read_cloud_change(change: Mapping[str, Any]) -> RefChange | None:
    new, old = change.get("new"), change.get("old")
    ref = new if isinstance(new, dict) else old
    if not isinstance(ref, dict):
        return None
    kind: Kind = "branch" if ref.get("type") == "branch" else "tag"
    name = _nonempty(_name(ref, "name"))
    if not isinstance(new, dict):
        return RefChange(kind, name, "", is_deletion=True)
    target = _dict(new, "target")
    before = _known(_text(_dict(_dict(change, "old"), "target"), "hash"))
    return RefChange(kind, name, _commit(_text(target, "hash"), kind), _text(target, "message"), before=before)


def _read_data_center_change(change: Mapping[str, Any], message: str) -> RefChange:
    kind, name = _parse_ref(_name(_dict(change, "ref"), "id") or _name(change, "refId"))
    if change.get("type") == "DELETE":
        return RefChange(kind, name, "", is_deletion=True)
    before = _known(_text(change, "fromHash"))
    return RefChange(kind, name, _commit(_text(change, "toHash"), kind), message, before=before)


def _read_azure(payload: Mapping[str, Any]) -> list[RefChange]:
    """Azure DevOps: `resource.refUpdates`; the commits are of the push as a whole."""
    resource = _dict(payload, "resource")
    messages = {_text(pushed, "commitId"): _text(pushed, "comment") for pushed in _dicts(resource, "commits")}
    changes = []
    for update in _dicts(resource, "refUpdates"):
        kind, name = _parse_ref(_name(update, "name"))
        commit = _text(update, "newObjectId")
        if _is_nothing(commit):
            changes.append(RefChange(kind, name, "", is_deletion=True))
            continue
        before = _known(_text(update, "oldObjectId"))
        changes.append(RefChange(kind, name, _commit(commit, kind), messages.get(commit, ""), before=before))
    return changes


def _read_gerrit(payload: Mapping[str, Any]) -> list[RefChange]:
    """Gerrit: `ref-updated`, and `change-merged`, which names the branch of the change."""
    update, change = _dict(payload, "refUpdate"), _dict(payload, "change")
    ref = _name(update, "refName") or _name(change, "branch")
    kind, name = _parse_ref(ref if ref.startswith("refs/") or not ref else f"refs/heads/{ref}")
    commit = _text(update, "newRev") or _text(payload, "newRev") or _text(_dict(payload, "patchSet"), "revision")
    if _is_nothing(commit):
        return [RefChange(kind, name, "", is_deletion=True)]
    before = _known(_text(update, "oldRev"))
    return [RefChange(kind, name, _commit(commit, kind), _text(change, "commitMessage"), before=before)]


def _read_generic(payload: Mapping[str, Any]) -> list[RefChange]:
    """`{"branch" or "ref", "commit", "message"?, "paths"?, "repository"?, "id"?}`."""
    missing = [key for key, given in (
        ("branch", _name(payload, "branch") or _name(payload, "ref")), ("commit", _text(payload, "commit"))
    ) if not given]  # fmt: skip
    if missing:
        raise BadInput(
            f"the body has no text under {' and '.join(missing)}",
            hint='Send {"branch": "main", "commit": "<the whole id>"}; `ref` may take the place of `branch`.',
        )
    kind, name = _parse_ref(_name(payload, "ref") or f"refs/heads/{_name(payload, 'branch')}")
    paths = payload.get("paths")
    files = tuple(path for path in paths if isinstance(path, str)) if isinstance(paths, list) else None
    commit = _text(payload, "commit")
    if _is_nothing(commit):
        return [RefChange(kind, name, "", is_deletion=True)]
    return [RefChange(kind, name, _commit(commit, kind), _text(payload, "message"), files=files)]


def read_identity(provider: str, payload: Mapping[str, Any], changes: Sequence[RefChange]) -> str:
    """Return an identity from the body that is equal in a repeated delivery, for hosts without an id header."""
    if provider == "azure":
        return _text(payload, "id")
    if provider == "generic":
        return _text(payload, "id")
    if provider == "gerrit" and changes:  # submitting a change sends two events
        return f"{changes[0].kind} {changes[0].name} {changes[0].commit}"
    return ""


def _parse_ref(ref: str) -> tuple[Kind, str]:
    """Return the kind and name of a ref. Hosts also report notes, pull requests and others, which are valid."""
    if ref.startswith("refs/heads/"):
        return "branch", _nonempty(ref.removeprefix("refs/heads/"))
    if ref.startswith("refs/tags/"):
        return "tag", _nonempty(ref.removeprefix("refs/tags/"))
    if ref.startswith("refs/"):
        return "other", ref
    raise BadInput("the push names no branch or tag", hint="A ref such as refs/heads/main is expected.")


def _nonempty(name: str) -> str:
    if not name:
        raise BadInput("the push names no branch or tag", hint="A ref such as refs/heads/main is expected.")
    return name


def _commit(text: str, kind: Kind) -> str:
    """Return a whole commit id; empty for a ref that is never deployed and has none. Raises BadInput for a branch."""
    if not _COMMIT.fullmatch(text):
        if kind != "branch":
            return ""
        raise BadInput("the push names no whole commit id", hint="40 or 64 hexadecimal digits are expected.")
    return text


def _is_nothing(commit: str) -> bool:
    return bool(commit) and not commit.strip("0")


def _known(commit: str) -> str:
    return commit if _COMMIT.fullmatch(commit) and commit.strip("0") else ""


def _name(holder: Mapping[str, Any], key: str) -> str:
    """Return a name, with lone surrogates replaced: JSON can contain them, but a database cannot store them."""
    value = holder.get(key)
    return value.encode(errors="replace").decode()[:_NAME_LIMIT] if isinstance(value, str) else ""


def _text(holder: Mapping[str, Any], key: str) -> str:
    return shorten(clean_output(_long_text(holder, key), colours=False), _MESSAGE_LIMIT)


def _long_text(holder: Mapping[str, Any], key: str) -> str:
    value = holder.get(key)
    return value[:_MESSAGE_LIMIT].encode(errors="replace").decode() if isinstance(value, str) else ""


def _dict(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = holder.get(key)
    return value if isinstance(value, dict) else {}


def _dicts(holder: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = holder.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
