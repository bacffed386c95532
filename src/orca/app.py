"""create_app(settings): the one place where routers, middleware and resources meet."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from operator import attrgetter
from weakref import WeakValueDictionary

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount

from orca import __version__
from orca.db import DATABASE_AWAY, Database
from orca.events import consumers
from orca.events.doorbell import keep_doorbell
from orca.features import all_owners, connect_subscribers, list_consumers, load_features
from orca.features.access.gate import AccessGate
from orca.features.access.hosts import HostAllowList
from orca.features.access.permissions import all_permissions
from orca.features.manifest import Hook
from orca.features.notifications.messages import describe_messages
from orca.outdated import drain_when_outdated
from orca.resources import Resources, open_resources
from orca.settings import Settings
from orca.startup.check import establish
from orca.systems import LOCAL
from orca.tasks import Periodic, TaskEngine, retention
from orca.tasks.lanes import LANES
from orca.web import health, reference
from orca.web.assets import STATIC, Assets
from orca.web.errors import draw_crash, draw_failure, install_error_handlers
from orca.web.guard import PUBLIC, SIGNED_IN, UNCLAIMED, GuardedRoute, take_routes
from orca.web.habits import HeadAsGet
from orca.web.metrics import (
    Measure,
    Measurements,
    measure_consumers,
    measure_database,
    measure_instance,
    measure_tasks,
)
from orca.web.middleware import HttpMetrics, RequestContext
from orca.web.nav import Menus
from orca.web.openapi import API_DESCRIPTION
from orca.web.sockets import GuardedSocket

log = structlog.get_logger("orca.app")
LOOK_AFTER_SECONDS = 1.0
COMPANION_PAUSE_SECONDS = 5.0


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application. No resource is opened before its lifespan begins."""
    settings = settings or Settings()
    app = FastAPI(
        title="Orca", version=__version__, description=API_DESCRIPTION, lifespan=_lifespan(settings),
        docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, openapi_tags=_list_tags(),
    )  # fmt: skip
    app.state.settings = settings
    app.state.write_probe = health.WriteProbe()
    app.state.metrics = registry = CollectorRegistry()
    disable_created_metrics()  # type: ignore[no-untyped-call]  # theirs
    ProcessCollector(registry=registry)
    app.state.measurements = Measurements(_make_measures())
    install_error_handlers(app)
    _install_features(app, registry)
    app.mount("/static", GZipMiddleware(Assets(directory=STATIC), minimum_size=1000), name="static")
    app.add_middleware(HostAllowList, settings=settings)
    app.add_middleware(RequestContext, is_https=settings.is_https, metrics=HttpMetrics(registry), draw_crash=draw_crash)
    app.add_middleware(HeadAsGet)
    check_routes(app)
    return app


def _list_tags() -> list[dict[str, str]]:
    tags = {
        "health": "Probes and numbers.",
        **{tag: text for feature in load_features() for tag, text in feature.tags.items()},
    }
    return [{"name": tag, "description": tags[tag]} for tag in sorted(tags)]


def _make_measures() -> tuple[Measure, ...]:
    features = load_features()
    return (
        Measure("instance", measure_instance),
        Measure("database", measure_database),
        Measure("tasks", measure_tasks([task.name for feature in features for task in feature.tasks])),
        Measure("consumers", measure_consumers(list_consumers())),
        *(measure for feature in features for measure in feature.measures()),
    )


def _install_features(app: FastAPI, registry: CollectorRegistry) -> None:
    """Install what features contribute to the application: routes, menus, owners of objects, and counters."""
    features = load_features()
    take_routes(
        app.router, health.router, reference.router, *(router for feature in features for router in feature.routers)
    )
    app.router.routes.extend(socket for feature in features for socket in feature.sockets)
    app.state.menus = Menus(
        nav=sorted((item for feature in features for item in feature.nav), key=attrgetter("order")),
        tabs=sorted((tab for feature in features for tab in feature.tabs), key=attrgetter("order")),
    )
    steps = (step for feature in features for step in feature.first_steps)
    app.state.first_steps = sorted(steps, key=attrgetter("order"))
    app.state.drawings = WeakValueDictionary()
    app.state.describe_messages = describe_messages
    app.state.draw_failure = draw_failure
    app.state.owners = dict(all_owners())
    for feature in features:
        for name, make in feature.counters.items():
            setattr(app.state, name, make(registry))


def check_routes(app: FastAPI) -> None:
    """Refuse to start with a route that has no guard, or whose path parameter has no owner."""
    permissions = {*all_permissions(), PUBLIC, SIGNED_IN, UNCLAIMED}
    own = {name for feature in load_features() for name in feature.own_identifiers}
    for route in app.routes:
        if isinstance(route, Mount) and route.path == "/static":
            continue
        if not isinstance(route, GuardedRoute | GuardedSocket):
            raise RuntimeError(f"{getattr(route, 'path', route)} is no guarded route, or not by `take_routes`")  # noqa: TRY004 - a mistake in code
        if route.guard.permission not in permissions:
            raise RuntimeError(f"{route.path} asks for {route.guard.permission}, which is no permission")
        _check_tenant(app, route, own)


def _check_tenant(app: FastAPI, route: GuardedRoute | GuardedSocket, own: Collection[str]) -> None:
    tenant = route.guard.tenant
    identifiers = {name for name in route.param_convertors if name.endswith("_id")}
    if tenant is None and identifiers.difference(own):
        raise RuntimeError(f"{route.path} has {sorted(identifiers)} but names none of them as its tenant")
    if tenant is not None and (tenant not in app.state.owners or tenant not in identifiers):
        raise RuntimeError(f"{route.path}: no feature declares the owner of {tenant}")


def _lifespan(settings: Settings) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_house(settings) as (resources, engine):
            app.state.resources = resources
            app.state.task_engine = engine
            app.state.gate = AccessGate(resources)
            await _prepare(resources)
            if settings.worker:
                await run_before_tasks(resources)
            async with _accompanied(resources):  # before tasks go on: they wait for what accompanies them
                if settings.worker:
                    await engine.start(resources, list_periodic())
                try:
                    yield
                finally:
                    await _finish(resources)
                    if settings.worker:
                        await engine.stop(resources)

    return lifespan


@asynccontextmanager
async def _accompanied(resources: Resources) -> AsyncIterator[None]:
    """Run the companions of all features."""
    companions = [
        asyncio.create_task(_accompany(feature.name, feature.companion, resources))
        for feature in load_features()
        if feature.companion is not None
    ]
    try:
        yield
    finally:
        for companion in companions:
            companion.cancel()
        await asyncio.gather(*companions, return_exceptions=True)


async def _accompany(name: str, run: Hook, resources: Resources) -> None:
    """Run what accompanies the requests; when it fails, begin again."""
    while True:
        try:
            return await run(resources)
        except Exception:
            log.exception("companion_failed", feature=name)
        await asyncio.sleep(COMPANION_PAUSE_SECONDS)


async def _prepare(resources: Resources) -> None:
    """Run what features must prepare before the first request."""
    for feature in load_features():
        if feature.prepare is not None:
            await feature.prepare(resources)


async def _finish(resources: Resources) -> None:
    """Run what features must end before the process does."""
    for feature in load_features():
        if feature.finish is not None:
            await feature.finish(resources)


async def run_before_tasks(resources: Resources) -> None:
    """Run what features must decide before any task is resumed."""
    for feature in load_features():
        if feature.before_tasks is not None:
            await feature.before_tasks(resources)


def list_periodic() -> list[Periodic]:
    """Return the periodic jobs of the task engine itself, of the consumers of events, and of all features."""
    jobs = [*retention.PERIODIC, *consumers.list_jobs(list_consumers())]
    return [*jobs, *(job for feature in load_features() for job in feature.periodic)]


@asynccontextmanager
async def open_house(settings: Settings) -> AsyncIterator[tuple[Resources, TaskEngine]]:
    """Check, migrate, open resources and the task engine: what `orc serve` and `orc worker` share."""
    identity = await establish(settings)
    db = Database(settings.database)
    lanes = {**LANES, "build": settings.build.concurrency}
    tasks = [task for feature in load_features() for task in feature.tasks]
    engine = TaskEngine(settings.database, tasks, lanes=lanes, offers=settings.worker_offers)
    watching = [asyncio.create_task(drain_when_outdated(db, engine))]
    if not db.is_sqlite:
        watching.append(asyncio.create_task(keep_doorbell(db)))
    try:
        async with open_resources(settings, db, engine, identity) as resources:
            connect_subscribers(db, resources)
            looking = asyncio.create_task(_log_unusable(resources))
            try:
                yield resources, engine
            finally:
                looking.cancel()
                await asyncio.wait({looking})
    finally:
        for watcher in watching:
            watcher.cancel()
        await asyncio.wait(watching)
        await db.close()


async def _log_unusable(resources: Resources) -> None:
    """Log each provider that cannot be used. Orca starts all the same, to say so, and what runs is left alone.

    Providers of this machine are opened after the first answers: that takes more time than anything before these.
    """
    for unused in resources.plugins.unused:
        log.error("provider_not_used", reason=unused.message, hint=unused.remedy)
    await asyncio.sleep(LOOK_AFTER_SECONDS)
    try:
        for error in await resources.systems.list_unusable(LOCAL):
            log.error("provider_unusable", system=LOCAL, reason=error.message, hint=error.hint)
    except DATABASE_AWAY as error:
        log.warning("providers_not_checked", reason=str(error), hint="`orc doctor` checks them.")
