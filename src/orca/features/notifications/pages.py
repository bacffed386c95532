"""The pages of webhooks: the list, and one webhook with what was sent to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession
from orca.errors import OrcaError
from orca.features.manifest import WebhookEvent
from orca.features.notifications import actions, queries
from orca.features.notifications.messages import list_offered
from orca.features.notifications.models import Delivery, Webhook
from orca.features.notifications.schemas import DeliveryFilter, WebhookChanges, WebhookFields, WebhookFilter
from orca.kit.pagination import Cursor
from orca.web.answers import Redirect, attempt, submit
from orca.web.forms import Filled, Form, fill
from orca.web.guard import CurrentResources, CurrentScope, Router, guard
from orca.web.live import Sources, stream_fragment
from orca.web.redirects import see_other
from orca.web.render import draw, render

router = Router(include_in_schema=False)
SHOWN = 50
_WORKER_SECONDS = 5.0
"""How long a delivery by another process stays as it is on the page: no notice comes of it."""
_CHOSEN = "on_"
"""Prefix of the names of the checkboxes of events."""


@dataclass(frozen=True, slots=True)
class TypeChoice:
    """An event that can be chosen in the form."""

    field: str
    event: WebhookEvent
    is_chosen: bool


def _choices(values: Mapping[str, str]) -> list[TypeChoice]:
    fields = {_CHOSEN + name.replace(".", "_"): event for name, event in sorted(list_offered().items())}
    return [TypeChoice(name, event, values.get(name) == "true") for name, event in fields.items()]


@dataclass(frozen=True, slots=True)
class WebhooksPage:
    """The webhooks with their last delivery, and the form that makes one."""

    webhooks: Sequence[Webhook]
    last: Mapping[str, Delivery]
    next: str
    choices: Sequence[TypeChoice]
    form: Filled[WebhookFields] = field(default_factory=Filled)


@dataclass(frozen=True, slots=True)
class WebhookPage:
    """One webhook, the form that changes it, and its deliveries."""

    webhook: Webhook
    deliveries: Sequence[Delivery]
    next: str
    is_first: bool
    choices: Sequence[TypeChoice]
    form: Filled[WebhookChanges]
    secret: str = ""
    """The new signing secret, in the one answer that shows it."""
    refusal: OrcaError | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether the list can still change by itself."""
        return any(row.state == "queued" for row in self.deliveries)


def _typed(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the form as the API's JSON."""
    types = [choice.event.name for choice in _choices(form) if choice.is_chosen]
    return {"name": form.get("name", ""), "url": form.get("url", ""), "types": types}


async def _draw_list(
    request: Request,
    session: AsyncSession,
    scope: CurrentScope,
    form: Filled[WebhookFields] | None = None,
    cursor: str | None = None,
) -> Response:
    found = await queries.list_webhooks(session, scope, WebhookFilter(limit=SHOWN, cursor=cursor))
    last = await queries.list_last_deliveries(session, scope, [item.id for item in found.items])
    following = f"/webhooks?cursor={found.next_cursor}" if found.next_cursor else ""
    form = form or Filled()
    page = WebhooksPage(found.items, last, following, _choices(form.values), form)
    return render(request, "notifications/webhooks.html", page, status=form.status)


@router.get("/webhooks")
@guard("webhook.read", page=True)
async def show_webhooks(
    request: Request, session: ReadSession, scope: CurrentScope, cursor: Cursor = None
) -> Response:  # fmt: skip
    """List the webhooks, with the form that makes one."""
    return await _draw_list(request, session, scope, cursor=cursor)


@router.post("/webhooks")
@guard("webhook.manage", rate="write", audit="WebhookCreated", page=True)
async def make_webhook(
    request: Request, session: WriteSession, scope: CurrentScope, resources: CurrentResources, form: Form
) -> Response:
    """Make a webhook; only this answer shows its secret."""
    filled = fill(WebhookFields, _typed(form), form)
    if filled.model is not None:
        try:
            webhook, secret = await actions.create_webhook(session, resources, scope, filled.model)
        except OrcaError as error:
            filled = filled.refused(error)
        else:
            return await _draw(request, session, scope, webhook.id, secret=secret)
    await session.rollback()
    return await _draw_list(request, session, scope, filled)


async def _view(
    session: AsyncSession, scope: CurrentScope, webhook_id: str, cursor: str | None = None, **shown: Any
) -> WebhookPage:
    webhook = await queries.get_webhook(session, scope, webhook_id)
    wanted = DeliveryFilter(limit=SHOWN, cursor=cursor)
    found = await queries.list_deliveries(session, scope, webhook_id, wanted)
    following = f"/webhooks/{webhook_id}?cursor={found.next_cursor}" if found.next_cursor else ""
    chosen = {_CHOSEN + type_.replace(".", "_"): "true" for type_ in webhook.types}
    form = shown.pop("form", None) or Filled({"name": webhook.name, "url": webhook.url, **chosen})
    return WebhookPage(webhook, found.items, following, cursor is None, _choices(form.values), form, **shown)


async def _draw(
    request: Request,
    session: AsyncSession,
    scope: CurrentScope,
    webhook_id: str,
    form: Filled[WebhookChanges] | None = None,
    **shown: Any,
) -> Response:
    page = await _view(session, scope, webhook_id, form=form, **shown)
    status = page.refusal.status if page.refusal else page.form.status
    return render(request, "notifications/webhook.html", page, status=status)


@router.get("/webhooks/{webhook_id}")
@guard("webhook.read", tenant="webhook_id", page=True)
async def show_webhook(
    webhook_id: str, request: Request, session: ReadSession, scope: CurrentScope, cursor: Cursor = None
) -> Response:
    """Show a webhook with its deliveries."""
    return await _draw(request, session, scope, webhook_id, cursor=cursor)


@router.get("/webhooks/{webhook_id}/live")
@guard("webhook.read", tenant="webhook_id", rate="stream", page=True)
async def follow_webhook(
    webhook_id: str, request: Request, scope: CurrentScope, resources: CurrentResources
) -> StreamingResponse:
    """Stream the newest deliveries, rendered again at each change, until none waits."""

    async def draw_now() -> tuple[str, bool]:
        async with resources.db.read(scope.team_id, scope.reach) as session:
            page = await _view(session, scope, webhook_id)
        return draw(request, "notifications/_deliveries.html", page), not page.is_waiting

    return stream_fragment(request, draw_now, Sources(topic="deliveries", look_again=_WORKER_SECONDS))


@router.post("/webhooks/{webhook_id}")
@guard("webhook.manage", tenant="webhook_id", rate="write", audit="WebhookUpdated", page=True)
async def change_webhook(
    webhook_id: str,
    request: Request,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    form: Form,
) -> Response:
    """Change name, address and events; its secret stays."""

    async def save(changes: WebhookChanges) -> Redirect:
        await actions.update_webhook(session, resources, scope, webhook_id, changes)
        return Redirect(f"/webhooks/{webhook_id}", "Saved")

    filled = fill(WebhookChanges, _typed(form), form)
    return await submit(request, session, filled, save, partial(_draw, request, session, scope, webhook_id))


@router.post("/webhooks/{webhook_id}/enable")
@guard("webhook.manage", tenant="webhook_id", rate="write", audit="WebhookUpdated", page=True)
async def enable_webhook(
    webhook_id: str,
    request: Request,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    form: Form,
) -> Response:
    """Switch it on or off: the field `on` is `true` or `false`."""
    is_on = form.get("on") == "true"
    switch = actions.update_webhook(session, resources, scope, webhook_id, WebhookChanges(is_enabled=is_on))
    done = Redirect(f"/webhooks/{webhook_id}", "The webhook is enabled" if is_on else "The webhook is disabled")
    return await attempt(request, session, switch, done, partial(_draw, request, session, scope, webhook_id))


@router.post("/webhooks/{webhook_id}/rotate")
@guard("webhook.manage", tenant="webhook_id", rate="write", audit="WebhookRotated", page=True)
async def rotate_webhook(
    webhook_id: str, request: Request, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> Response:
    """Replace the secret; only this answer shows the new one."""
    _, secret = await actions.rotate_webhook(session, resources.secret_box, scope, webhook_id)
    return await _draw(request, session, scope, webhook_id, secret=secret)


@router.post("/webhooks/{webhook_id}/test")
@guard("webhook.manage", tenant="webhook_id", rate="write", audit="WebhookTested", page=True)
async def test_webhook(
    webhook_id: str, request: Request, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> Response:
    """Send a test message; the list shows what comes of it."""
    await actions.queue_ping(session, resources, scope, webhook_id)
    return see_other(request, f"/webhooks/{webhook_id}", said="Test message queued")


@router.post("/webhooks/{webhook_id}/delete")
@guard("webhook.manage", tenant="webhook_id", rate="write", audit="WebhookDeleted", page=True)
async def remove_webhook(webhook_id: str, request: Request, session: WriteSession, scope: CurrentScope) -> Response:
    """Delete it with its deliveries."""
    await actions.delete_webhook(session, scope, webhook_id)
    return see_other(request, "/webhooks", said="Webhook deleted")


@router.post("/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver")
@guard("webhook.manage", tenant="webhook_id", rate="write", audit="WebhookRedelivered", page=True)
async def redeliver(
    webhook_id: str,
    delivery_id: str,
    request: Request,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
) -> Response:
    """Send a message that has ended again."""
    again = actions.redeliver(session, resources, scope, webhook_id, delivery_id)
    done = Redirect(f"/webhooks/{webhook_id}", "The message is sent again")
    return await attempt(request, session, again, done, partial(_draw, request, session, scope, webhook_id))
