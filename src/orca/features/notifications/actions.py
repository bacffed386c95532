"""Webhooks: creating and changing them, queueing what is sent to them, and storing what became of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import structlog
from pydantic import ValidationError
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import BadInput, Conflict
from orca.events import Event, Fact, Outcome, record
from orca.features.notifications.messages import render_message, render_ping, type_of
from orca.features.notifications.models import Delivery, Webhook
from orca.features.notifications.queries import (
    WEBHOOK,
    count_webhooks,
    get_delivery,
    get_webhook,
    list_receivers,
)
from orca.features.notifications.rules import (
    KEEP_REPLACED_SECRET,
    MOST_WEBHOOKS,
    PING,
    explain_disabling,
    new_secret,
    parse_url,
)
from orca.features.notifications.schemas import WebhookChanges, WebhookFields
from orca.kit.crypto import SecretBox
from orca.resources import PlaceInLine, Resources
from orca.tasks.lanes import INTERACTIVE, PUSHED
from orca.web.guard import Scope

log = structlog.get_logger("orca.webhooks")
DELIVER = "DeliverWebhook"


@dataclass(frozen=True, slots=True)
class Try:
    """What one try to deliver came to."""

    status_code: int | None = None
    duration_ms: int | None = None
    problem: str = ""
    """Empty when the receiver took it."""


async def create_webhook(
    session: AsyncSession, resources: Resources, scope: Scope, fields: WebhookFields
) -> tuple[Webhook, str]:
    """Create a webhook; return it with its secret, which is shown only once. Raises BadInput, Conflict."""
    _check_url(resources, fields.url)
    if await count_webhooks(session, scope) >= MOST_WEBHOOKS:
        raise Conflict(f"a team has at most {MOST_WEBHOOKS} webhooks", hint="Remove one that is no longer needed.")
    webhook = Webhook(team_id=scope.team_id, sealed=b"", **fields.model_dump())
    session.add(webhook)
    await session.flush()
    secret = _seal_new(resources.secret_box, webhook)
    await _record(session, "WebhookCreated", webhook)
    return webhook, secret


async def update_webhook(
    session: AsyncSession, resources: Resources, scope: Scope, webhook_id: str, changes: WebhookChanges
) -> Webhook:
    """Change a webhook; its secret stays. Enabling it forgets its failures. Raises NotFound, BadInput."""
    webhook = await get_webhook(session, scope, webhook_id, lock=True)
    given = changes.model_dump(exclude_unset=True)
    if "url" in given:
        _check_url(resources, given["url"])
    changed = {name: value for name, value in given.items() if value != getattr(webhook, name)}
    for name, value in changed.items():
        setattr(webhook, name, value)
    if {"url", "is_enabled"} & changed.keys():
        webhook.problem, webhook.failing_since = "", None
    if changed:
        await _record(session, "WebhookUpdated", webhook, fields=sorted(changed))
    return webhook


async def rotate_webhook(
    session: AsyncSession, box: SecretBox, scope: Scope, webhook_id: str
) -> tuple[Webhook, str]:  # fmt: skip
    """Replace the secret; every try from now on is signed with the new one, and for a day also with this one."""
    webhook = await get_webhook(session, scope, webhook_id, lock=True)
    webhook.replaced_sealed, webhook.replaced_until = webhook.sealed, now() + KEEP_REPLACED_SECRET
    secret = _seal_new(box, webhook)
    await _record(session, "WebhookRotated", webhook)
    return webhook, secret


async def delete_webhook(session: AsyncSession, scope: Scope, webhook_id: str) -> None:
    """Delete a webhook and its deliveries; what waits is not sent."""
    webhook = await get_webhook(session, scope, webhook_id, lock=True)
    await session.execute(delete(Delivery).where(Delivery.webhook_id == webhook.id))
    await session.delete(webhook)
    await session.flush()
    await _record(session, "WebhookDeleted", webhook)


async def queue_event(session: AsyncSession, resources: Resources, event: Event) -> None:
    """Queue an event for every webhook of its team that wants it. What belongs to no team is sent nowhere."""
    if event.team_id is None:
        return
    try:
        message_type, body = type_of(event), render_message(event)
    except ValidationError as error:  # it will not be better the next time, and others wait behind it
        log.warning("event_not_sendable", seq=event.seq, fields=[problem["loc"] for problem in error.errors()])
        return
    for webhook in await list_receivers(session, event.team_id, message_type):
        await _queue(
            session, resources, Delivery(team_id=event.team_id, webhook_id=webhook.id, type=message_type, body=body)
        )


async def queue_ping(session: AsyncSession, resources: Resources, scope: Scope, webhook_id: str) -> Delivery:
    """Queue a test message, which is tried once, for a disabled webhook, too."""
    webhook = await get_webhook(session, scope, webhook_id)
    body = render_ping(now(), webhook.id, webhook.name)
    await _record(session, "WebhookTested", webhook)
    return await _queue(
        session, resources, Delivery(team_id=webhook.team_id, webhook_id=webhook.id, type=PING, body=body)
    )


async def redeliver(
    session: AsyncSession, resources: Resources, scope: Scope, webhook_id: str, delivery_id: str
) -> Delivery:
    """Queue a delivery again that has ended, under the same id, by which receivers know it. Raises Conflict."""
    webhook = await get_webhook(session, scope, webhook_id)
    row = await get_delivery(session, scope, webhook_id, delivery_id, lock=True)
    if row.state == "queued":
        raise Conflict("this delivery still waits for its next try", hint="`next_try_at` says when that is.")
    row.state, row.finished_at = "queued", None
    await _record(session, "WebhookRedelivered", webhook, delivery_id=row.id)
    return await _queue(session, resources, row)


async def _queue(session: AsyncSession, resources: Resources, row: Delivery) -> Delivery:
    session.add(row)
    await session.flush()
    place = PlaceInLine(row.team_id, INTERACTIVE if row.type == PING else PUSHED)
    payload = {"delivery_id": row.id, "once": row.type == PING}
    await resources.tasks.enqueue(session, DELIVER, target=row.id, payload=payload, place=place)
    return row


async def store_try(session: AsyncSession, delivery_id: str, done: Try, pause: timedelta | None) -> datetime | None:
    """Store what a try came to. Return when the next one is due, after `pause`; None when there is none.

    A webhook whose receiver is gone, or has taken nothing for days, is disabled.
    """
    # The webhook is locked before its deliveries, as by its deletion.
    webhook_id = select(Delivery.webhook_id).where(Delivery.id == delivery_id).scalar_subquery()
    webhook = await session.scalar(select(Webhook).where(Webhook.id == webhook_id).with_for_update())
    row = await session.get(Delivery, delivery_id, with_for_update=True)
    if row is None or webhook is None:
        return None
    row.attempts += 1
    row.status_code, row.duration_ms, row.problem = done.status_code, done.duration_ms, done.problem
    row.next_try_at = None
    if not done.problem:
        row.state, row.finished_at, webhook.failing_since = "delivered", now(), None
        return None
    if row.type != PING:
        await _note_failure(session, webhook, done)
    if pause is None or not webhook.is_enabled:
        row.state, row.finished_at = "failed", now()
        return None
    row.next_try_at = now() + pause
    return row.next_try_at


async def _note_failure(session: AsyncSession, webhook: Webhook, done: Try) -> None:
    at = now()
    webhook.failing_since = webhook.failing_since or at
    reason = explain_disabling(done.status_code, webhook.failing_since, at)
    if reason and webhook.is_enabled:
        webhook.is_enabled, webhook.problem = False, reason
        await _record(session, "WebhookDisabled", webhook, reason=reason)


async def give_up(session: AsyncSession, delivery_id: str, reason: str) -> None:
    """End a delivery whose task has ended without a result."""
    row = await session.scalar(select(Delivery).where(Delivery.id == delivery_id).with_for_update())
    if row is not None and row.state == "queued":
        row.state, row.problem, row.next_try_at, row.finished_at = "failed", reason, None, now()


def _check_url(resources: Resources, url: str) -> None:
    try:
        parse_url(url, private_networks=resources.settings.webhook.private_networks)
    except BadInput as error:
        raise BadInput(error.message, hint=error.hint, fields={"url": error.message}) from None


def _seal_new(box: SecretBox, webhook: Webhook) -> str:
    secret = new_secret()
    webhook.sealed = box.seal(secret.encode(), webhook.secret_place)
    return secret


async def _record(session: AsyncSession, fact_type: str, webhook: Webhook, **more: object) -> None:
    """Record an event with the webhook's name and host; its address may hold a token, so it is in no event."""
    payload = {"name": webhook.name, "host": urlsplit(webhook.url).hostname, **more}
    outcome: Outcome = "failed" if fact_type == "WebhookDisabled" else "done"
    await record(session, Fact(fact_type, webhook.team_id, WEBHOOK, webhook.id, payload, outcome))
