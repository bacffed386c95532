"""Push hooks: making them, and taking in what arrives at them."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.events import Fact, Origin, origin, record, subscribe
from orca.features.access.queries import find_rights
from orca.features.secrets.actions import delete_secrets, put_secret
from orca.features.sources import pushes
from orca.features.sources.models import Hook, Push
from orca.features.sources.origins import comes_from_git
from orca.features.sources.pushes import Decision, new_hook_secret
from orca.features.sources.queries import HOOK, SECRET, find_push, get_hook
from orca.features.sources.schemas import HookFields
from orca.kit.crypto import SecretBox
from orca.kit.ids import new_id
from orca.kit.text import shorten
from orca.web.guard import Scope

KEEP_PUSHES = timedelta(days=30)
KEEP_REFUSALS = 20
"""How many kinds of refusal a hook remembers: anybody may send it anything."""


async def create_hook(
    session: AsyncSession, box: SecretBox, scope: Scope, service_id: str, fields: HookFields
) -> tuple[Hook, str]:
    """A hook and its secret, which is shown this once. The caller checked the service."""
    by = origin.get()
    hook = Hook(
        team_id=scope.team_id, service_id=service_id, provider=fields.provider, branch=fields.branch,
        watch_paths=fields.watch_paths, user_id=by.user_id,
        permissions=None if by.permissions is None else sorted(by.permissions),
    )  # fmt: skip
    session.add(hook)
    await session.flush()
    secret = await _put_secret(session, box, hook)
    await _record(session, "HookCreated", hook)
    return hook, secret


async def rotate_hook(
    session: AsyncSession, box: SecretBox, scope: Scope, service_id: str, hook_id: str
) -> tuple[Hook, str]:
    """A new secret; deliveries signed with the old one are refused from now on."""
    hook = await get_hook(session, scope, service_id, hook_id)
    secret = await _put_secret(session, box, hook)
    await _record(session, "HookRotated", hook)
    return hook, secret


async def delete_hook(session: AsyncSession, scope: Scope, service_id: str, hook_id: str) -> None:
    """Forget a hook and what came in at it."""
    hook = await get_hook(session, scope, service_id, hook_id)
    await _forget(session, hook)
    await _record(session, "HookDeleted", hook)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery whose signature was right."""

    name: str
    event: str
    decision: Decision


async def receive_push(session: AsyncSession, hook: Hook, delivery: Delivery) -> tuple[Push, bool]:
    """Store a delivery and, if it concerns the service, tell those who deploy; in one transaction.

    Gives the row, and whether it is new: a delivery that came before changes nothing.
    """
    known, name = await _find_known(session, hook, delivery.name)
    if known is not None:
        return known, False
    decision = delivery.decision
    if not await comes_from_git(session, hook.service_id):
        decision = pushes.leave_alone(decision)
    if decision.is_accepted and not origin.get().may("service.deploy"):
        decision = replace(
            decision, is_accepted=False, reason=f"{origin.get().actor}, who made this hook, may not deploy"
        )
    push = Push(
        team_id=hook.team_id, hook_id=hook.id, delivery=name, is_accepted=decision.is_accepted,
        commit=decision.change.commit if decision.change else "", decision=shorten(decision.reason, 255),
        payload=_summary(delivery), received_at=now(),
    )  # fmt: skip
    try:
        async with session.begin_nested():
            session.add(push)
    except IntegrityError:  # the same delivery, at the same moment, in another process
        known = await find_push(session, hook.id, name)
        if known is None:
            raise
        return known, False
    if decision.is_accepted and decision.change is not None:
        payload = {"commit": push.commit, "branch": decision.change.name, "push_id": push.id}
        await record(session, Fact("PushAccepted", hook.team_id, "service", hook.service_id, payload))
    await session.execute(delete(Push).where(Push.hook_id == hook.id, Push.received_at < now() - KEEP_PUSHES))
    return push, True


async def find_push_origin(session: AsyncSession, hook: Hook) -> Origin:
    """A push happens on behalf of the one who made its hook: what they might do then and still may."""
    frozen = None if hook.permissions is None else frozenset(hook.permissions)
    if hook.user_id is None:
        return Origin(f"hook {hook.id}", "webhook", permissions=frozen)
    email, current = await find_rights(session, hook.user_id, hook.team_id)
    permissions = current if frozen is None else current & frozen
    return Origin(email or "a former user", "webhook", user_id=hook.user_id, permissions=permissions)


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


async def _find_known(session: AsyncSession, hook: Hook, name: str) -> tuple[Push | None, str]:
    """The push that this one repeats, if it does; and the name under which it is kept.

    The same body without an id of the host's may also be a branch that was set back, which is a push of its own.
    """
    if not pushes.is_named_by_content(name):
        return await find_push(session, hook.id, name), name
    await session.execute(select(Hook.id).where(Hook.id == hook.id).with_for_update())
    newest_first = select(Push).where(Push.hook_id == hook.id).order_by(Push.id.desc()).limit(1)
    last = await session.scalar(newest_first.where(Push.delivery.startswith(name, autoescape=True)))
    if last is None:
        return None, name
    newest = await session.scalar(newest_first.where(Push.is_accepted))
    is_newest = newest is not None and newest.id == last.id
    if pushes.is_repeated(last.received_at, now(), is_newest=is_newest):
        return last, name
    return None, f"{name}:{new_id()}"


def _summary(delivery: Delivery) -> dict[str, Any]:
    """What is worth keeping of the body, which may be large and full of people."""
    change = delivery.decision.change
    if change is None:
        return {"event": delivery.event}
    return {
        "event": delivery.event, "ref": change.kind, "name": change.name, "commit": change.commit,
        "message": shorten(change.message, 500), "files": None if change.files is None else len(change.files),
    }  # fmt: skip


async def _put_secret(session: AsyncSession, box: SecretBox, hook: Hook) -> str:
    secret = new_hook_secret(hook.provider)
    await put_secret(session, box, team_id=hook.team_id, owner=(HOOK, hook.id), name=SECRET, value=secret)
    return secret


async def _forget(session: AsyncSession, hook: Hook) -> None:
    await delete_secrets(session, (HOOK, hook.id))
    await session.execute(delete(Push).where(Push.hook_id == hook.id))
    await session.delete(hook)
    await session.flush()


async def _record(session: AsyncSession, fact_type: str, hook: Hook) -> None:
    payload = {"provider": hook.provider, "branch": hook.branch, "service_id": hook.service_id}
    await record(session, Fact(fact_type, hook.team_id, HOOK, hook.id, payload))


async def _forget_hooks(session: AsyncSession, fact: Fact) -> None:
    """A deleted service hears of no pushes."""
    for hook in (await session.scalars(select(Hook).where(Hook.service_id == fact.object_id))).all():
        await _forget(session, hook)


subscribe("ServiceDeleted", _forget_hooks)
