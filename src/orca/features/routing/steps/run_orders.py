"""Orders due certificates and serves them. The proxy is not involved in orders: no change of a route disturbs one."""

import asyncio
import os
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING
from weakref import WeakSet

import structlog

from orca.db import DATABASE_AWAY
from orca.errors import ProviderError
from orca.features.routing.models import DnsCredential, Route
from orca.features.routing.operations import apply_routes
from orca.features.routing.operations.orders import (
    give_up_order,
    keep_certificate,
    list_due,
    open_account_key,
)
from orca.features.routing.queries import credential_for, find_systems, list_zone_credentials
from orca.features.routing.rules.hostnames import is_wildcard
from orca.features.routing.rules.orders import AccountLost, OrderFailed
from orca.features.routing.steps.dns_records import Prover
from orca.kit.cancellation import shield_until_done
from orca.resources import Resources
from orca.sdk.proxies import SupportsHttpChallenges
from orca.systems import LOCAL

if TYPE_CHECKING:  # saves memory on instances without public names
    from orca.features.routing.steps.order_certificate import Authority, Issued, Solver

log = structlog.get_logger("orca.routing")
AT_ONCE = 10
"""Concurrent orders proven over HTTP: these end quickly."""
DNS_AT_ONCE, DNS_AT_ONCE_OF_TEAM = 10, 3
"""Orders proven by DNS can take minutes, so they have threads of their own."""
LOOK_SECONDS = 5.0
KEEP_SECONDS = 600.0
"""How long a certificate waits for the database."""


async def run_orders(resources: Resources) -> None:
    """Order certificates for all due names, a few at a time, and serve each as soon as it is issued.

    Returns when no order is left. Names that become due meanwhile start without waiting for slow orders.
    """
    due = await list_due(resources)
    authority = await _open_authority(resources) if due else None
    if authority is None:
        return
    orders = _Orders(resources, authority)
    try:
        await orders.start(due)
        while await orders.wait():
            with suppress(*DATABASE_AWAY):
                await orders.start(await list_due(resources))
    finally:
        await orders.stop()


class _Orders:
    """Running orders by name without `*.`: a wildcard and its base need records of one name, so they run in turn."""

    def __init__(self, resources: Resources, authority: "Authority") -> None:
        self._resources = resources
        self._authority = authority
        self._running: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._slots_of_team = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(DNS_AT_ONCE_OF_TEAM))
        # Not the loop's own threads: publishing a proof needs one of those, and waiting orders would occupy them all.
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="order")
        self._dns_threads = ThreadPoolExecutor(DNS_AT_ONCE, thread_name_prefix="dns-order")
        self._replacing = asyncio.Lock()
        self._provers = WeakSet[Prover]()
        self._stopped = threading.Event()

    async def start(self, due: Mapping[str, str]) -> None:
        """Start orders for these names (name -> team), except those that already run."""
        async with self._resources.db.read() as session:
            credentials = await list_zone_credentials(session, *due.values())
        for base, hostnames in groupby(sorted(due, key=_base), _base):
            if base not in self._running:
                wanted = {hostname: credential_for(hostname, due[hostname], credentials) for hostname in hostnames}
                self._running[base] = asyncio.create_task(self._order_all(wanted, due))

    async def wait(self) -> bool:
        """Wait for all orders, at most `LOOK_SECONDS`; return whether some still run. Raises NotOwner."""
        if self._running:
            await asyncio.wait(self._running.values(), timeout=LOOK_SECONDS)
        for base, task in list(self._running.items()):
            if task.done():
                del self._running[base]
                error = None if task.cancelled() else task.exception()
                if isinstance(error, Exception):
                    log.error("order_not_recorded", hostname=base, exc_info=error)
                elif error is not None:
                    raise error
        return bool(self._running)

    async def stop(self) -> None:
        """Cancel running orders. Threads cannot be cancelled: they check the event before each request."""
        self._stopped.set()
        for threads in (self._threads, self._dns_threads):
            threads.shutdown(wait=False, cancel_futures=True)
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        for prover in list(self._provers):
            await prover.leave()

    async def _order_all(self, wanted: Mapping[str, DnsCredential | None], teams: Mapping[str, str]) -> None:
        for hostname, credential in wanted.items():
            async with self._slots if credential is None else self._slots_of_team[credential.team_id]:
                is_new = await self._order(hostname, teams[hostname], credential)
            if is_new:
                await _serve(self._resources, hostname)

    async def _order(self, hostname: str, team_id: str, credential: DnsCredential | None) -> bool:
        """Run one order; return whether a certificate was issued."""
        authority = self._authority
        try:
            try:
                issued = await self._ask(authority, hostname, credential)
            except AccountLost:
                async with self._replacing:  # of several orders that find it lost, only the first replaces it
                    if self._authority is authority:
                        self._authority = await _replace_account(self._resources, authority)
                issued = await self._ask(self._authority, hostname, credential)
        except OrderFailed as failure:
            await give_up_order(self._resources, hostname, failure)
            return False
        except DATABASE_AWAY:
            raise
        except Exception as error:
            log.exception("order_crashed", hostname=hostname)
            reason = f"unexpected {type(error).__name__}; the server log says more under order_crashed"
            await give_up_order(self._resources, hostname, OrderFailed("unexpected", reason))
            return False
        if issued is not None:
            await self._keep(team_id, hostname, issued)
        return issued is not None

    async def _keep(self, team_id: str, hostname: str, issued: "Issued") -> None:
        """Authorities count what they issued, so it is not thrown away because the database is away or work stops."""
        until = time.monotonic() + KEEP_SECONDS
        while True:
            try:
                keeping = keep_certificate(self._resources, team_id, hostname, issued.chain, issued.private_key)
                return await shield_until_done(keeping)
            except DATABASE_AWAY as error:
                if time.monotonic() >= until:
                    raise
                log.warning("certificate_waits_for_database", hostname=hostname, reason=type(error).__name__)
                await asyncio.sleep(1)

    async def _ask(self, authority: "Authority", hostname: str, credential: DnsCredential | None) -> "Issued | None":
        from orca.features.routing.steps.order_certificate import order_certificate  # noqa: PLC0415 - see above

        loop, threads = asyncio.get_running_loop(), self._dns_threads if credential else self._threads
        solver = await self._solver(hostname, credential)
        order = partial(order_certificate, authority, hostname, solver, self._stopped.is_set)
        return await loop.run_in_executor(threads, copy_context().run, order)

    async def _solver(self, hostname: str, credential: DnsCredential | None) -> "Solver":
        from orca.features.routing.steps.solve_challenge import DnsSolver, HttpSolver  # noqa: PLC0415 - see above

        loop = asyncio.get_running_loop()
        if credential is not None:
            prover = Prover(self._resources, credential)
            self._provers.add(prover)
            return DnsSolver(prover, loop, self._stopped.is_set)
        if is_wildcard(hostname):
            reason = f"no DNS credential is for {_base(hostname)} any more; add one (`orc dns add`)"
            raise OrderFailed("unproven", reason)
        async with self._resources.db.read() as session:
            systems = await find_systems(session, Route.hostname == hostname)
        proxy = await self._resources.systems.proxy(systems[0] if systems else LOCAL)
        if not isinstance(proxy, SupportsHttpChallenges):
            raise OrderFailed("unproven", "the proxy cannot show it over HTTP; add a DNS credential (`orc dns add`)")
        return HttpSolver(proxy, loop)


async def _open_authority(resources: Resources) -> "Authority | None":
    """Return the configured authority with the key of our account, which is created on first use.

    None while the root certificate of a private authority cannot be read.
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


async def _replace_account(resources: Resources, authority: "Authority") -> "Authority":
    """Return the authority with the key of a new account."""
    from orca.features.routing.steps.order_certificate import new_key  # noqa: PLC0415 - see above

    log.warning("acme_account_lost", step="another account is made")
    async with resources.db.write() as session:
        key = await open_account_key(session, resources, new_key, lost=authority.account_key)
    return replace(authority, account_key=key)


def _base(hostname: str) -> str:
    return hostname.removeprefix("*.")


async def _serve(resources: Resources, hostname: str) -> None:
    async with resources.db.read() as session:
        systems = await find_systems(session, Route.hostname == hostname)
    try:
        await apply_routes(resources, systems=systems)
    except ProviderError as error:
        log.warning("certificate_served_later", hostname=hostname, reason=error.message)
