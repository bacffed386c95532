"""Reads of webhooks and their deliveries."""

from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db.pages import read_page
from orca.errors import NotFound
from orca.features.notifications.models import Delivery, Webhook
from orca.features.notifications.schemas import DeliveryFilter, WebhookFilter
from orca.kit.pagination import Page
from orca.web.guard import Scope
from orca.web.rights import ObjectScope, find_scope

WEBHOOK = "webhook"
"""Object type of the events of webhooks."""


async def find_webhook_scope(session: AsyncSession, webhook_id: str) -> ObjectScope | None:
    """Return where a webhook belongs: to a team."""
    return await find_scope(session, select(Webhook.team_id).where(Webhook.id == webhook_id))


async def get_webhook(session: AsyncSession, scope: Scope, webhook_id: str, *, lock: bool = False) -> Webhook:
    """Return a webhook of the team; `lock` keeps its row until the end of the transaction."""
    query = select(Webhook).where(Webhook.id == webhook_id, Webhook.team_id == scope.team_id)
    row = await session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise NotFound("there is no webhook with this id")
    return row


async def list_webhooks(session: AsyncSession, scope: Scope, wanted: WebhookFilter) -> Page[Webhook]:
    """The team's webhooks, newest first unless another order is asked for."""
    return await read_page(session, select(Webhook).where(Webhook.team_id == scope.team_id), Webhook, wanted)


async def count_webhooks(session: AsyncSession, scope: Scope) -> int:
    """How many webhooks the team has."""
    return await session.scalar(select(func.count()).where(Webhook.team_id == scope.team_id)) or 0


async def list_receivers(session: AsyncSession, team_id: str, message_type: str) -> list[Webhook]:
    """The enabled webhooks of a team that want messages of a type."""
    enabled = select(Webhook).where(Webhook.team_id == team_id, Webhook.is_enabled)
    rows = await session.scalars(enabled.order_by(Webhook.id))
    return [row for row in rows if not row.types or message_type in row.types]


async def get_delivery(
    session: AsyncSession, scope: Scope, webhook_id: str, delivery_id: str, *, lock: bool = False
) -> Delivery:
    """Return a delivery of a webhook of the team."""
    query = select(Delivery).where(Delivery.id == delivery_id, Delivery.team_id == scope.team_id)
    query = query.where(Delivery.webhook_id == webhook_id)
    row = await session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise NotFound("this webhook has no delivery with this id")
    return row


async def list_deliveries(
    session: AsyncSession, scope: Scope, webhook_id: str, wanted: DeliveryFilter
) -> Page[Delivery]:
    """The deliveries of a webhook, newest first."""
    query = select(Delivery).where(Delivery.team_id == scope.team_id, Delivery.webhook_id == webhook_id)
    return await read_page(session, query, Delivery, wanted, by=Delivery.seq)


async def list_last_deliveries(
    session: AsyncSession, scope: Scope, webhook_ids: Collection[str]
) -> dict[str, Delivery]:
    """Map ids of webhooks to their last delivery; those without one are left out."""
    newest = select(func.max(Delivery.seq)).where(
        Delivery.team_id == scope.team_id, Delivery.webhook_id.in_(webhook_ids)
    )
    rows = await session.scalars(select(Delivery).where(Delivery.seq.in_(newest.group_by(Delivery.webhook_id))))
    return {row.webhook_id: row for row in rows}


async def find_outgoing(session: AsyncSession, delivery_id: str) -> tuple[Delivery, Webhook] | None:
    """Return a delivery that waits, of any team, with its webhook; None when there is nothing to send."""
    query = select(Delivery, Webhook).join(Webhook, Webhook.id == Delivery.webhook_id)
    row = (await session.execute(query.where(Delivery.id == delivery_id, Delivery.state == "queued"))).one_or_none()
    return None if row is None else (row[0], row[1])
