"""Makes the proxy serve the routes of the database: one apply at a time, shared by all waiting callers.

A route that the proxy refuses does not stop the others.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import ProviderError, ProviderUnavailable, RequestRefused
from orca.events import Fact, Origin, origin, record
from orca.features.routing.actions.routes import follow_base_domain
from orca.features.routing.events import names_of
from orca.features.routing.models import Route
from orca.features.routing.operations.quarantine import quarantine_of
from orca.features.routing.queries import has_broken, list_pending, list_retried, list_stale_names
from orca.features.routing.rendering import MARKER_SUFFIX, render_proxy_config
from orca.kit.fence import fence
from orca.kit.text import join
from orca.resources import Resources
from orca.sdk.proxies import Proxy, ProxyConfig, ProxyRoute, ProxyState
from orca.systems import LOCAL

log = structlog.get_logger("orca.routing")
LOCK_SECONDS = 60.0
_LOCK_POLL = 0.02
_MOST_CHANGES_TOLD = 20

Refusals = Mapping[str, RequestRefused]
"""Route id -> why the proxy does not serve it."""


async def apply_routes(
    resources: Resources, retried: Collection[str] = (), *, systems: Collection[str] | None = None
) -> Refusals:
    """Apply the committed routes to the proxies of these systems (default: all); call it outside transactions.

    A proxy that does not run is started. With the default, a system other than `local` that fails is only logged.

    A route that the proxy refuses is marked `broken`, returned in the result, and does not stop the others. From then
    on only what is already served of it stays, and it is tried again when its id is in `retried`. Raises
    ProviderUnavailable when the proxy cannot run (with the process that holds its port), RequestRefused when the
    configuration as a whole was refused.
    """

    async def apply(system_id: str) -> Refusals:
        return await resources.systems.state(system_id, _ApplyQueue).apply(resources, system_id, retried)

    if systems is None:
        found = list((await resources.systems.on_each(apply)).values())
    else:
        found = [await apply(system_id) for system_id in systems]
    return {route_id: error for refused in found for route_id, error in refused.items()}


async def check_drift(resources: Resources) -> None:
    """Compare what each proxy serves with the database, repair differences, and retry broken routes that are due.

    A repair applies Orca's routes, never the proxy's defaults. When the proxy cannot be observed, nothing is changed.
    """
    async with resources.db.read() as session:
        stale = await list_stale_names(session, resources.settings)
    if stale:
        async with resources.db.write() as session:
            await follow_base_domain(session, resources.settings)
    await resources.systems.on_each(partial(_check_system, resources))


async def _check_system(resources: Resources, system_id: str) -> None:
    try:
        proxy = await resources.systems.proxy(system_id)
        state = await proxy.inspect()
        if state.running and not quarantine_of(resources, system_id).is_sure:  # first check: new settings or version
            await _start(proxy)
            state = await proxy.inspect()
        if not state.running:
            log.warning("proxy_not_running", system=system_id)
            await apply_routes(resources, systems=[system_id])
            return
        changes, retried = await _find_changes(resources, system_id, proxy, state)
        if changes or retried:
            await apply_routes(resources, retried, systems=[system_id])
        if changes and state.drifted:
            await _tell_drift(resources, changes)
    except ProviderError as error:
        log.warning("routes_not_checked", system=system_id, reason=error.message, hint=error.hint)


class _ApplyQueue:
    """Serialises applies: each caller gets one that begins after its call; calls during an apply share the next."""

    def __init__(self) -> None:
        self._running = asyncio.Lock()
        self._next: asyncio.Task[Refusals] | None = None
        self._retried: set[str] = set()

    async def apply(self, resources: Resources, system_id: str, retried: Collection[str]) -> Refusals:
        self._retried.update(retried)
        if self._next is None:
            self._next = asyncio.create_task(self._run(resources, system_id))
        return await asyncio.shield(self._next)  # a cancelled caller must not cancel it for the others

    async def _run(self, resources: Resources, system_id: str) -> Refusals:
        origin.set(Origin())  # it runs for all waiting callers, not for the first one
        fence.set(None)  # and it applies committed state, not one task's work
        async with self._running:
            self._next = None
            retried, self._retried = self._retried, set()
            name = "routes.lock" if system_id == LOCAL else f"routes-{system_id}.lock"
            async with _machine_lock(resources.settings.data_dir / name):
                return await _apply(resources, system_id, retried)


@asynccontextmanager
async def _machine_lock(path: Path) -> AsyncIterator[None]:
    """Keep other processes of this machine from overwriting a newer state with an older one."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        await _wait_for_lock(descriptor)
        yield
    finally:
        os.close(descriptor)


async def _wait_for_lock(descriptor: int) -> None:
    try:
        async with asyncio.timeout(LOCK_SECONDS):
            while not _try_lock(descriptor):  # noqa: ASYNC110 - another process's lock sets no event here
                await asyncio.sleep(_LOCK_POLL)
    except TimeoutError as error:
        message = f"another process has been changing the proxy for {LOCK_SECONDS:g} s"
        raise ProviderUnavailable(message, hint="Try again; if it stays so, restart Orca.") from error


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _apply(resources: Resources, system_id: str, retried: Collection[str]) -> Refusals:
    proxy, quarantine = await resources.systems.proxy(system_id), quarantine_of(resources, system_id)
    earlier = await _find_served(resources, system_id, proxy, is_needed=not quarantine.is_sure)
    async with resources.db.snapshot() as session:
        revisions = {row.id: row.revision for row in await session.execute(select(Route.id, Route.revision))}
        config = await render_proxy_config(session, resources.secret_box, system_id, earlier, retried)
    if not quarantine.is_sure:
        await quarantine.look(resources, system_id, earlier, config)
    async with resources.db.read() as session:
        config = await quarantine.keep(session, config)
        tried = await list_pending(session, system_id) | set(retried)
    refused = await _apply_what_works(proxy, config, retried)
    if refused or tried:
        served = {route.id for route in config.routes} & tried - refused.keys()
        await _note_outcome(resources, served, refused, tried, revisions)
    return refused


async def _find_served(resources: Resources, system_id: str, proxy: Proxy, *, is_needed: bool) -> ProxyConfig | None:
    """Return what the proxy serves, when it is needed: for the first apply, and while there are broken routes."""
    async with resources.db.read() as session:
        if not is_needed and not await has_broken(session, system_id):
            return None
    state = await proxy.inspect()
    if is_needed or not state.running:  # first apply of this process: settings or version may be new
        await _start(proxy)
        state = await proxy.inspect()
    return state.config


async def _apply_what_works(proxy: Proxy, desired: ProxyConfig, retried: Collection[str]) -> dict[str, RequestRefused]:
    """Apply; replace each refused route by its served form, or leave it out when that is refused as well."""
    before: dict[str, list[ProxyRoute]] = {}
    refused: dict[str, RequestRefused] = {}
    while True:
        try:
            await _apply_started(proxy, desired)
        except RequestRefused as error:
            blamed = _find_blamed(error, retried)
            wanted = _by_route(desired)
            if not blamed.keys() <= wanted.keys():
                raise
            if not refused:
                before = _by_route((await proxy.inspect()).config)
            for culprit in blamed:
                refused.setdefault(culprit, blamed[culprit])
                del wanted[culprit]
                wanted[culprit] = before.pop(culprit, [])  # last: on a conflict with others, this one is blamed
            desired = replace(desired, routes=tuple(route for group in wanted.values() for route in group))
        else:
            return refused


def _find_blamed(error: RequestRefused, retried: Collection[str]) -> dict[str, RequestRefused]:
    """Return the routes that a refusal blames.

    Besides the first one, only those that are being retried: they are then handled in one attempt. The others may be
    accepted once the first one is gone.
    """
    blamed = {
        name.removesuffix(MARKER_SUFFIX): RequestRefused(message, hint=error.hint)
        for name, message in error.details.get("also", {}).items()
    }
    blamed = {name: refusal for name, refusal in blamed.items() if name in retried}
    return blamed | {str(error.details.get("route_id", "")).removesuffix(MARKER_SUFFIX): error}


async def _apply_started(proxy: Proxy, desired: ProxyConfig) -> None:
    """Apply; when the proxy does not run, start it and apply again."""
    try:
        await proxy.apply(desired)
    except ProviderUnavailable:
        if (await proxy.inspect()).running:
            raise
        await _start(proxy)
        await proxy.apply(desired)


async def _start(proxy: Proxy) -> None:
    try:
        await proxy.start()
    except RequestRefused as error:  # a port is taken: no route is to blame, and it may be free later
        raise ProviderUnavailable(error.message, hint=error.hint) from error


def _by_route(config: ProxyConfig | None) -> dict[str, list[ProxyRoute]]:
    """Group what the proxy serves by our route: the route itself and, for some, its marker."""
    grouped: dict[str, list[ProxyRoute]] = {}
    for route in config.routes if config is not None else ():
        grouped.setdefault(route.id.removesuffix(MARKER_SUFFIX), []).append(route)
    return grouped


async def _note_outcome(
    resources: Resources, served: set[str], refused: Refusals, tried: Collection[str], revisions: Mapping[str, int]
) -> None:
    """Store which routes are served and which are broken, except for rows that changed since they were read."""
    async with resources.db.write() as session:
        query = select(Route).where(Route.id.in_({*served, *refused.keys()})).with_for_update()
        for route in (await session.scalars(query)).all():
            if route.revision != revisions.get(route.id):
                continue
            if route.id in served:
                route.state, route.problem, route.refusals, route.refused_at = "live", "", 0, None
            elif route.state != "broken" or route.id in tried:  # else only its earlier form was applied
                await _note_refusal(session, route, refused[route.id])


async def _note_refusal(session: AsyncSession, route: Route, error: RequestRefused) -> None:
    """Mark the route as broken; the event is recorded only for the first of several refusals in a row."""
    route.state, route.problem = "broken", join(error.message, error.hint)
    route.refusals, route.refused_at = route.refusals + 1, now()
    if route.refusals == 1:
        await record(session, await refusal_of(session, route, error))


async def refusal_of(session: AsyncSession, route: Route, error: RequestRefused) -> Fact:
    """Return the event for a route that the proxy does not serve."""
    payload = await names_of(session, route) | {"reason": error.message}
    return Fact("RouteRefused", route.team_id, "route", route.id, payload, outcome="failed")


async def _find_changes(
    resources: Resources, system_id: str, proxy: Proxy, state: ProxyState
) -> tuple[list[str], list[str]]:
    """Return the differences between the proxy and the database, and the broken routes that are due for a retry."""
    async with resources.db.snapshot() as session:
        desired = await render_proxy_config(session, resources.secret_box, system_id, state.config)
    quarantine = quarantine_of(resources, system_id)
    await quarantine.look(resources, system_id, state.config, desired)
    async with resources.db.read() as session:
        desired = await quarantine.keep(session, desired)
        pending, retried = await list_pending(session, system_id), await list_retried(session, system_id)
    changes = [change.describe() for change in proxy.plan(state.config, desired)]
    if not changes and state.drifted:
        changes = ["the running configuration is not the one that was applied"]
    return changes or (["a route was not tried yet"] if pending else []), retried


async def _tell_drift(resources: Resources, changes: list[str]) -> None:
    log.warning("proxy_repaired", changes=changes[:_MOST_CHANGES_TOLD])
    async with resources.db.write() as session:
        payload = {"changes": changes[:_MOST_CHANGES_TOLD], "count": len(changes)}
        await record(session, Fact("ProxyRepaired", payload=payload))
