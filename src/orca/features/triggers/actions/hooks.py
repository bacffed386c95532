"""Push hooks: creating, changing and deleting them."""

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.events import Fact, origin, record
from orca.features.secrets.actions import delete_secrets, put_secret
from orca.features.triggers.models import Hook, Push
from orca.features.triggers.pushes import new_hook_secret
from orca.features.triggers.queries import HOOK, SECRET, get_hook
from orca.features.triggers.schemas import HookChanges, HookFields
from orca.kit.crypto import SecretBox
from orca.resources import Resources
from orca.web.guard import Scope


async def create_hook(
    session: AsyncSession, box: SecretBox, scope: Scope, service_id: str, fields: HookFields
) -> tuple[Hook, str]:
    """Create a hook; returns it with its secret, which is shown only once. The caller checked the service."""
    hook = Hook(team_id=scope.team_id, service_id=service_id, **fields.model_dump())
    _take_over(hook)
    session.add(hook)
    await session.flush()
    secret = await _put_secret(session, box, hook)
    await _record(session, "HookCreated", hook)
    return hook, secret


def _take_over(hook: Hook) -> None:
    """Make the current user the owner of the hook: its pushes deploy on behalf of the one who last changed it."""
    by = origin.get()
    hook.user_id = by.user_id
    hook.permissions = None if by.permissions is None else sorted(by.permissions)


async def update_hook(session: AsyncSession, scope: Scope, service_id: str, hook_id: str, changes: HookChanges) -> Hook:
    """Change provider and deploy rules; address and secret stay, so that nothing changes at the Git host."""
    hook = await get_hook(session, scope, service_id, hook_id)
    given = changes.model_dump(exclude_unset=True)
    changed = {name: value for name, value in given.items() if value != getattr(hook, name)}
    for name, value in changed.items():
        setattr(hook, name, value)
    if changed:
        _take_over(hook)
        await _record(session, "HookUpdated", hook, fields=sorted(changed))
    return hook


async def rotate_hook(
    session: AsyncSession, box: SecretBox, scope: Scope, service_id: str, hook_id: str
) -> tuple[Hook, str]:
    """Replace the secret; deliveries signed with the old one are refused from now on."""
    hook = await get_hook(session, scope, service_id, hook_id)
    _take_over(hook)
    secret = await _put_secret(session, box, hook)
    await _record(session, "HookRotated", hook)
    return hook, secret


async def delete_hook(session: AsyncSession, scope: Scope, service_id: str, hook_id: str) -> None:
    """Delete a hook and its deliveries."""
    hook = await get_hook(session, scope, service_id, hook_id)
    await _forget(session, hook)
    await _record(session, "HookDeleted", hook)


async def _put_secret(session: AsyncSession, box: SecretBox, hook: Hook) -> str:
    secret = new_hook_secret(hook.provider)
    await put_secret(session, box, team_id=hook.team_id, owner=(HOOK, hook.id), name=SECRET, value=secret)
    return secret


async def _forget(session: AsyncSession, hook: Hook) -> None:
    await delete_secrets(session, (HOOK, hook.id))
    await session.execute(delete(Push).where(Push.hook_id == hook.id))
    await session.delete(hook)
    await session.flush()


async def _record(session: AsyncSession, fact_type: str, hook: Hook, **more: object) -> None:
    payload = {"provider": hook.provider, "branch": hook.branch, "service_id": hook.service_id, **more}
    await record(session, Fact(fact_type, hook.team_id, HOOK, hook.id, payload))


async def forget_hooks(session: AsyncSession, _resources: Resources, fact: Fact) -> None:
    """Delete the hooks of a deleted service."""
    for hook in (await session.scalars(select(Hook).where(Hook.service_id == fact.object_id))).all():
        await _forget(session, hook)
