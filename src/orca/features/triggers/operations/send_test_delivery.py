"""Sends a delivery to a hook's own address, to test that it is reached and that no proxy changes the body."""

import asyncio
import json
from http import HTTPStatus
from typing import Any

from orca.db import now
from orca.errors import Conflict
from orca.events import Fact, record
from orca.features.triggers import queries
from orca.features.triggers.pushes.samples import make_test_delivery
from orca.features.triggers.rules import hook_url
from orca.features.triggers.schemas import HookTest
from orca.kit.ids import new_id
from orca.kit.text import shorten
from orca.resources import Resources
from orca.web.guard import Scope

_SECONDS = 10.0
_ANSWER_BYTES = 65_536
_TRUST = "What the panel sees may differ from what the Git host sees: it is another place in the network."


async def test_hook(resources: Resources, scope: Scope, service_id: str, hook_id: str) -> HookTest:
    """Test a hook by its own address. Raises NotFound, and Conflict when its secret is missing."""
    async with resources.db.write() as session:
        hook = await queries.get_hook(session, scope, service_id, hook_id)
        opened = await queries.open_hook(session, resources.secret_box, hook.id)
        await record(session, Fact("HookTested", hook.team_id, queries.HOOK, hook.id, {"service_id": service_id}))
    if opened is None:
        raise Conflict("the secret of this hook is gone", hint="Make a new one: `orc hooks rotate`.")
    return await send_test_delivery(hook_url(resources.settings.panel_url, hook.id), hook.provider, opened[1])


async def send_test_delivery(url: str, provider: str, secret: str) -> HookTest:
    """Send the delivery and return the result. The address is the panel's own, which an administrator set."""
    import httpx  # noqa: PLC0415 - only here is it needed

    body, headers = make_test_delivery(provider, secret, new_id(), now())
    try:
        async with (
            asyncio.timeout(_SECONDS),
            httpx.AsyncClient(timeout=_SECONDS, follow_redirects=False) as client,
            client.stream("POST", url, content=body, headers=headers) as response,
        ):
            content = b""
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > _ANSWER_BYTES:
                    break
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:  # TimeoutError is an OSError
        reason = shorten(str(error) or type(error).__name__, 200)
        hint = "Check ORC_BASE_URL, the name in the DNS, the certificate, and what stands in between."
        return HookTest(url=url, arrived=False, status=None, detail=f"{url} was not reached: {reason}", hint=hint)
    return _read(url, response, content)


def _read(url: str, response: Any, content: bytes) -> HookTest:
    try:
        answer = json.loads(content)
    except ValueError:
        answer = None
    said = answer if isinstance(answer, dict) else {}
    status = int(response.status_code)
    if status == HTTPStatus.OK and isinstance(said.get("push_id"), str):
        return HookTest(
            url=url,
            arrived=True,
            status=status,
            detail="the hook took it: address and signature are right",
            hint=_TRUST,
        )
    if status == HTTPStatus.UNAUTHORIZED and said.get("code") == "not-signed-in":
        detail, hint = "it arrived, and the signature did not fit", "Something between changed the body or its headers."
    elif HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        detail, hint = "the address sends on to another one", "Git hosts do not follow: set ORC_BASE_URL to that one."
    else:
        detail = f"it answered {status}, not as Orca would"
        hint = "Something else may answer at this address: check ORC_BASE_URL and the proxy in front of the panel."
    return HookTest(url=url, arrived=False, status=status, detail=detail, hint=hint)
