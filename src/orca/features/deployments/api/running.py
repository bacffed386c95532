"""REST doors of what runs now: containers, their output, and one-off commands."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Header, Query
from fastapi.responses import StreamingResponse

from orca.db import ReadSession, now
from orca.errors import Conflict, OrcaError
from orca.events import Fact, record
from orca.features.deployments import queries
from orca.features.deployments.models import Deployment
from orca.features.deployments.output import OutputRange, Positions, follow_output, list_hidden, start_here
from orca.features.deployments.schemas import (
    ContainerOut,
    ListedService,
    RunIn,
    ServiceStatusOut,
    TeamServiceFilter,
)
from orca.features.deployments.statuses import read_statuses
from orca.features.deployments.steps.work import load_facts, run_of
from orca.features.projects.queries import list_project_slugs
from orca.features.services.queries import get_service, list_team_services
from orca.features.services.schemas.services import ServiceOut
from orca.kit.ids import new_id
from orca.kit.pagination import Page
from orca.kit.sse import STREAM_HEADERS, format_event, keep_open
from orca.kit.text import clean_output
from orca.resources import Resources
from orca.sdk.engines import Engine
from orca.sdk.workloads import ProcessState, Replica, Workload
from orca.web.guard import CurrentResources, CurrentScope, Router, Scope, guard, narrowed

router = Router(prefix="/api/v1", tags=["running"])
QUEUE_LINES = 2000


@router.get("/services", response_model=Page[ListedService], summary="List the services of all projects")
@narrowed()
@guard("service.read")
async def list_all_services(
    session: ReadSession, scope: CurrentScope, resources: CurrentResources,
    wanted: Annotated[TeamServiceFilter, Query()],
) -> Page[ListedService]:  # fmt: skip
    """List services with the state of each, newest first."""
    page = await list_team_services(session, scope, wanted)
    projects = await list_project_slugs(session, scope, {service.project_id for service in page.items})
    statuses = await read_statuses(session, scope, resources, page.items)
    items = [
        ListedService(
            **ServiceOut.model_validate(service).model_dump(), project=projects[service.project_id], status=status
        )
        for service, status in zip(page.items, statuses, strict=True)
    ]
    return Page[ListedService](items=items, next_cursor=page.next_cursor)


@router.get("/services/{service_id}/status", response_model=ServiceStatusOut)
@guard("service.read", tenant="service_id")
async def read_service_status(
    service_id: str, session: ReadSession, scope: CurrentScope, resources: CurrentResources
) -> ServiceStatusOut:
    """Return the state of a service, with its reason and since when, as observed now."""
    (status,) = await read_statuses(session, scope, resources, [await get_service(session, scope, service_id)])
    return status


@router.get("/services/{service_id}/containers", response_model=list[ContainerOut])
@guard("service.read", tenant="service_id")
async def list_containers(
    service_id: str,
    scope: CurrentScope,
    resources: CurrentResources,
    state: Annotated[ProcessState | None, Query()] = None,
) -> list[ContainerOut]:
    """List the service's replicas as the engine reports them now."""
    _, engine = await _engine_of(resources, scope, service_id)
    found = await engine.observe({"orca.service": service_id})
    containers = [container for container in found if state in {None, container.state}]
    numbers: dict[str, int] = {}
    async with resources.db.read(scope.team_id, scope.reach) as session:
        for release_id in {container.labels.get("orca.release", "") for container in containers}:
            release = await queries.find_release(session, release_id)
            if release is not None:
                numbers[release_id] = release.number
    return [
        ContainerOut(
            name=container.name, replica=container.index, state=container.state, address=container.address,
            release=numbers.get(container.labels.get("orca.release", "")),
            restarts=container.restarts, exit_code=container.exit_code,
            out_of_memory=container.out_of_memory, started_at=container.started_at,
        )
        for container in sorted(containers, key=lambda replica: replica.name)
    ]  # fmt: skip


@router.get(
    "/services/{service_id}/logs",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
@guard("service.read", tenant="service_id", rate="stream")
async def read_logs(  # noqa: PLR0913, PLR0917 - the parameters of the route
    service_id: str,
    scope: CurrentScope,
    resources: CurrentResources,
    tail: Annotated[int, Query(ge=0, le=10_000, description="Lines of each replica to begin with.")] = 200,
    follow: Annotated[bool, Query(description="Wait for more.")] = False,
    replica: Annotated[int | None, Query(ge=0, le=49)] = None,
    since: Annotated[datetime | None, Query(description="Nothing that was written before this instant.")] = None,
    last_event_id: Annotated[str, Header(max_length=4000, description="Go on behind this event.")] = "",
) -> StreamingResponse:
    """Stream the output of the replicas: events `log` {replica, stream, text, at}, finally `end`; `start` with tail=0.

    Each event has an id. With the last one as `Last-Event-ID`, an interrupted stream continues: no line is lost or
    repeated.
    """
    if since is not None and since.tzinfo is None:
        since = since.replace(tzinfo=UTC)
    system_id, engine = await _engine_of(resources, scope, service_id)
    found = await engine.observe({"orca.service": service_id})
    chosen = [container for container in found if replica is None or container.index == replica]
    hidden = await list_hidden(resources, scope, service_id, chosen)
    wanted = OutputRange(tail, follow, since, Positions.parse(last_event_id), hidden)
    frames = resources.systems.hold_during(system_id, _log_frames(engine, chosen, wanted))
    return StreamingResponse(keep_open(frames), media_type="text/event-stream", headers=STREAM_HEADERS)


@router.post(
    "/services/{service_id}/run",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
@guard("service.run", tenant="service_id", rate="write", audit="CommandRun")
async def run_command(
    service_id: str, body: RunIn, scope: CurrentScope, resources: CurrentResources
) -> StreamingResponse:
    """Run a command once in a fresh container of the live release: events `log` {text}, at last `end` {exit_code}."""
    async with resources.db.write(scope.team_id) as session:
        service = await get_service(session, scope, service_id)
        live = await queries.find_live(session, service_id)
        if live is None:
            raise Conflict("this service has no release yet", hint="Deploy it first.")
        deployment = await session.get_one(Deployment, live.deployment_id)
        payload = {"command": body.command[0], "arguments": len(body.command) - 1}
        await record(session, Fact("CommandRun", service.team_id, "service", service_id, payload))
    facts = await load_facts(resources, deployment.id)
    run = run_of(facts, resources, f"orca-run-{new_id()}", role="run", command=tuple(body.command))
    until = {"orca.until": str(int(now().timestamp() + body.timeout))}
    run = replace(run, labels={**run.labels, **until})
    engine = await resources.systems.engine(facts.system_id)
    frames = resources.systems.hold_during(facts.system_id, _run_frames(engine, run, body.timeout))
    return StreamingResponse(keep_open(frames), media_type="text/event-stream", headers=STREAM_HEADERS)


async def _engine_of(resources: Resources, scope: Scope, service_id: str) -> tuple[str, Engine]:
    async with resources.db.read(scope.team_id, scope.reach) as session:
        system_id = await queries.find_system(session, service_id)
    return system_id, await resources.systems.engine(system_id)


async def _log_frames(engine: Engine, chosen: Sequence[Replica], wanted: OutputRange) -> AsyncGenerator[str, None]:
    if wanted.after is None and not wanted.tail:  # start at this moment, not at the first line read
        wanted = replace(wanted, after=start_here(chosen, now()))
        yield format_event("start", {"replicas": len(chosen)}, event_id=str(wanted.after))
    async for line, identifier in follow_output(engine, chosen, wanted):
        yield format_event("log", asdict(line), event_id=identifier)
    yield format_event("end", {"state": "ended"})


async def _run_frames(engine: Engine, run: Workload, seconds: float) -> AsyncGenerator[str, None]:
    """Follow a one-off container; when the client disconnects, it is killed and removed."""
    lines: asyncio.Queue[str] = asyncio.Queue(QUEUE_LINES)

    async def tell(line: str) -> None:
        await lines.put(format_event("log", {"text": clean_output(line)}))

    running = asyncio.create_task(engine.run_once(run, deadline=seconds, progress=tell))
    try:
        while not (running.done() and lines.empty()):
            waiting = asyncio.ensure_future(lines.get())
            await asyncio.wait({waiting, running} if not running.done() else {waiting}, return_when="FIRST_COMPLETED")
            if waiting.done():
                yield waiting.result()
            else:
                waiting.cancel()
        yield _end_of_run(running)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        for replica in await engine.observe({"orca.deployment": run.labels["orca.deployment"]}, runs=True):
            if replica.name == run.name:
                await engine.remove(replica)


def _end_of_run(running: "asyncio.Task[int]") -> str:
    error = running.exception()
    if isinstance(error, OrcaError):
        return format_event("end", {"exit_code": 125, "error": error.message, "hint": error.hint})
    return format_event("end", {"exit_code": running.result()})
