"""Route changes requested by users: stored, tried on the proxy, and undone when the proxy refuses them."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy import select

from orca.db import now
from orca.errors import BadInput, ProviderError, ProviderUnavailable, RequestRefused
from orca.events import record
from orca.features.routing.actions.routes import ACME_PROGRESS, REFUSAL, create_route, delete_route, update_route
from orca.features.routing.models import Route
from orca.features.routing.operations.apply import apply_routes, refusal_of
from orca.features.routing.queries import find_system_of_route, find_systems, get_route, list_siblings
from orca.features.routing.schemas.routes import RouteIn, RouteOptionsIn, RoutePatch
from orca.features.services.queries import get_service
from orca.instance.tombstones import bury
from orca.kit.cancellation import shield_until_done
from orca.kit.text import join
from orca.resources import Resources
from orca.web.guard import Scope

log = structlog.get_logger("orca.routing")
_BCRYPT_ROUNDS = 10
"""About 70 ms, once per visitor: the proxy caches which passwords were right."""
_EDITABLE = (
    "hostname", "path_prefix", "port", "tls", "certificate_id", "redirect_to", "options", "is_automatic", *REFUSAL,
    *ACME_PROGRESS,
)  # fmt: skip
Snapshot = Mapping[str, Mapping[str, Any]]


async def publish_route(resources: Resources, scope: Scope, service_id: str, wanted: RouteIn) -> Route:
    """Create a route for a service. One that the proxy refuses is deleted again, and the reason raised.

    While the proxy cannot run, the route is kept `pending` with the reason as its problem.
    """
    hashes = await hash_passwords(wanted.options)
    async with resources.db.write() as session:
        service = await get_service(session, scope, service_id, lock=True)
        route = await create_route(session, resources.settings, service, wanted, hashes)
    await shield_until_done(_try_on_proxy(resources, route, {}))
    return await _read_again(resources, scope, route.id)


async def republish_route(resources: Resources, scope: Scope, route_id: str, patch: RoutePatch) -> Route:
    """Change a route; when the proxy refuses the change, the earlier route is restored and the reason raised."""
    hashes = await hash_passwords(patch.options) if patch.options is not None else {}
    async with resources.db.write() as session:
        route = await get_route(session, scope, route_id)
        before = _snapshot([route, *await list_siblings(session, patch.hostname or route.hostname, besides=route.id)])
        changed = await update_route(session, resources.settings, route, patch, hashes)
    await shield_until_done(_try_on_proxy(resources, route, {other.id: before[other.id] for other in changed}))
    return await _read_again(resources, scope, route.id)


async def retract_route(resources: Resources, scope: Scope, route_id: str) -> None:
    """Delete a route. It stops being served at once, or as soon as the proxy is reachable again."""
    async with resources.db.write() as session:
        route = await get_route(session, scope, route_id)
        system_id = await find_system_of_route(session, route)
        await delete_route(session, route)
    try:
        await apply_routes(resources, systems=[system_id])
    except ProviderUnavailable as error:
        log.warning("route_removed_later", route=route_id, reason=error.message)


async def hash_passwords(options: RouteOptionsIn) -> dict[str, str]:
    """Return the bcrypt hashes of the passwords in `options`, by user name."""
    given = {user.username: user.password.get_secret_value() for user in options.basic_auth if user.password}
    return {name: await asyncio.to_thread(_hash, password) for name, password in given.items()}


def _hash(password: str) -> str:
    import bcrypt  # noqa: PLC0415 - for the few who want passwords

    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(_BCRYPT_ROUNDS)).decode()


async def _try_on_proxy(resources: Resources, route: Route, before: Snapshot) -> None:
    """Apply; undo the change when it is refused. `before` is empty for a new route."""
    async with resources.db.read() as session:
        systems = await find_systems(session, Route.id.in_({route.id, *before}))
    try:
        refused = await apply_routes(resources, systems=systems)
    except ProviderUnavailable as error:
        await _keep_pending(resources, route, join(error.message, error.hint))
        return
    except RequestRefused as error:
        async with resources.db.write() as session:
            await record(session, await refusal_of(session, route, error))
        await _undo(resources, systems, route, before)
        raise
    blamed = next((refused[route_id] for route_id in (route.id, *before) if route_id in refused), None)
    if blamed is not None:
        await _undo(resources, systems, route, before)
        raise BadInput(blamed.message, hint=blamed.hint)


async def _undo(resources: Resources, systems: Sequence[str], route: Route, before: Snapshot) -> None:
    """Restore the rows from the snapshot, except those that another request has changed since."""
    async with resources.db.write() as session:
        changed = select(Route).where(Route.id.in_(before.keys() or {route.id})).with_for_update()
        for row in (await session.scalars(changed)).all():
            if row.revision != (before[row.id]["revision"] + 1 if before else route.revision):
                continue
            if not before:
                await bury(session, "route", [row.id])
                await session.delete(row)
                continue
            for name in _EDITABLE:
                setattr(row, name, before[row.id][name])
            row.revision, row.updated_at = row.revision + 1, now()
    try:
        await apply_routes(resources, systems=systems)
    except ProviderError as error:
        log.warning("routes_restored_later", reason=error.message)


async def _keep_pending(resources: Resources, route: Route, problem: str) -> None:
    async with resources.db.write() as session:
        row = await session.get(Route, route.id)
        if row is not None and row.state == "pending":
            row.problem = problem


async def _read_again(resources: Resources, scope: Scope, route_id: str) -> Route:
    async with resources.db.read() as session:
        return await get_route(session, scope, route_id)


def _snapshot(routes: Iterable[Route]) -> dict[str, dict[str, Any]]:
    return {route.id: {name: getattr(route, name) for name in (*_EDITABLE, "revision")} for route in routes}
