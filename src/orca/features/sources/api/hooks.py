"""REST doors of push hooks: keeping them, and the public one at which Git hosts report pushes."""

import asyncio
from dataclasses import replace
from typing import Any

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import ClientDisconnect

from orca.db import ReadSession, WriteSession
from orca.errors import BadInput, NotSignedIn, TooMuch
from orca.events import origin
from orca.features.sources import actions, pushes, queries
from orca.features.sources.actions.hooks import Delivery
from orca.features.sources.errors import BodyCutOff
from orca.features.sources.models import Hook, Push
from orca.features.sources.origins import comes_from_git
from orca.features.sources.rules import hook_url, warn_of_origin, warn_of_reach
from orca.features.sources.schemas import HookFields, HookOut, HookSecret, PushAnswer, PushOut
from orca.kit.pagination import Cursor, Limit, Page
from orca.resources import Resources
from orca.web.guard import PUBLIC, CurrentResources, CurrentScope, Router, guard

router = Router(prefix="/api/v1", tags=["sources"])
_NOBODY = pushes.new_hook_secret("generic")
"""What an unknown hook is checked against, so that it takes as long as a known one."""
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The push event as the Git host writes it, signed with the hook's secret.",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "application/x-www-form-urlencoded": {
                "schema": {"type": "object", "properties": {"payload": {"type": "string"}}, "required": ["payload"]}
            },
        },
    }
}


async def _shown_once(session: AsyncSession, hook: Hook, secret: str, resources: Resources) -> HookSecret:
    shown, panel = HookOut.model_validate(hook).model_dump(), resources.settings.panel_url
    warnings = [warn_of_origin(is_git=await comes_from_git(session, hook.service_id)), warn_of_reach(panel)]
    warning = " ".join(filter(None, warnings))
    return HookSecret(**shown, url=hook_url(panel, hook.id), secret=secret, warning=warning)


@router.post("/services/{service_id}/hooks", status_code=201, summary="Add a push hook")
@guard("source.create", tenant="service_id", rate="write", audit="HookCreated")
async def create_hook(
    service_id: str, body: HookFields, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> HookSecret:
    """Give `url` and `secret` to the Git host; the secret is not shown again."""
    hook, secret = await actions.create_hook(session, resources.secret_box, scope, service_id, body)
    return await _shown_once(session, hook, secret, resources)


@router.get("/services/{service_id}/hooks", response_model=Page[HookOut], summary="List push hooks")
@guard("source.read", tenant="service_id")
async def list_hooks(
    service_id: str, session: ReadSession, scope: CurrentScope, limit: Limit = 50, cursor: Cursor = None
) -> Page[Hook]:
    """Newest first; never with their secrets."""
    return await queries.list_hooks(session, scope, service_id, limit=limit, cursor=cursor)


@router.post("/services/{service_id}/hooks/{hook_id}/rotate", summary="Replace a hook's secret")
@guard("source.update", tenant="service_id", rate="write", audit="HookRotated")
async def rotate_hook(
    service_id: str, hook_id: str, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> HookSecret:
    """The old secret stops working at once."""
    hook, secret = await actions.rotate_hook(session, resources.secret_box, scope, service_id, hook_id)
    return await _shown_once(session, hook, secret, resources)


@router.delete("/services/{service_id}/hooks/{hook_id}", status_code=204, summary="Delete a push hook")
@guard("source.delete", tenant="service_id", rate="write", audit="HookDeleted")
async def delete_hook(service_id: str, hook_id: str, session: WriteSession, scope: CurrentScope) -> None:
    """Pushes that still arrive at it are refused."""
    await actions.delete_hook(session, scope, service_id, hook_id)


@router.get("/services/{service_id}/hooks/{hook_id}/pushes", response_model=Page[PushOut], summary="List what came in")
@guard("source.read", tenant="service_id")
async def list_pushes(
    service_id: str,
    hook_id: str,
    session: ReadSession,
    scope: CurrentScope,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Push]:
    """The deliveries of the last 30 days and what was decided about each, newest first; the refused ones too."""
    await queries.get_hook(session, scope, service_id, hook_id)
    return await queries.list_pushes(session, scope, hook_id, limit=limit, cursor=cursor)


@router.post(
    "/hooks/{hook_id}",
    summary="Report a push",
    openapi_extra=_BODY,
    responses={202: {"model": PushAnswer}},
    max_body_size=2 * pushes.MAX_BODY_BYTES,  # what is larger than allowed is refused here, with the reason kept
)
@guard(PUBLIC, rate="webhook", audit="PushAccepted")
async def receive_push(
    hook_id: str, request: Request, response: Response, session: WriteSession, resources: CurrentResources
) -> PushAnswer:
    """For Git hosts. 202: stored, and a deployment follows; 200: stored, but nothing is to be done."""
    hook, delivery = await _admit(request, resources, hook_id)
    on_behalf = await actions.find_push_origin(session, hook)
    token = origin.set(replace(on_behalf, ip=request.state.peer, request_id=request.state.request_id))
    try:
        push, is_new = await actions.receive_push(session, hook, delivery)
    finally:
        origin.reset(token)
    if not is_new:
        return PushAnswer(push_id=push.id, accepted=False, decision="this delivery came before; nothing to do")
    response.status_code = 202 if push.is_accepted else 200
    return PushAnswer(push_id=push.id, accepted=push.is_accepted, decision=push.decision)


async def _admit(request: Request, resources: Resources, hook_id: str) -> tuple[Hook, Delivery]:
    """Who sent what. Those who look after the hook can read later why something was turned away."""
    try:
        body = await _read_body(request)
        hook = await _check_sender(request, resources, hook_id, body)
        return hook, await asyncio.to_thread(_judge, request, hook, body)
    except (TooMuch, BadInput) as error:
        await _note_refusal(resources, hook_id, error.message)
        raise


async def _note_refusal(resources: Resources, hook_id: str, reason: str) -> None:
    async with resources.db.write() as session:
        await actions.note_refusal(session, hook_id, reason)


async def _read_body(request: Request) -> bytes:
    """At most 1 MiB, whatever the sender says it is."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > pushes.MAX_BODY_BYTES:
                raise TooMuch("a push may have 1 MiB at most", hint="Push fewer commits at once, or deploy by hand.")
    except ClientDisconnect:
        raise BodyCutOff("the request was cut off before its end", hint="Send it again.") from None
    return bytes(body)


async def _check_sender(request: Request, resources: Resources, hook_id: str, body: bytes) -> Hook:
    """The hook, if the body was signed with its secret. An unknown hook answers like a wrong signature."""
    async with resources.db.read() as session:
        found = await queries.open_hook(session, resources.secret_box, hook_id)
    hook, secret = found or (None, _NOBODY)
    provider = hook.provider if hook is not None else "generic"
    values, at = request.headers.getlist, resources.clock.now()
    is_signed = pushes.is_signed(provider, secret, values, body, at)
    if hook is None or not is_signed:
        await _note_refusal(resources, hook_id, pushes.explain_mismatch(provider, values, at))
        raise NotSignedIn(
            "the signature does not match this hook",
            hint="Check address, provider and secret of the hook in the settings of the Git host.",
        )
    return hook


def _judge(request: Request, hook: Hook, body: bytes) -> Delivery:
    values = request.headers.getlist
    payload = pushes.parse_body(body, request.headers.get("content-type", ""))
    event = pushes.name_event(hook.provider, values)
    changes = pushes.read_changes(hook.provider, event, payload)
    decision = pushes.decide(changes, event, branch=hook.branch, watch_paths=hook.watch_paths)
    return Delivery(pushes.name_delivery(hook.provider, values, body), event, decision)
