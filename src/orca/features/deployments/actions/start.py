"""Request a deployment: check the rules, store the queued row, queue the task; all in one transaction."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import BadInput, Conflict, NotFound
from orca.events import Fact, origin, record
from orca.features.deployments import queries, rules
from orca.features.deployments.actions.plan import plan_steps
from orca.features.deployments.actions.resolve_release import (
    ReleaseSelection,
    check_selection,
    freeze_new_code,
    lock_service,
    next_number,
)
from orca.features.deployments.models import Deployment
from orca.features.services.models import Service
from orca.features.sources.models import Upload
from orca.resources import PlaceInLine, Resources, on_system
from orca.tasks.lanes import INTERACTIVE, PUSHED

TASK = "RunDeployment"


@dataclass(frozen=True, slots=True)
class DeploymentRequest:
    """A requested deployment."""

    kind: rules.Kind = "deploy"
    trigger: str = "api"
    commit: str | None = None
    upload_id: str | None = None
    build_id: str | None = None
    release: int | None = None
    replicas: int | None = None
    source: dict[str, Any] = field(default_factory=dict)
    """Overrides parts of the service's source for this deployment only (a push names its commit)."""


async def start_deployment(
    session: AsyncSession, resources: Resources, service: Service, request: DeploymentRequest
) -> Deployment:
    """Queue a deployment. Older queued ones that it makes pointless end as `superseded`.

    Raises Conflict (nothing to roll back to, service deleted) and BadInput.
    """
    by, service = origin.get(), await lock_service(session, service.id)
    if service.deleted_at is not None and request.kind != "remove":
        raise Conflict("this service was deleted")
    deployment = Deployment(
        team_id=service.team_id, service_id=service.id, kind=request.kind, trigger=request.trigger, warnings=[],
        number=await next_number(session, Deployment, service.id), requested_by=by.actor, via=by.via,
        permissions=None if by.permissions is None else sorted(by.permissions),
        source=await _source(session, service, request), config={},
    )  # fmt: skip
    session.add(deployment)
    await session.flush()
    await _choose(session, resources, service, deployment, request)
    has_image = deployment.release_id is not None or deployment.build_id is not None
    await plan_steps(session, deployment, has_image=has_image)
    await _supersede(session, resources, deployment)
    priority = PUSHED if request.trigger == "push" else INTERACTIVE
    is_frozen = bool(deployment.config)  # else it takes the service down, where that runs
    needs = on_system(deployment.system_id if is_frozen else await queries.find_system(session, service.id))
    deployment.task_id = await resources.tasks.enqueue(
        session, TASK, target=service.id,
        payload={"deployment_id": deployment.id, "release": request.release, "replicas": request.replicas},
        place=PlaceInLine(service.team_id, priority, needs),
    )  # fmt: skip
    payload = {
        "kind": request.kind,
        "number": deployment.number,
        "service": service.slug,
        "deployment_id": deployment.id,
    }
    await record(session, Fact("DeploymentQueued", service.team_id, "service", service.id, payload))
    return deployment


async def start_first(session: AsyncSession, resources: Resources, service: Service, trigger: str) -> str:
    """Queue the first deployment of a service that is created in this transaction; returns its id."""
    return (await start_deployment(session, resources, service, DeploymentRequest(trigger=trigger))).id


async def _choose(
    session: AsyncSession, resources: Resources, service: Service, deployment: Deployment, request: DeploymentRequest
) -> None:
    if request.kind in {"deploy", "build"}:
        await freeze_new_code(session, resources, service, deployment, request.build_id)
    elif request.kind not in rules.TAKES_DOWN:
        if request.kind == "scale":
            _keep_scale(service, request.replicas)
        await check_selection(session, service, deployment, ReleaseSelection(request.release, request.replicas))


def _keep_scale(service: Service, replicas: int | None) -> None:
    """Store the requested number of replicas as a setting, so that the next deployment uses it too."""
    if replicas is None:
        raise BadInput("say how many replicas should run")
    service.replicas, service.updated_at = replicas, now()
    service.version += 1


async def _source(session: AsyncSession, service: Service, request: DeploymentRequest) -> dict[str, Any]:
    """Return the source to freeze for this deployment."""
    source = {**service.source, **request.source}
    if request.commit is not None:
        if source["type"] != "git":
            raise BadInput("a commit can only be given for a Git source")
        source |= {"commit": request.commit, "branch": None, "tag": None}
    if request.upload_id is not None:
        upload = await session.get(Upload, request.upload_id)
        if upload is None or upload.service_id != service.id:
            raise NotFound("there is no upload with this id")
        source = {"type": "directory", "upload_id": upload.id}
    return source


async def _supersede(session: AsyncSession, resources: Resources, newer: Deployment) -> None:
    queued = select(Deployment).where(
        Deployment.service_id == newer.service_id, Deployment.state == "queued", Deployment.id != newer.id
    )
    for older in (await session.scalars(queued)).all():
        if not rules.supersedes(newer.kind, older.kind):
            continue
        older.state, older.finished_at = "superseded", now()
        older.reason = f"Deployment {newer.number} was asked for before this one began."
        if older.task_id is not None:
            await resources.tasks.cancel(session, older.task_id, older.reason)
