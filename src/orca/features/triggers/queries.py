"""Reads of push hooks and their deliveries."""

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db.pages import read_page
from orca.errors import NotFound
from orca.features.secrets.queries import open_secret
from orca.features.services.models import Service
from orca.features.services.queries import select_scope
from orca.features.triggers.models import Hook, Push
from orca.kit.crypto import SecretBox
from orca.kit.pagination import Page, PageRequest
from orca.web.guard import Scope
from orca.web.rights import ObjectScope, find_scope

_FIRST_PAGE = PageRequest()
HOOK, SECRET = "hook", "secret"
"""The owner and the name of a hook's secret."""


async def find_hook_scope(session: AsyncSession, hook_id: str) -> ObjectScope | None:
    """Return where a hook belongs: where its service does."""
    return await find_scope(session, select_scope().join(Hook, Hook.service_id == Service.id).where(Hook.id == hook_id))


def has_hook(scope: Scope) -> ColumnElement[bool]:
    """Whether the team has a push hook."""
    return exists().where(Hook.team_id == scope.team_id)


async def get_hook(session: AsyncSession, scope: Scope, service_id: str, hook_id: str) -> Hook:
    """A push hook of a service."""
    query = select(Hook).where(Hook.id == hook_id, Hook.team_id == scope.team_id, Hook.service_id == service_id)
    hook = await session.scalar(query)
    if hook is None:
        raise NotFound("this service has no hook with this id")
    return hook


async def list_hooks(
    session: AsyncSession, scope: Scope, service_id: str, wanted: PageRequest = _FIRST_PAGE
) -> Page[Hook]:
    """The push hooks of a service, newest first."""
    query = select(Hook).where(Hook.team_id == scope.team_id, Hook.service_id == service_id)
    return await read_page(session, query, Hook, wanted)


async def open_hook(session: AsyncSession, box: SecretBox, hook_id: str) -> tuple[Hook, str] | None:
    """Return a hook of any team with its secret, for a delivery whose sender is not verified yet."""
    hook = await session.get(Hook, hook_id)
    if hook is None:
        return None
    secret = await open_secret(session, box, (HOOK, hook.id), SECRET)
    return None if secret is None else (hook, secret)


async def find_push(session: AsyncSession, hook_id: str, delivery: str) -> Push | None:
    """Return the stored delivery of that name, or None."""
    return await session.scalar(select(Push).where(Push.hook_id == hook_id, Push.delivery == delivery))


async def list_pushes(
    session: AsyncSession, scope: Scope, hook_id: str, wanted: PageRequest = _FIRST_PAGE
) -> Page[Push]:
    """Return the deliveries of a hook with their decisions, newest first."""
    query = select(Push).where(Push.team_id == scope.team_id, Push.hook_id == hook_id)
    return await read_page(session, query, Push, wanted, by=Push.seq)


async def list_recent_pushes(
    session: AsyncSession, scope: Scope, hook_ids: Collection[str], *, limit: int
) -> Sequence[Push]:
    """Return the latest deliveries of some hooks, newest first."""
    query = select(Push).where(Push.team_id == scope.team_id, Push.hook_id.in_(hook_ids))
    return (await session.scalars(query.order_by(Push.seq.desc()).limit(limit))).all()


async def list_last_pushes(session: AsyncSession, scope: Scope, hook_ids: Collection[str]) -> dict[str, Push]:
    """Map hook ids to their last delivery; hooks without a delivery are left out."""
    newest = select(func.max(Push.seq)).where(Push.team_id == scope.team_id, Push.hook_id.in_(hook_ids))
    rows = await session.scalars(select(Push).where(Push.seq.in_(newest.group_by(Push.hook_id))))
    return {push.hook_id: push for push in rows}
