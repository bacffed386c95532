"""Making the proxy serve what the database says: one apply at a time, shared by all who wait, never held up by one."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from weakref import WeakKeyDictionary

import structlog
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import Database, now
from orca.errors import ProviderError, ProviderUnavailable, RequestRefused
from orca.events import Fact, Origin, origin, record
from orca.features.routing.actions.quarantine import quarantine_of
from orca.features.routing.actions.routes import follow_base_domain
from orca.features.routing.events import names_of
from orca.features.routing.models import Route
from orca.features.routing.queries import (
    MARKER_SUFFIX,
    has_broken,
    list_pending,
    list_retried,
    list_stale_names,
    render_proxy_config,
)
from orca.kit.fence import fence
from orca.kit.text import join
from orca.resources import Resources
from orca.sdk.proxies import Proxy, ProxyConfig, ProxyRoute, ProxyState

log = structlog.get_logger("orca.routing")
LOCK_SECONDS = 60.0
_LOCK_POLL = 0.02
_MOST_CHANGES_TOLD = 20

Refusals = Mapping[str, RequestRefused]
"""Route id -> why the proxy does not serve it."""


async def apply_routes(resources: Resources, retried: Collection[str] = ()) -> Refusals:
    """Bring the proxy to what is committed now, starting it when it does not run; call it outside transactions.

    A route that the proxy refuses is marked `broken`, told in the result, and does not stop the others; it is left out
    from then on, but for what is served of it already, and tried again when its id is in `retried`. Raises
    ProviderUnavailable when the proxy cannot run (with the process that holds its port), RequestRefused when the
    configuration as a whole was refused.
    """
    return await _queues.setdefault(resources.db, _ApplyQueue()).apply(resources, retried)


async def check_drift(resources: Resources) -> None:
    """Look whether the proxy serves what it should, and repair it to what Orca wants, never to defaults. Broken routes
    whose pause is over are tried again.

    When nothing can be observed, nothing is changed.
    """
    async with resources.db.read() as session:
        stale = await list_stale_names(session, resources.settings)
    if stale:
        async with resources.db.write() as session:
            await follow_base_domain(session, resources.settings)
    try:
        state = await resources.proxy.inspect()
        if state.running and not quarantine_of(resources.db).is_sure:  # the first look: today's settings and version
            await _start(resources.proxy)
            state = await resources.proxy.inspect()
        if not state.running:
            log.warning("proxy_not_running")
            await apply_routes(resources)
            return
        changes, retried = await _find_changes(resources, state)
        if changes or retried:
            await apply_routes(resources, retried)
        if changes and state.drifted:
            await _tell_drift(resources, changes)
    except ProviderError as error:
        log.warning("routes_not_checked", reason=error.message, hint=error.hint)


class _ApplyQueue:
    """Whoever asks gets an apply that begins after the asking; those who ask while one runs share the next."""

    def __init__(self) -> None:
        self._running = asyncio.Lock()
        self._next: asyncio.Task[Refusals] | None = None
        self._retried: set[str] = set()

    async def apply(self, resources: Resources, retried: Collection[str]) -> Refusals:
        self._retried.update(retried)
        if self._next is None:
            self._next = asyncio.create_task(self._run(resources))
        return await asyncio.shield(self._next)  # one who gives up must not take it from the others

    async def _run(self, resources: Resources) -> Refusals:
        origin.set(Origin())  # it works for everybody who waits, not for the one who came first
        fence.set(None)  # and applies what is committed, whoever asked
        async with self._running:
            self._next = None
            retried, self._retried = self._retried, set()
            async with _machine_lock(resources.settings.data_dir / "routes.lock"):
                return await _apply(resources, retried)


_queues: WeakKeyDictionary[Database, _ApplyQueue] = WeakKeyDictionary()
"""One queue for each database, whose content is what gets applied."""


@asynccontextmanager
async def _machine_lock(path: Path) -> AsyncIterator[None]:
    """Keep other processes of this machine from putting an older state over a newer one."""
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


async def _apply(resources: Resources, retried: Collection[str]) -> Refusals:
    read_at = now()
    quarantine = quarantine_of(resources.db)
    earlier = await _find_served(resources, is_needed=not quarantine.is_sure)
    async with resources.db.read() as session:
        config = await render_proxy_config(session, resources.secret_box, earlier, retried)
    if not quarantine.is_sure:
        await quarantine.look(resources, earlier, config)
    async with resources.db.read() as session:
        config = await quarantine.keep(session, config)
        tried = await list_pending(session) | set(retried)
    refused = await _apply_what_works(resources.proxy, config, retried)
    if refused or tried:
        served = {route.id for route in config.routes} & tried - refused.keys()
        await _note_outcome(resources, served, refused, tried, read_at)
    return refused


async def _find_served(resources: Resources, *, is_needed: bool) -> ProxyConfig | None:
    """What the proxy serves, if that matters: to a first look, and to broken routes, of which what is served stays."""
    async with resources.db.read() as session:
        if not is_needed and not await has_broken(session):
            return None
    state = await resources.proxy.inspect()
    if is_needed or not state.running:  # at the first look of this process also for today's settings and version
        await _start(resources.proxy)
        state = await resources.proxy.inspect()
    return state.config


async def _apply_what_works(proxy: Proxy, desired: ProxyConfig, retried: Collection[str]) -> dict[str, RequestRefused]:
    """Apply; each route that is refused goes back to what it was, and is left out if that is refused as well."""
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
                wanted[culprit] = before.pop(culprit, [])  # last: should it not fit the others any more, they stay
            desired = replace(desired, routes=tuple(route for group in wanted.values() for route in group))
        else:
            return refused


def _find_blamed(error: RequestRefused, retried: Collection[str]) -> dict[str, RequestRefused]:
    """Whom a refusal names. Of further routes only those that broke before, so that they cost one look together; the
    others may be fine without the first.
    """
    blamed = {
        name.removesuffix(MARKER_SUFFIX): RequestRefused(message, hint=error.hint)
        for name, message in error.details.get("also", {}).items()
    }
    blamed = {name: refusal for name, refusal in blamed.items() if name in retried}
    return blamed | {str(error.details.get("route_id", "")).removesuffix(MARKER_SUFFIX): error}


async def _apply_started(proxy: Proxy, desired: ProxyConfig) -> None:
    """Apply, after starting the proxy if that is what it takes."""
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
    except RequestRefused as error:  # a port is taken: nobody's route is to blame, and later it may be free
        raise ProviderUnavailable(error.message, hint=error.hint) from error


def _by_route(config: ProxyConfig | None) -> dict[str, list[ProxyRoute]]:
    """What the proxy serves for each route of ours: the route and, for some, its marker."""
    grouped: dict[str, list[ProxyRoute]] = {}
    for route in config.routes if config is not None else ():
        grouped.setdefault(route.id.removesuffix(MARKER_SUFFIX), []).append(route)
    return grouped


async def _note_outcome(
    resources: Resources, served: set[str], refused: Refusals, tried: Collection[str], read_at: datetime
) -> None:
    """Write down what is served and what is broken, except of rows that changed since they were read."""
    async with resources.db.write() as session:
        won = update(Route).where(Route.id.in_(served), Route.state != "live", Route.updated_at <= read_at)
        await session.execute(won.values(state="live", problem="", refusals=0, refused_at=None))
        query = select(Route).where(Route.id.in_(refused.keys()), Route.updated_at <= read_at)
        for route in (await session.scalars(query)).all():
            if route.state != "broken" or route.id in tried:  # else it was not tried, only what stayed of it
                await _note_refusal(session, route, refused[route.id])


async def _note_refusal(session: AsyncSession, route: Route, error: RequestRefused) -> None:
    """Told once in a row, however often it is tried again."""
    route.state, route.problem = "broken", join(error.message, error.hint)
    route.refusals, route.refused_at = route.refusals + 1, now()
    if route.refusals == 1:
        await record(session, await refusal_of(session, route, error))


async def refusal_of(session: AsyncSession, route: Route, error: RequestRefused) -> Fact:
    """The event of a route that the proxy does not serve."""
    payload = await names_of(session, route) | {"reason": error.message}
    return Fact("RouteRefused", route.team_id, "route", route.id, payload, outcome="failed")


async def _find_changes(resources: Resources, state: ProxyState) -> tuple[list[str], list[str]]:
    """What is not as it should be, and which broken routes are due."""
    async with resources.db.read() as session:
        desired = await render_proxy_config(session, resources.secret_box, state.config)
    quarantine = quarantine_of(resources.db)
    await quarantine.look(resources, state.config, desired)
    async with resources.db.read() as session:
        desired = await quarantine.keep(session, desired)
        pending, retried = await list_pending(session), await list_retried(session)
    changes = [change.describe() for change in resources.proxy.plan(state.config, desired)]
    if not changes and state.drifted:
        changes = ["the running configuration is not the one that was applied"]
    return changes or (["a route was not tried yet"] if pending else []), retried


async def _tell_drift(resources: Resources, changes: list[str]) -> None:
    log.warning("proxy_repaired", changes=changes[:_MOST_CHANGES_TOLD])
    async with resources.db.write() as session:
        payload = {"changes": changes[:_MOST_CHANGES_TOLD], "count": len(changes)}
        await record(session, Fact("ProxyRepaired", payload=payload))
