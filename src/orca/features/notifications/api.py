"""REST doors of webhooks and their deliveries."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession
from orca.features.notifications import actions, queries
from orca.features.notifications.models import Delivery, Webhook
from orca.features.notifications.schemas import (
    DeliveryDetail,
    DeliveryFilter,
    DeliveryOut,
    WebhookChanges,
    WebhookFields,
    WebhookFilter,
    WebhookOut,
    WebhookSecret,
)
from orca.kit.pagination import Page
from orca.web.guard import CurrentResources, CurrentScope, Router, Scope, guard

router = Router(prefix="/api/v1/webhooks", tags=["webhooks"])


async def _shown(session: AsyncSession, scope: Scope, webhooks: Sequence[Webhook]) -> list[WebhookOut]:
    """Return webhooks with their last delivery."""
    last = await queries.list_last_deliveries(session, scope, [webhook.id for webhook in webhooks])
    return [
        WebhookOut(
            id=webhook.id, name=webhook.name, url=webhook.url, types=webhook.types, is_enabled=webhook.is_enabled,
            problem=webhook.problem, failing_since=webhook.failing_since, replaced_until=webhook.replaced_until,
            created_at=webhook.created_at,
            last_delivery=DeliveryOut.model_validate(last[webhook.id]) if webhook.id in last else None,
        )
        for webhook in webhooks
    ]  # fmt: skip


async def _shown_once(session: AsyncSession, scope: Scope, webhook: Webhook, secret: str) -> WebhookSecret:
    [shown] = await _shown(session, scope, [webhook])
    return WebhookSecret(**shown.model_dump(), secret=secret)


@router.post("", status_code=201, summary="Add a webhook")
@guard("webhook.manage", rate="write", audit="WebhookCreated")
async def create_webhook(
    body: WebhookFields, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> WebhookSecret:
    """Have the team's events sent to an address. `secret` verifies the signature, and is not shown again."""
    webhook, secret = await actions.create_webhook(session, resources, scope, body)
    return await _shown_once(session, scope, webhook, secret)


@router.get("", summary="List webhooks")
@guard("webhook.read")
async def list_webhooks(
    session: ReadSession, scope: CurrentScope, wanted: Annotated[WebhookFilter, Query()]
) -> Page[WebhookOut]:
    """List webhooks, newest first, with the last delivery of each; their secrets are never returned."""
    page = await queries.list_webhooks(session, scope, wanted)
    return Page[WebhookOut](items=await _shown(session, scope, page.items), next_cursor=page.next_cursor)


@router.get("/{webhook_id}", summary="Show a webhook")
@guard("webhook.read", tenant="webhook_id")
async def show_webhook(webhook_id: str, session: ReadSession, scope: CurrentScope) -> WebhookOut:
    """Return a webhook with its last delivery, without its secret."""
    return (await _shown(session, scope, [await queries.get_webhook(session, scope, webhook_id)]))[0]


@router.patch("/{webhook_id}", summary="Change a webhook")
@guard("webhook.manage", tenant="webhook_id", rate="write", audit="WebhookUpdated")
async def update_webhook(
    webhook_id: str, body: WebhookChanges, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> WebhookOut:
    """Change its name, address or events, or switch it on or off. Its secret stays."""
    webhook = await actions.update_webhook(session, resources, scope, webhook_id, body)
    return (await _shown(session, scope, [webhook]))[0]


@router.delete("/{webhook_id}", status_code=204, summary="Delete a webhook")
@guard("webhook.manage", tenant="webhook_id", rate="write", audit="WebhookDeleted")
async def delete_webhook(webhook_id: str, session: WriteSession, scope: CurrentScope) -> None:
    """Delete a webhook with its deliveries. What still waits is not sent."""
    await actions.delete_webhook(session, scope, webhook_id)


@router.post("/{webhook_id}/rotate", summary="Replace a webhook's secret")
@guard("webhook.manage", tenant="webhook_id", rate="write", audit="WebhookRotated")
async def rotate_webhook(
    webhook_id: str, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> WebhookSecret:
    """Replace the secret. Every message from now on, retries too, has the signatures of both for 24 hours.

    Then only that of the new secret. A second rotation within that time forgets the first secret at once.
    """
    webhook, secret = await actions.rotate_webhook(session, resources.secret_box, scope, webhook_id)
    return await _shown_once(session, scope, webhook, secret)


@router.post("/{webhook_id}/test", status_code=202, summary="Send a test message", response_model=DeliveryOut)
@guard("webhook.manage", tenant="webhook_id", rate="write", audit="WebhookTested")
async def test_webhook(
    webhook_id: str, response: Response, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> Delivery:
    """Send a `ping`, also to a disabled webhook. It is tried once; read the delivery to see what came of it."""
    return _locate(response, await actions.queue_ping(session, resources, scope, webhook_id))


@router.get("/{webhook_id}/deliveries", summary="List deliveries", response_model=Page[DeliveryOut])
@guard("webhook.read", tenant="webhook_id")
async def list_deliveries(
    webhook_id: str, session: ReadSession, scope: CurrentScope, wanted: Annotated[DeliveryFilter, Query()]
) -> Page[Delivery]:
    """List what was sent in the last 30 days and what waits, newest first."""
    return await queries.list_deliveries(session, scope, webhook_id, wanted)


@router.get("/{webhook_id}/deliveries/{delivery_id}", summary="Show a delivery", response_model=DeliveryDetail)
@guard("webhook.read", tenant="webhook_id")
async def show_delivery(webhook_id: str, delivery_id: str, session: ReadSession, scope: CurrentScope) -> Delivery:
    """Return a delivery with its body."""
    return await queries.get_delivery(session, scope, webhook_id, delivery_id)


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/redeliver",
    status_code=202,
    summary="Send a message again",
    response_model=DeliveryOut,
)
@guard("webhook.manage", tenant="webhook_id", rate="write", audit="WebhookRedelivered")
async def redeliver(
    webhook_id: str,
    delivery_id: str,
    response: Response,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
) -> Delivery:
    """Send a delivery that has ended again, with the same `webhook-id` and body, and retries as the first time."""
    return _locate(response, await actions.redeliver(session, resources, scope, webhook_id, delivery_id))


def _locate(response: Response, row: Delivery) -> Delivery:
    """Name the address at which the progress of a delivery is read."""
    response.headers["Location"] = f"{router.prefix}/{row.webhook_id}/deliveries/{row.id}"
    return row
