"""Stores deliveries of push hooks, decides about them, and replays them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import Conflict, NotFound
from orca.events import Fact, Origin, origin, record
from orca.features.access.queries import find_rights
from orca.features.deployments.actions.start import DeploymentRequest, start_deployment
from orca.features.services.queries import find_git_source, find_service, find_service_scope
from orca.features.triggers import pushes
from orca.features.triggers.models import Hook, Push
from orca.features.triggers.pushes import PushDecision, RefChange, RepositoryLocation
from orca.features.triggers.queries import find_push, get_hook
from orca.kit.ids import new_id
from orca.kit.text import clean_output, shorten
from orca.resources import PlaceInLine, Resources
from orca.tasks.lanes import PUSHED
from orca.web.guard import Scope
from orca.web.rights import ObjectScope

LOOK_AT_PUSH = "LookAtPush"
KEEP_PUSHES = timedelta(days=30)
KEEP_REFUSALS = 20
"""How many kinds of refusal are stored per hook: its address is public, so any request can reach it."""
_KEEP_FILES = 200
"""How many paths of a push are stored; of a larger one none, so that watched paths count as changed."""
_NEWER_LOOKED_AT = 100


@dataclass(frozen=True, slots=True)
class SignedPush:
    """A delivery with a valid signature."""

    name: str
    digest: str
    """Digest of the signed content."""
    event: str
    decision: PushDecision
    places: Sequence[RepositoryLocation] = ()
    """The addresses that it names for its repository."""


async def receive_push(
    session: AsyncSession, resources: Resources, hook: Hook, delivery: SignedPush
) -> tuple[Push, bool]:
    """Store a delivery and, if it is accepted, start the deployment; in one transaction.

    Returns the row, and whether it is new: a repeated delivery of an accepted push changes nothing. A push that was
    not accepted is decided again, so that the host's own "redeliver" helps after the settings were corrected.
    """
    await session.execute(select(Hook.id).where(Hook.id == hook.id).with_for_update())
    decision = await _compare(session, hook, delivery.decision, delivery.places)
    known, name = await _find_known(session, hook, delivery)
    if known is not None and (known.is_accepted or await _is_overtaken(session, hook, known, decision)):
        return known, False
    if known is not None:
        await session.delete(known)
        await session.flush()
    push = await _store(session, resources, hook, replace(delivery, name=name, decision=decision))
    await session.execute(delete(Push).where(Push.hook_id == hook.id, Push.received_at < now() - KEEP_PUSHES))
    return push, True


async def replay_push(
    session: AsyncSession, resources: Resources, scope: Scope, service_id: str, hook_id: str, push_id: str | None
) -> Push:
    """Decide about an earlier push again, by the present settings of hook and service, and deploy it if accepted.

    Without an id, the newest push is replayed. Raises NotFound, and Conflict when there is no push to replay.
    """
    hook = await get_hook(session, scope, service_id, hook_id)
    query = select(Push).where(Push.hook_id == hook.id).order_by(Push.seq.desc()).limit(_NEWER_LOOKED_AT)
    rows = await session.scalars(query if push_id is None else query.where(Push.id == push_id))
    push = next((row for row in rows if push_id is not None or row.payload.get("commit")), None)
    if push is None and push_id is not None:
        raise NotFound("this hook has no push with this id")
    if push is None or not push.payload.get("ref"):
        raise Conflict("there is no push to replay", hint="Pushes whose signature was right can be replayed.")
    change = _restore(push.payload)
    event = str(push.payload.get("event", ""))
    decision = pushes.decide([change], event, branch=hook.branch, watch_paths=hook.watch_paths)
    places = [RepositoryLocation(*fields) for fields in push.payload.get("places", ())]
    decision = await _compare(session, hook, decision, places)
    again = SignedPush(pushes.name_replay(new_id()), "", event, decision, places)
    return await _store(session, resources, hook, again)


async def find_push_origin(session: AsyncSession, hook: Hook) -> Origin:
    """Return the hook's owner as the origin of its pushes, with the permissions they had then and still have."""
    # A hook of an earlier version has no owner: it may deploy, and nothing beyond that.
    frozen = frozenset({"service.deploy"}) if hook.permissions is None else frozenset(hook.permissions)
    if hook.user_id is None:
        return Origin(f"hook {hook.id}", "webhook", permissions=frozen)
    scope = await find_service_scope(session, hook.service_id) or ObjectScope(hook.team_id)
    email, current = await find_rights(session, hook.user_id, scope)
    return Origin(email or "a former user", "webhook", user_id=hook.user_id, permissions=current & frozen)


async def note_refusal(session: AsyncSession, hook_id: str, reason: str) -> None:
    """Store that a push was refused, and why; a repeated reason only counts up. Does nothing for unknown hooks."""
    hook = await session.scalar(select(Hook).where(Hook.id == hook_id).with_for_update())
    if hook is None:
        return
    name = pushes.name_refusal(reason)
    is_refusal = Push.delivery.startswith(pushes.REFUSED, autoescape=True)
    newest_first = select(Push).where(Push.hook_id == hook.id, is_refusal).order_by(Push.seq.desc())
    kept = (await session.scalars(newest_first)).all()
    times = 1 + sum(earlier.times for earlier in kept if earlier.delivery == name)
    others = [earlier for earlier in kept if earlier.delivery != name]
    stay = {other.id for other in others[: KEEP_REFUSALS - 1]}
    for earlier in kept:
        if earlier.id not in stay:
            await session.delete(earlier)
    await session.flush()
    push = Push(
        team_id=hook.team_id, hook_id=hook.id, delivery=name, decision=shorten(reason, 255),
        payload={"refused": True, "times": times}, received_at=now(),
    )  # fmt: skip
    session.add(push)


async def _compare(
    session: AsyncSession, hook: Hook, decision: PushDecision, places: Sequence[RepositoryLocation]
) -> PushDecision:
    """Return the decision, or a rejection.

    Rejected when the service has no repository, when the push is to another one, or when the owner may not deploy.
    """
    source = await find_git_source(session, hook.service_id)
    if source is None:
        return pushes.leave_alone(decision, "the service does not come from Git: nothing to fetch")
    is_wanted = decision.is_accepted or decision.must_look
    if is_wanted and not origin.get().may("service.deploy"):
        return pushes.leave_alone(decision, f"{origin.get().actor}, who made this hook, may not deploy")
    if hook.any_repository or pushes.is_same_repository(source.repository, places):
        return decision
    reason = f"the push is to {clean_output(str(places[0]), colours=False)}, the service comes from another repository"
    return pushes.leave_alone(decision, shorten(reason, 255))


async def _store(session: AsyncSession, resources: Resources, hook: Hook, delivery: SignedPush) -> Push:
    decision = delivery.decision
    push = Push(
        team_id=hook.team_id, hook_id=hook.id, delivery=delivery.name, digest=delivery.digest,
        is_accepted=decision.is_accepted, commit=decision.change.commit if decision.change else "",
        decision=shorten(decision.reason, 255), payload=_summary(delivery), received_at=now(),
    )  # fmt: skip
    session.add(push)
    await session.flush()
    if decision.is_accepted:
        await _deploy(session, resources, hook, push)
    elif decision.must_look:
        payload, place = {"push_id": push.id}, PlaceInLine(hook.team_id, PUSHED)
        await resources.tasks.enqueue(session, LOOK_AT_PUSH, target=hook.team_id, payload=payload, place=place)
    return push


async def settle_look(session: AsyncSession, resources: Resources, push_id: str, *, is_watched: bool | None) -> None:
    """Decide about a push after its changed files were read from the repository; None, when unknown, deploys."""
    push = await session.get(Push, push_id)
    hook = await session.scalar(select(Hook).where(Hook.id == push.hook_id).with_for_update()) if push else None
    if push is None or hook is None or push.is_accepted or not push.payload.get("looking"):
        return
    push.payload = push.payload | {"looking": False}
    later = await _accepted_since(session, hook, push.seq)
    if is_watched is False:
        push.decision = pushes.UNWATCHED
    elif not origin.get().may("service.deploy"):
        push.decision = f"{origin.get().actor}, who made this hook, may not deploy"
    elif any(newer.payload.get("name") == push.payload["name"] for newer in later):
        push.decision = "a later push of the branch was deployed meanwhile"
    else:
        told = "the repository says that a watched file changed" if is_watched else "what changed cannot be known"
        push.is_accepted, push.decision = True, shorten(f"{push.commit[:12]} will be deployed: {told}", 255)
        await _deploy(session, resources, hook, push)


async def _deploy(session: AsyncSession, resources: Resources, hook: Hook, push: Push) -> None:
    """Start the deployment of an accepted push's commit."""
    payload = {"commit": push.commit, "branch": push.payload["name"], "push_id": push.id}
    await record(session, Fact("PushAccepted", hook.team_id, "service", hook.service_id, payload))
    service = await find_service(session, hook.service_id)
    if service is not None and service.deleted_at is None:
        request = DeploymentRequest(trigger="push", source={"commit": push.commit, "branch": None, "tag": None})
        await start_deployment(session, resources, service, request)


async def _find_known(session: AsyncSession, hook: Hook, delivery: SignedPush) -> tuple[Push | None, str]:
    """Return the push that this delivery repeats, if any, and the name to store the delivery under.

    Delivery ids are headers, which are not signed, so a copied body is also recognised by its digest.
    """
    if pushes.is_named_by_content(delivery.name):
        return await _find_same_content(session, hook, delivery.name)
    known = await find_push(session, hook.id, delivery.name)
    if known is None and pushes.has_unique_bodies(hook.provider):
        copies = select(Push).where(Push.hook_id == hook.id, Push.digest == delivery.digest, Push.is_accepted)
        copy = await session.scalar(copies.order_by(Push.seq.desc()).limit(1))
        if copy is not None and not await _sets_back(session, hook, delivery.decision.change):
            return copy, delivery.name
    return known, delivery.name


async def _find_same_content(session: AsyncSession, hook: Hook, name: str) -> tuple[Push | None, str]:
    """Like `_find_known`, for a delivery without an id of its host.

    The same body may also come from a branch that was reset to an earlier commit, which is a push of its own.
    """
    newest_first = select(Push).where(Push.hook_id == hook.id).order_by(Push.seq.desc()).limit(1)
    digest = name.rpartition(":")[2]
    named = await session.scalar(newest_first.where(Push.digest == digest, Push.is_accepted))
    if named is not None and not pushes.is_named_by_content(named.delivery):
        return named, name  # a copy whose id was removed
    last = await session.scalar(newest_first.where(Push.delivery.startswith(name, autoescape=True)))
    if last is None or not last.is_accepted:
        return last, name if last is None else last.delivery
    newest = await session.scalar(newest_first.where(Push.is_accepted))
    is_newest = newest is not None and newest.id == last.id
    if pushes.is_repeated(last.received_at, now(), is_newest=is_newest):
        return last, name
    return None, f"{name}:{new_id()}"


async def _sets_back(session: AsyncSession, hook: Hook, change: RefChange | None) -> bool:
    """Whether a body without a timestamp starts at the branch's present commit: then the branch was reset before."""
    if hook.provider != "bitbucket" or change is None or not change.before:
        return False
    latest = await _accepted_since(session, hook, None)
    newest = next((earlier for earlier in latest if earlier.payload.get("name") == _stored_name(change)), None)
    return newest is not None and newest.commit == change.before


async def _is_overtaken(session: AsyncSession, hook: Hook, known: Push, decision: PushDecision) -> bool:
    """Whether a later push of the same branch was accepted, which this earlier one must not undo."""
    if decision.change is None or not decision.is_accepted:
        return False
    name = _stored_name(decision.change)
    later = await _accepted_since(session, hook, known.seq)
    return any(newer.payload.get("name") == name for newer in later)


async def _accepted_since(session: AsyncSession, hook: Hook, since: int | None) -> Sequence[Push]:
    query = select(Push).where(Push.hook_id == hook.id, Push.is_accepted)
    if since is not None:
        query = query.where(Push.seq > since)
    return (await session.scalars(query.order_by(Push.seq.desc()).limit(_NEWER_LOOKED_AT))).all()


def _summary(delivery: SignedPush) -> dict[str, Any]:
    """Return the parts of a body to store: bodies can be large and contain personal data."""
    change = delivery.decision.change
    if change is None:
        return {"event": delivery.event}
    files = change.files if change.files is not None and len(change.files) <= _KEEP_FILES else None
    return {
        "event": delivery.event, "ref": change.kind, "name": _stored_name(change), "commit": change.commit,
        "message": shorten(change.message, 500), "files": None if change.files is None else len(change.files),
        "paths": None if files is None else [_storable(shorten(path, 500)) for path in files],
        "before": change.before, "deleted": change.is_deletion, "may_be_forced": change.may_be_forced,
        "looking": delivery.decision.must_look,
        "places": [[_storable(place.host), _storable(place.path)] for place in delivery.places[:10]],
    }  # fmt: skip


def _restore(payload: dict[str, Any]) -> RefChange:
    """Return the change of a stored push."""
    paths = payload.get("paths")
    return RefChange(
        payload["ref"], str(payload["name"]), str(payload["commit"]), str(payload.get("message", "")),
        is_deletion=bool(payload.get("deleted")), files=None if paths is None else tuple(paths),
        before=str(payload.get("before", "")), may_be_forced=bool(payload.get("may_be_forced")),
    )  # fmt: skip


def _stored_name(change: RefChange) -> str:
    return clean_output(change.name, colours=False)


def _storable(text: str) -> str:
    return clean_output(text.encode(errors="replace").decode(), colours=False)
