"""Sends one message to the address of a webhook, and stores what came of it."""

import asyncio
import ssl
import time
from datetime import timedelta
from functools import cache, partial
from http import HTTPStatus

import httpx
from sqlalchemy import update

from orca import __version__
from orca.db import now
from orca.events import notifier
from orca.features.notifications.actions import Try, store_try
from orca.features.notifications.models import Delivery, Webhook
from orca.features.notifications.queries import find_outgoing
from orca.features.notifications.rules import PING, allows, explain_status, sign
from orca.kit.clock import format_instant
from orca.kit.crypto import Undecipherable
from orca.kit.text import shorten
from orca.resources import Resources
from orca.sdk.egress import AddressNotAllowed, PinnedTransport, Unresolved

SECONDS = 15.0
"""How long a receiver has, from the first look at its name to the end of its answer."""
_ANSWER_BYTES = 16 << 10
"""So much of an answer is read, so that an ordinary receiver may finish; none of it is kept."""
_UNREADABLE = "The secret cannot be decrypted with the key of this instance: rotate it."


async def try_delivery(resources: Resources, delivery_id: str, pause: timedelta | None) -> str | None:
    """Send a delivery once and store the result. Return when the next try is due; None when there is none.

    A crash between the two sends it again, with the same `webhook-id`.
    """
    async with resources.db.read() as session:
        found = await find_outgoing(session, delivery_id)
    if found is None:
        return None
    row, webhook = found
    done = Try(problem=webhook.problem or "The webhook is disabled.")
    if webhook.is_enabled or row.type == PING:
        done = await _send(resources, row, webhook)
    return await _store(resources, delivery_id, pause, done)


async def note_failure(resources: Resources, delivery_id: str, pause: timedelta | None, problem: str) -> str | None:
    """Store a try that failed for a reason of Orca's own; returns what `try_delivery` returns."""
    return await _store(resources, delivery_id, pause, Try(problem=problem))


async def _store(resources: Resources, delivery_id: str, pause: timedelta | None, done: Try) -> str | None:
    async with resources.db.write() as session:
        due = await store_try(session, delivery_id, done, pause)
    notifier.notify("deliveries")
    return None if due is None else format_instant(due)


async def forget_replaced_secrets(resources: Resources) -> None:
    """Delete replaced secrets whose time is over."""
    async with resources.db.write() as session:
        over = update(Webhook).where(Webhook.replaced_until <= now())
        await session.execute(over.values(replaced_sealed=None, replaced_until=None))


async def _send(resources: Resources, row: Delivery, webhook: Webhook) -> Try:
    try:
        secrets = _open_secrets(resources, webhook)
    except Undecipherable:
        return Try(problem=_UNREADABLE)
    timestamp = int(resources.clock.now().timestamp())
    headers = {
        "content-type": "application/json", "user-agent": f"Orca/{__version__}", "webhook-id": row.id,
        "webhook-timestamp": str(timestamp), "webhook-signature": sign(secrets, row.id, timestamp, row.body),
    }  # fmt: skip
    allow = partial(
        allows,
        is_plain=not webhook.url.lower().startswith("https:"),
        private_networks=resources.settings.webhook.private_networks,
    )
    began = time.monotonic()
    status, problem = await _post(webhook.url, headers, row.body.encode(), PinnedTransport(allow, _trust()))
    return Try(status, int((time.monotonic() - began) * 1000), problem)


def _open_secrets(resources: Resources, webhook: Webhook) -> list[str]:
    """Return the secrets that sign a message: the present one, then one that was replaced not long ago."""
    sealed = [webhook.sealed]
    if webhook.replaced_sealed and webhook.replaced_until and now() < webhook.replaced_until:
        sealed.append(webhook.replaced_sealed)
    return [resources.secret_box.unseal(secret, webhook.secret_place).decode() for secret in sealed]


async def _post(url: str, headers: dict[str, str], body: bytes, transport: PinnedTransport) -> tuple[int | None, str]:
    """Return the status of the answer, and why the message was not taken; redirects are not followed."""
    try:
        async with (
            asyncio.timeout(SECONDS),
            httpx.AsyncClient(transport=transport, timeout=SECONDS, follow_redirects=False) as client,
            client.stream("POST", url, headers=headers, content=body) as response,
        ):
            status = response.status_code
            await _read_some(response)
    except (AddressNotAllowed, Unresolved) as error:
        return None, f"{error}."
    except (TimeoutError, httpx.TimeoutException):
        return None, f"The receiver did not answer within {SECONDS:g} s."
    except httpx.ConnectError as error:
        return None, f"The receiver cannot be reached: {shorten(str(error), 200)}."
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:  # what it sent may be in their text
        return None, f"The receiver broke off ({type(error).__name__})."
    return status, explain_status(status)


async def _read_some(response: httpx.Response) -> None:
    """Read an answer as it arrives, compressed or not, up to the limit."""
    if response.status_code == HTTPStatus.NO_CONTENT:
        return
    read = 0
    async for chunk in response.aiter_raw():
        read += len(chunk)
        if read >= _ANSWER_BYTES:
            return


@cache
def _trust() -> ssl.SSLContext:
    """The authorities of this machine; reading them takes a moment."""
    return ssl.create_default_context()
