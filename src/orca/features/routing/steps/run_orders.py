"""Ordering what is due, and serving what comes. The proxy has no part in it: no change of a route disturbs an order."""

import asyncio
import os
import threading
from typing import TYPE_CHECKING, cast

import structlog

from orca.errors import ProviderError
from orca.features.routing.actions import apply_routes
from orca.features.routing.actions.orders import (
    give_up_order,
    keep_certificate,
    list_due,
    note_held,
    open_account_key,
)
from orca.features.routing.rules.orders import OrderFailed
from orca.resources import Resources
from orca.sdk.proxies import SupportsHttpChallenges

if TYPE_CHECKING:  # what orders needs memory that an instance without public names never pays
    from orca.features.routing.steps.order_certificate import Authority

log = structlog.get_logger("orca.routing")
AT_ONCE = 10


async def run_orders(resources: Resources) -> None:
    """Order certificates for all names that are due, some at a time, and serve what comes."""
    await note_held(resources)
    due = await list_due(resources)
    if not due or not isinstance(resources.proxy, SupportsHttpChallenges):
        return
    authority = await _open_authority(resources)
    if authority is None:
        return
    stopped, slots = threading.Event(), asyncio.Semaphore(AT_ONCE)

    async def order(hostname: str) -> None:
        async with slots:
            is_new = await _order(resources, authority, hostname, stopped)
        if is_new:
            await _serve(resources, hostname)

    try:
        await asyncio.gather(*(order(hostname) for hostname in due))
    finally:
        stopped.set()  # threads cannot be cancelled: they look at this before each request


async def _open_authority(resources: Resources) -> "Authority | None":
    """Where certificates are ordered, and the key of our account there, which is made when it is first needed.

    None while the root of a private authority cannot be read.
    """
    from orca.features.routing.steps.order_certificate import Authority, Binding, new_key  # noqa: PLC0415 - see above

    acme = resources.settings.acme
    if acme.ca_root is not None and not await asyncio.to_thread(os.access, acme.ca_root, os.R_OK):
        log.error("acme_root_unreadable", path=str(acme.ca_root))
        return None
    async with resources.db.write() as session:
        key = await open_account_key(session, resources, new_key)
    hmac_key = acme.eab_hmac_key.get_secret_value() if acme.eab_hmac_key else ""
    binding = Binding(acme.eab_key_id, hmac_key) if acme.eab_key_id and hmac_key else None
    root = str(acme.ca_root) if acme.ca_root is not None else None
    return Authority(acme.directory_url, key, acme.email, root, binding)


async def _order(resources: Resources, authority: "Authority", hostname: str, stopped: threading.Event) -> bool:
    """Whether a certificate came."""
    from orca.features.routing.steps.order_certificate import order_certificate  # noqa: PLC0415 - see above
    from orca.features.routing.steps.solve_challenge import HttpSolver  # noqa: PLC0415

    solver = HttpSolver(cast("SupportsHttpChallenges", resources.proxy), asyncio.get_running_loop())
    try:
        issued = await asyncio.to_thread(order_certificate, authority, hostname, solver, stopped.is_set)
    except OrderFailed as failure:
        await give_up_order(resources, hostname, failure)
        return False
    if issued is not None:
        await keep_certificate(resources, hostname, issued.chain, issued.private_key)
    return issued is not None


async def _serve(resources: Resources, hostname: str) -> None:
    try:
        await apply_routes(resources)
    except ProviderError as error:
        log.warning("certificate_served_later", hostname=hostname, reason=error.message)
