"""create_app(settings): the one place where routers, middleware and resources meet."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.staticfiles import StaticFiles
from prometheus_client import CollectorRegistry, Gauge
from starlette.routing import Mount

from orca import __version__, house
from orca.db import Database
from orca.outdated import drain_when_outdated
from orca.resources import Resources, open_resources
from orca.settings import Settings
from orca.startup.check import establish
from orca.tasks import TASKS_AT_ONCE, TaskEngine
from orca.web import health, reference
from orca.web.errors import draw_crash, install_error_handlers
from orca.web.guard import GuardedRoute, tenant_resolvers
from orca.web.habits import HeadAsGet
from orca.web.middleware import HttpMetrics, RequestContext
from orca.web.openapi import name_operation


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application. Nothing is opened before its lifespan begins."""
    settings = settings or Settings()
    app = FastAPI(
        title="Orca", version=__version__, description=house.API_DESCRIPTION, lifespan=_lifespan(settings),
        docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False,
        generate_unique_id_function=name_operation,
    )  # fmt: skip
    app.state.settings = settings
    app.state.write_probe = health.WriteProbe()
    app.state.metrics = registry = CollectorRegistry()
    app.state.tasks_active = Gauge("orc_tasks_active", "Tasks that wait or run.", registry=registry)
    install_error_handlers(app)
    for router in (health.router, reference.router, *house.ROUTERS):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "web" / "static"), name="static")
    house.install_middleware(app, settings)
    app.add_middleware(RequestContext, is_https=settings.is_https, metrics=HttpMetrics(registry), draw_crash=draw_crash)
    app.add_middleware(HeadAsGet)
    check_routes(app)
    return app


def check_routes(app: FastAPI) -> None:
    """Refuse to start with a route that says nothing about itself, or whose object has no known owner."""
    for route in (each.original_route for each in iter_route_contexts(app.routes)):
        if isinstance(route, Mount) and route.path == "/static":
            continue
        if not isinstance(route, GuardedRoute):
            raise RuntimeError(f"{getattr(route, 'path', route)} is not a guarded route")  # noqa: TRY004 - a mistake in code
        if route.guard.permission not in house.PERMISSIONS:
            raise RuntimeError(f"{route.path} asks for {route.guard.permission}, which is no permission")
        _check_tenant(route)


def _check_tenant(route: APIRoute) -> None:
    tenant = route.guard.tenant if isinstance(route, GuardedRoute) else None
    identifiers = {name for name in route.param_convertors if name.endswith("_id")}
    if tenant is None and identifiers - house.OWN_IDENTIFIERS:
        raise RuntimeError(f"{route.path} has {sorted(identifiers)} but names no tenant resolver")
    if tenant is not None and (tenant not in tenant_resolvers or tenant not in identifiers):
        raise RuntimeError(f"{route.path}: no tenant resolver is registered for {tenant}")


def _lifespan(settings: Settings) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_house(settings) as (resources, engine):
            app.state.resources = resources
            app.state.task_engine = engine
            app.state.gate = house.make_gate(resources)
            await house.prepare(resources)
            if settings.worker:
                await house.before_tasks(resources)
                await engine.start(resources, house.DUTIES)
            try:
                yield
            finally:
                if settings.worker:
                    await engine.stop(resources)

    return lifespan


@asynccontextmanager
async def open_house(settings: Settings) -> AsyncIterator[tuple[Resources, TaskEngine]]:
    """Check, migrate, open resources and the task engine: what `orc serve` and `orc worker` share."""
    identity = await establish(settings)
    db = Database(settings.database)
    engine = TaskEngine(settings.database, house.TASKS, concurrency=TASKS_AT_ONCE)
    watching = asyncio.create_task(drain_when_outdated(db, engine))
    try:
        async with open_resources(settings, db, engine, identity) as resources:
            yield resources, engine
    finally:
        watching.cancel()
        await db.close()
