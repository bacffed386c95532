"""Taking in what arrives at push hooks, and sending it through once more."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import Conflict, NotFound
from orca.events import Fact, Origin, origin, record
from orca.features.access.queries import find_rights
from orca.features.sources import pushes
from orca.features.sources.models import Hook, Push
from orca.features.sources.origins import find_repository
from orca.features.sources.pushes import Change, Decision, Place
from orca.features.sources.queries import find_push, get_hook
from orca.kit.ids import new_id
from orca.kit.text import clean_output, shorten
from orca.web.guard import Scope

KEEP_PUSHES = timedelta(days=30)
KEEP_REFUSALS = 20
"""How many kinds of refusal a hook remembers: anybody may send it anything."""
_KEEP_FILES = 200
"""How many paths of a push are remembered; of a larger one none, so that watched paths count as touched."""
_NEWER_LOOKED_AT = 100


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery whose signature was right."""

    name: str
    digest: str
    """Of what was signed."""
    event: str
    decision: Decision
    places: Sequence[Place] = ()
    """What it calls its repository."""


async def receive_push(session: AsyncSession, hook: Hook, delivery: Delivery) -> tuple[Push, bool]:
    """Store a delivery and, if it concerns the service, tell those who deploy; in one transaction.

    Returns the row, and whether it is new: what was accepted before changes nothing when it comes again. What was left
    alone is judged anew, so that a host's own "redeliver" helps after the settings were mended.
    """
    await session.execute(select(Hook.id).where(Hook.id == hook.id).with_for_update())
    decision = await _compare(session, hook, delivery.decision, delivery.places)
    known, name = await _find_known(session, hook, delivery)
    if known is not None and (known.is_accepted or await _is_overtaken(session, hook, known, decision)):
        return known, False
    if known is not None:
        await session.delete(known)
        await session.flush()
    push = await _store(session, hook, replace(delivery, name=name, decision=decision))
    await session.execute(delete(Push).where(Push.hook_id == hook.id, Push.received_at < now() - KEEP_PUSHES))
    return push, True


async def replay_push(session: AsyncSession, scope: Scope, service_id: str, hook_id: str, push_id: str | None) -> Push:
    """Judge a push that came before by what the hook and the service are now, and deploy it if it is wanted.

    Without an id the newest push is taken. Raises NotFound, and Conflict when there is no push to send.
    """
    hook = await get_hook(session, scope, service_id, hook_id)
    query = select(Push).where(Push.hook_id == hook.id).order_by(Push.id.desc()).limit(_NEWER_LOOKED_AT)
    rows = await session.scalars(query if push_id is None else query.where(Push.id == push_id))
    push = next((row for row in rows if push_id is not None or row.payload.get("commit")), None)
    if push is None and push_id is not None:
        raise NotFound("this hook has no push with this id")
    if push is None or not push.payload.get("ref"):
        raise Conflict("there is no push to replay", hint="Pushes whose signature was right can be replayed.")
    change = _restore(push.payload)
    event = str(push.payload.get("event", ""))
    decision = pushes.decide([change], event, branch=hook.branch, watch_paths=hook.watch_paths)
    places = [Place(*each) for each in push.payload.get("places", ())]
    decision = await _compare(session, hook, decision, places)
    again = Delivery(pushes.name_replay(new_id()), "", event, decision, places)
    return await _store(session, hook, again)


async def find_push_origin(session: AsyncSession, hook: Hook) -> Origin:
    """A push happens on behalf of the one who made its hook: what they might do then and still may."""
    # One from before hooks knew their maker may deploy, and nothing beyond that.
    frozen = frozenset({"service.deploy"}) if hook.permissions is None else frozenset(hook.permissions)
    if hook.user_id is None:
        return Origin(f"hook {hook.id}", "webhook", permissions=frozen)
    email, current = await find_rights(session, hook.user_id, hook.team_id)
    return Origin(email or "a former user", "webhook", user_id=hook.user_id, permissions=current & frozen)


async def note_refusal(session: AsyncSession, hook_id: str, reason: str) -> None:
    """Remember that a push was turned away, and why; the same reason again counts up. Nothing for unknown hooks."""
    hook = await session.scalar(select(Hook).where(Hook.id == hook_id).with_for_update())
    if hook is None:
        return
    name = pushes.name_refusal(reason)
    is_refusal = Push.delivery.startswith(pushes.REFUSED, autoescape=True)
    newest_first = select(Push).where(Push.hook_id == hook.id, is_refusal).order_by(Push.id.desc())
    kept = (await session.scalars(newest_first)).all()
    times = 1 + sum(each.times for each in kept if each.delivery == name)
    others = [each for each in kept if each.delivery != name]
    stay = {each.id for each in others[: KEEP_REFUSALS - 1]}
    for each in kept:
        if each.id not in stay:
            await session.delete(each)
    await session.flush()
    push = Push(
        team_id=hook.team_id, hook_id=hook.id, delivery=name, decision=shorten(reason, 255),
        payload={"refused": True, "times": times}, received_at=now(),
    )  # fmt: skip
    session.add(push)


async def _compare(session: AsyncSession, hook: Hook, decision: Decision, places: Sequence[Place]) -> Decision:
    """The decision, unless the service has no repository, or the push was to another one."""
    repository = await find_repository(session, hook.service_id)
    if repository is None:
        return pushes.leave_alone(decision, "the service does not come from Git: nothing to fetch")
    if decision.is_accepted and not origin.get().may("service.deploy"):
        return pushes.leave_alone(decision, f"{origin.get().actor}, who made this hook, may not deploy")
    if hook.any_repository or pushes.is_same_repository(repository, places):
        return decision
    reason = f"the push is to {clean_output(str(places[0]), colours=False)}, the service comes from another repository"
    return pushes.leave_alone(decision, shorten(reason, 255))


async def _store(session: AsyncSession, hook: Hook, delivery: Delivery) -> Push:
    decision = delivery.decision
    push = Push(
        team_id=hook.team_id, hook_id=hook.id, delivery=delivery.name, digest=delivery.digest,
        is_accepted=decision.is_accepted, commit=decision.change.commit if decision.change else "",
        decision=shorten(decision.reason, 255), payload=_summary(delivery), received_at=now(),
    )  # fmt: skip
    session.add(push)
    await session.flush()
    if decision.is_accepted and decision.change is not None:
        payload = {"commit": push.commit, "branch": push.payload["name"], "push_id": push.id}
        await record(session, Fact("PushAccepted", hook.team_id, "service", hook.service_id, payload))
    return push


async def _find_known(session: AsyncSession, hook: Hook, delivery: Delivery) -> tuple[Push | None, str]:
    """The push that this one repeats, if it does; and the name under which it is kept.

    Ids of deliveries are headers and not signed, so that a copy of a body is recognised by its digest, too.
    """
    if pushes.is_named_by_content(delivery.name):
        return await _find_same_content(session, hook, delivery.name)
    known = await find_push(session, hook.id, delivery.name)
    if known is None and pushes.has_unique_bodies(hook.provider):
        copies = select(Push).where(Push.hook_id == hook.id, Push.digest == delivery.digest, Push.is_accepted)
        copy = await session.scalar(copies.order_by(Push.id.desc()).limit(1))
        if copy is not None and not await _sets_back(session, hook, delivery.decision.change):
            return copy, delivery.name
    return known, delivery.name


async def _find_same_content(session: AsyncSession, hook: Hook, name: str) -> tuple[Push | None, str]:
    """The same body without an id of the host's may also be a branch that was set back, which is a push of its own."""
    newest_first = select(Push).where(Push.hook_id == hook.id).order_by(Push.id.desc()).limit(1)
    digest = name.rpartition(":")[2]
    named = await session.scalar(newest_first.where(Push.digest == digest, Push.is_accepted))
    if named is not None and not pushes.is_named_by_content(named.delivery):
        return named, name  # a copy whose id was taken off
    last = await session.scalar(newest_first.where(Push.delivery.startswith(name, autoescape=True)))
    if last is None or not last.is_accepted:
        return last, name if last is None else last.delivery
    newest = await session.scalar(newest_first.where(Push.is_accepted))
    is_newest = newest is not None and newest.id == last.id
    if pushes.is_repeated(last.received_at, now(), is_newest=is_newest):
        return last, name
    return None, f"{name}:{new_id()}"


async def _sets_back(session: AsyncSession, hook: Hook, change: Change | None) -> bool:
    """Whether a body without a time in it begins where the branch stands now: the branch went back and forth."""
    if hook.provider != "bitbucket" or change is None or not change.before:
        return False
    latest = await _accepted_since(session, hook, None)
    newest = next((each for each in latest if each.payload.get("name") == _stored_name(change)), None)
    return newest is not None and newest.commit == change.before


async def _is_overtaken(session: AsyncSession, hook: Hook, known: Push, decision: Decision) -> bool:
    """Whether a later push of the same branch was accepted, which one that was left alone must not undo."""
    if decision.change is None or not decision.is_accepted:
        return False
    name = _stored_name(decision.change)
    later = await _accepted_since(session, hook, known.received_at)
    return any(each.payload.get("name") == name for each in later)


async def _accepted_since(session: AsyncSession, hook: Hook, since: datetime | None) -> Sequence[Push]:
    query = select(Push).where(Push.hook_id == hook.id, Push.is_accepted)
    if since is not None:
        query = query.where(Push.received_at > since)
    return (await session.scalars(query.order_by(Push.id.desc()).limit(_NEWER_LOOKED_AT))).all()


def _summary(delivery: Delivery) -> dict[str, Any]:
    """What is worth keeping of the body, which may be large and full of people."""
    change = delivery.decision.change
    if change is None:
        return {"event": delivery.event}
    files = change.files if change.files is not None and len(change.files) <= _KEEP_FILES else None
    return {
        "event": delivery.event, "ref": change.kind, "name": _stored_name(change), "commit": change.commit,
        "message": shorten(change.message, 500), "files": None if change.files is None else len(change.files),
        "paths": None if files is None else [_storable(shorten(path, 500)) for path in files],
        "before": change.before, "deleted": change.is_deletion,
        "places": [[_storable(place.host), _storable(place.path)] for place in delivery.places[:10]],
    }  # fmt: skip


def _restore(payload: dict[str, Any]) -> Change:
    """The push as it was kept."""
    paths = payload.get("paths")
    return Change(
        payload["ref"], str(payload["name"]), str(payload["commit"]), str(payload.get("message", "")),
        is_deletion=bool(payload.get("deleted")), files=None if paths is None else tuple(paths),
        before=str(payload.get("before", "")),
    )  # fmt: skip


def _stored_name(change: Change) -> str:
    return clean_output(change.name, colours=False)


def _storable(text: str) -> str:
    return clean_output(text.encode(errors="replace").decode(), colours=False)
