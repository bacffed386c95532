"""REST doors of push hooks: managing, testing and replaying them, and the public one where Git hosts report pushes."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import ClientDisconnect

from orca.db import ReadSession, WriteSession, limit_to_team
from orca.errors import BadInput, NotSignedIn, PayloadTooLarge
from orca.events import Fact, origin, record
from orca.features.services.queries import find_git_source
from orca.features.sources.api import ANY_SIZE
from orca.features.sources.errors import BodyCutOff
from orca.features.triggers import actions, pushes, queries
from orca.features.triggers.actions.pushes import SignedPush
from orca.features.triggers.metrics import UNKNOWN, Result
from orca.features.triggers.models import Hook, Push
from orca.features.triggers.operations import send_test_delivery as operations
from orca.features.triggers.pushes.changes import read_identity
from orca.features.triggers.pushes.signatures import may_be_signed
from orca.features.triggers.rules import hook_url, warn_of_origin, warn_of_reach
from orca.features.triggers.schemas import (
    HookChanges,
    HookFields,
    HookFilter,
    HookOut,
    HookSecret,
    HookTest,
    PushAnswer,
    PushFilter,
    PushOut,
    Replay,
)
from orca.kit.pagination import Page
from orca.resources import Resources
from orca.web.guard import PUBLIC, CurrentResources, CurrentScope, Router, Scope, guard

router = Router(prefix="/api/v1", tags=["triggers"])
_NOBODY = pushes.new_hook_secret("generic")
"""A secret to check an unknown hook against, so that this takes as long as for a known one."""
_LARGE = 1 << 20
_LARGE_SECONDS = 15
"""Bodies above `_LARGE` bytes need one of a few slots, and must arrive within so many seconds."""
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


async def _shown(session: AsyncSession, scope: Scope, hooks: Sequence[Hook], resources: Resources) -> list[HookOut]:
    """Return hooks with their addresses and their last delivery."""
    last = await queries.list_last_pushes(session, scope, [hook.id for hook in hooks])
    return [
        HookOut(
            id=hook.id, service_id=hook.service_id, provider=hook.provider, branch=hook.branch,
            watch_paths=hook.watch_paths, any_repository=hook.any_repository, created_at=hook.created_at,
            url=hook_url(resources.settings.panel_url, hook.id),
            last_push=PushOut.model_validate(last[hook.id]) if hook.id in last else None,
        )
        for hook in hooks
    ]  # fmt: skip


async def _shown_once(session: AsyncSession, scope: Scope, hook: Hook, secret: str, resources: Resources) -> HookSecret:
    [shown] = await _shown(session, scope, [hook], resources)
    is_git = await find_git_source(session, hook.service_id) is not None
    warnings = [warn_of_origin(is_git=is_git), warn_of_reach(resources.settings.panel_url)]
    return HookSecret(**shown.model_dump(), secret=secret, warning=" ".join(filter(None, warnings)))


@router.post("/services/{service_id}/hooks", status_code=201, summary="Add a push hook")
@guard("hook.create", tenant="service_id", rate="write", audit="HookCreated")
async def create_hook(
    service_id: str, body: HookFields, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> HookSecret:
    """Create a push hook. Enter `url` and `secret` at the Git host; the secret is not shown again."""
    hook, secret = await actions.create_hook(session, resources.secret_box, scope, service_id, body)
    return await _shown_once(session, scope, hook, secret, resources)


@router.get("/services/{service_id}/hooks", summary="List push hooks")
@guard("hook.read", tenant="service_id")
async def list_hooks(
    service_id: str,
    session: ReadSession,
    scope: CurrentScope,
    resources: CurrentResources,
    wanted: Annotated[HookFilter, Query()],
) -> Page[HookOut]:
    """List push hooks, newest first; their secrets are never returned."""
    page = await queries.list_hooks(session, scope, service_id, wanted)
    shown = await _shown(session, scope, page.items, resources)
    return Page[HookOut](items=shown, next_cursor=page.next_cursor)


@router.get("/services/{service_id}/hooks/{hook_id}", summary="Show a push hook")
@guard("hook.read", tenant="service_id")
async def show_hook(
    service_id: str, hook_id: str, session: ReadSession, scope: CurrentScope, resources: CurrentResources
) -> HookOut:
    """Return a push hook with its last delivery, without its secret."""
    hook = await queries.get_hook(session, scope, service_id, hook_id)
    return (await _shown(session, scope, [hook], resources))[0]


@router.patch("/services/{service_id}/hooks/{hook_id}", summary="Change a push hook")
@guard("hook.update", tenant="service_id", rate="write", audit="HookUpdated")
async def update_hook(
    service_id: str,
    hook_id: str,
    body: HookChanges,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
) -> HookOut:
    """Change provider and deploy rules. Its address and its secret stay."""
    hook = await actions.update_hook(session, scope, service_id, hook_id, body)
    return (await _shown(session, scope, [hook], resources))[0]


@router.post("/services/{service_id}/hooks/{hook_id}/rotate", summary="Replace a hook's secret")
@guard("hook.update", tenant="service_id", rate="write", audit="HookRotated")
async def rotate_hook(
    service_id: str, hook_id: str, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> HookSecret:
    """Replace the secret; the old one stops working at once, and the address stays."""
    hook, secret = await actions.rotate_hook(session, resources.secret_box, scope, service_id, hook_id)
    return await _shown_once(session, scope, hook, secret, resources)


@router.post("/services/{service_id}/hooks/{hook_id}/test", summary="Send a test delivery to a hook")
@guard("hook.update", tenant="service_id", rate="write", audit="HookTested")
async def test_hook(service_id: str, hook_id: str, scope: CurrentScope, resources: CurrentResources) -> HookTest:
    """Send a signed test delivery to the hook's address, as its Git host would. Nothing is deployed."""
    return await operations.test_hook(resources, scope, service_id, hook_id)


@router.post(
    "/services/{service_id}/hooks/{hook_id}/replay",
    summary="Send a push through a hook again",
    response_model=PushAnswer,
)
@guard("service.deploy", tenant="service_id", rate="write", audit="PushReplayed")
async def replay_push(
    service_id: str, hook_id: str, body: Replay, request: Request, session: WriteSession, scope: CurrentScope
) -> JSONResponse:
    """Decide about a push again, by the present settings. 202: a deployment follows; 200: none, with the reason."""
    resources: Resources = request.app.state.resources
    push = await actions.replay_push(session, resources, scope, service_id, hook_id, body.push_id)
    await record(session, Fact("PushReplayed", push.team_id, queries.HOOK, hook_id, {"push_id": push.id}))
    answer = PushAnswer(push_id=push.id, accepted=push.is_accepted, decision=push.decision)
    return JSONResponse(answer.model_dump(mode="json"), 202 if push.is_accepted else 200)


@router.delete("/services/{service_id}/hooks/{hook_id}", status_code=204, summary="Delete a push hook")
@guard("hook.delete", tenant="service_id", rate="write", audit="HookDeleted")
async def delete_hook(service_id: str, hook_id: str, session: WriteSession, scope: CurrentScope) -> None:
    """Delete a push hook. Pushes that still arrive at it are refused."""
    await actions.delete_hook(session, scope, service_id, hook_id)


@router.get("/services/{service_id}/hooks/{hook_id}/pushes", response_model=Page[PushOut], summary="List what came in")
@guard("hook.read", tenant="service_id")
async def list_pushes(
    service_id: str,
    hook_id: str,
    session: ReadSession,
    scope: CurrentScope,
    wanted: Annotated[PushFilter, Query()],
) -> Page[Push]:
    """List the deliveries of the last 30 days with the decision about each, newest first; refused ones too."""
    await queries.get_hook(session, scope, service_id, hook_id)
    return await queries.list_pushes(session, scope, hook_id, wanted)


@router.post(
    "/hooks/{hook_id}",
    summary="Report a push",
    openapi_extra=_BODY,
    responses={202: {"model": PushAnswer}},
    max_body_size=ANY_SIZE,  # a larger body is refused in here, so that the reason is stored
)
@guard(PUBLIC, rate="webhook", audit="PushAccepted")
async def receive_push(
    hook_id: str,
    request: Request,
    response: Response,
    session: WriteSession,
    resources: CurrentResources,
    token: Annotated[
        str, Query(max_length=200, description="For Gerrit: the secret, which it can send nowhere else.")
    ] = "",
) -> PushAnswer:
    """Receive a delivery from a Git host. 202: stored, and a deployment follows; 200: stored, but nothing to do."""
    hook, delivery = await _admit(request, resources, hook_id, token)
    limit_to_team(session, hook.team_id)
    count = partial(_count, request, hook.provider)
    on_behalf = await actions.find_push_origin(session, hook)
    come_from = origin.set(replace(on_behalf, ip=request.state.peer, request_id=request.state.request_id))
    try:
        push, is_new = await actions.receive_push(session, resources, hook, delivery)
    finally:
        origin.reset(come_from)
    if not is_new:
        count("repeated")
        return PushAnswer(push_id=push.id, accepted=False, decision="this delivery came before; nothing to do")
    count("deployed" if push.is_accepted else "left_alone")
    response.status_code = 202 if push.is_accepted else 200
    return PushAnswer(push_id=push.id, accepted=push.is_accepted, decision=push.decision)


def _count(request: Request, provider: str, result: Result) -> None:
    request.app.state.hook_deliveries.labels(provider, result).inc()


async def _admit(request: Request, resources: Resources, hook_id: str, token: str) -> tuple[Hook, SignedPush]:
    """Authenticate and parse a delivery. The reason of a refusal is stored, so that the hook's page can show it."""
    async with resources.db.read() as session:
        found = await queries.open_hook(session, resources.secret_box, hook_id)
    hook, secret = found or (None, _NOBODY)
    provider = hook.provider if hook is not None else "generic"
    try:
        body = await _read_body(request, provider, token)
    except PayloadTooLarge as error:
        _count(request, provider if hook is not None else UNKNOWN, "invalid")
        await _refuse(request, resources, hook_id, error.message)
        raise
    values, at = request.headers.getlist, resources.clock.now()
    is_signed = await asyncio.to_thread(pushes.is_signed, provider, secret, values, body, at, token)
    if hook is None or not is_signed:
        _count(request, provider if hook is not None else UNKNOWN, "unsigned")
        await _refuse(request, resources, hook_id, pushes.explain_mismatch(provider, values, at, token))
        raise NotSignedIn(
            "the signature does not match this hook",
            hint="Check address, provider and secret of the hook in the settings of the Git host.",
        )
    request.app.state.gate.spend_push(request, hook_id, is_signed=True)
    try:
        return hook, await asyncio.to_thread(_judge, request, hook, body)
    except BadInput as error:
        _count(request, provider, "invalid")
        await _note_refusal(resources, hook_id, error.message)
        raise


async def _refuse(request: Request, resources: Resources, hook_id: str, reason: str) -> None:
    """Store why an unsigned delivery was refused, within the rate limit for such rows. Raises RateLimited above it."""
    if request.app.state.gate.spend_push(request, hook_id, is_signed=False):
        await _note_refusal(resources, hook_id, reason)


async def _note_refusal(resources: Resources, hook_id: str, reason: str) -> None:
    async with resources.db.write() as session:
        await actions.note_refusal(session, hook_id, reason)


async def _read_body(request: Request, provider: str, token: str) -> bytes:
    """Read at most 25 MiB, whatever Content-Length says; return nothing when no header could prove the sender."""
    if not may_be_signed(provider, request.headers.getlist, token):
        return b""
    said = request.headers.get("content-length", "")
    body, gate = bytearray(), request.app.state.gate
    try:
        _check_size(int(said) if said.isdecimal() else 0)
        stream = request.stream()
        async for chunk in stream:
            body += chunk
            if len(body) > _LARGE:
                break
        else:
            return bytes(body)
        # One per address at a time, and only for seconds: slow senders must not occupy the slots of signed deliveries.
        async with gate.large_push_of(request), gate.large_pushes, asyncio.timeout(_LARGE_SECONDS):
            async for chunk in stream:
                body += chunk
                _check_size(len(body))
    except TimeoutError:
        hint = "Push fewer commits at once, or deploy by hand."
        raise BodyCutOff(f"the push did not arrive within {_LARGE_SECONDS} s", hint=hint) from None
    except ClientDisconnect:
        raise BodyCutOff("the request was cut off before its end", hint="Send it again.") from None
    return bytes(body)


def _check_size(size: int) -> None:
    if size > pushes.MAX_BODY_BYTES:
        raise PayloadTooLarge("a push may have 25 MiB at most", hint="Push fewer commits at once, or deploy by hand.")


def _judge(request: Request, hook: Hook, body: bytes) -> SignedPush:
    values, content_type = request.headers.getlist, request.headers.get("content-type", "")
    digest = hashlib.sha256(pushes.signed_content(hook.provider, body, content_type)).hexdigest()
    payload = pushes.parse_body(body, content_type)
    event = pushes.name_event(hook.provider, values, payload)
    changes = pushes.read_changes(hook.provider, event, payload)
    decision = pushes.decide(changes, event, branch=hook.branch, watch_paths=hook.watch_paths)
    name = pushes.name_delivery(hook.provider, values, digest, read_identity(hook.provider, payload, changes))
    return SignedPush(name, digest, event, decision, pushes.read_places(hook.provider, payload))
