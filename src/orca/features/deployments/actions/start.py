"""Ask for a deployment: check the rules, write the queued row, queue the task; all in one transaction."""

import json
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import BadInput, Conflict, NotFound
from orca.events import Fact, origin, record
from orca.features.deployments import queries, rules
from orca.features.deployments.actions.plan import plan_steps
from orca.features.deployments.models import Build, Deployment, Release
from orca.features.secrets.actions import put_secret
from orca.features.secrets.queries import open_secret
from orca.features.services.actions import freeze_config
from orca.features.services.models import Service
from orca.features.sources.models import Upload
from orca.resources import Resources

TASK = "RunDeployment"
VARIABLES = "variables"


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asked for."""

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
    session: AsyncSession, resources: Resources, service: Service, request: Request
) -> Deployment:
    """Queue a deployment. Older queued ones that it makes pointless end as `superseded`.

    Raises Conflict (nothing to roll back to, service deleted) and BadInput.
    """
    if service.deleted_at is not None and request.kind != "remove":
        raise Conflict("this service was deleted")
    deployment = Deployment(
        team_id=service.team_id, service_id=service.id, kind=request.kind, trigger=request.trigger, warnings=[],
        number=await _next_number(session, Deployment, service.id), requested_by=origin.get().actor,
        source=await _source(session, service, request), config={},
    )  # fmt: skip
    session.add(deployment)
    await session.flush()
    await _freeze(session, resources, service, deployment, request)
    has_image = deployment.release_id is not None or deployment.build_id is not None
    await plan_steps(session, deployment, has_image=has_image)
    await _supersede(session, resources, deployment)
    _set_desired_state(service, request)
    deployment.task_id = await resources.tasks.enqueue(
        session, TASK, target=service.id, payload={"deployment_id": deployment.id}
    )
    payload = {
        "kind": request.kind,
        "number": deployment.number,
        "service": service.slug,
        "deployment_id": deployment.id,
    }
    await record(session, Fact("DeploymentQueued", service.team_id, "service", service.id, payload))
    return deployment


async def _next_number(session: AsyncSession, table: type[Deployment | Release], service_id: str) -> int:
    return (await session.scalar(select(func.max(table.number)).where(table.service_id == service_id)) or 0) + 1


async def _source(session: AsyncSession, service: Service, request: Request) -> dict[str, Any]:
    """The source frozen for this deployment."""
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


async def _freeze(
    session: AsyncSession, resources: Resources, service: Service, deployment: Deployment, request: Request
) -> None:
    """Fix what will run: today's configuration for new code, the release's own for everything else."""
    if request.kind in {"deploy", "build"}:
        config, secrets = await freeze_config(session, resources.secret_box, service)
        deployment.config = config.model_dump(mode="json") | {"build": service.build}
        await _seal(session, resources, deployment, json.dumps(secrets))
        if request.build_id is not None:
            await _use_build(session, deployment, request.build_id)
        return
    release = await _release_for(session, service, request)
    if release is None:
        return
    replicas = await _wanted_replicas(session, service, release, request)
    if replicas != release.config["replicas"]:
        release = await _rescale(session, resources, release, replicas)
    deployment.release_id, deployment.build_id, deployment.config = release.id, release.build_id, dict(release.config)
    sealed = await open_secret(session, resources.secret_box, ("release", release.id), VARIABLES)
    await _seal(session, resources, deployment, sealed or "{}")


async def _seal(session: AsyncSession, resources: Resources, deployment: Deployment, secrets: str) -> None:
    await put_secret(
        session, resources.secret_box, team_id=deployment.team_id, owner=("deployment", deployment.id), name=VARIABLES,
        value=secrets,
    )  # fmt: skip


async def _use_build(session: AsyncSession, deployment: Deployment, build_id: str) -> None:
    build = await session.get(Build, build_id)
    if build is None or build.service_id != deployment.service_id:
        raise NotFound("there is no build with this id")
    if build.state != "succeeded":
        raise Conflict("this build made no image", hint="Choose a build that succeeded, or deploy without `build_id`.")
    deployment.build_id = build.id


async def _release_for(session: AsyncSession, service: Service, request: Request) -> Release | None:
    if request.kind in {"stop", "remove"}:
        return None
    if request.kind == "rollback":
        release = await queries.find_rollback_release(session, service.id, request.release)
        missing = "there is no earlier release to go back to" if request.release is None else "there is no such release"
    else:
        live = await queries.find_live(session, service.id)
        release = await queries.find_release(session, live.release_id if live else None)
        missing = "this service has no release yet"
    if release is None:
        raise Conflict(missing, hint="Deploy the service first; `orc releases` lists what there is.")
    return release


async def _wanted_replicas(session: AsyncSession, service: Service, release: Release, request: Request) -> int:
    """Scaling says how many; going back keeps as many as there are today, which is seldom what they were then."""
    if request.kind == "scale":
        if request.replicas is None:
            raise BadInput("say how many replicas should run")
        service.replicas = request.replicas
        service.version += 1
        return request.replicas
    live = await queries.find_live(session, service.id)
    current = await queries.find_release(session, live.release_id if live else None)
    return int((current or release).config["replicas"])


async def _rescale(session: AsyncSession, resources: Resources, release: Release, replicas: int) -> Release:
    """A release is immutable, so another number of replicas is another release of the same image."""
    scaled = Release(
        team_id=release.team_id, service_id=release.service_id, build_id=release.build_id, image=release.image,
        number=await _next_number(session, Release, release.service_id), commit=release.commit,
        commit_message=release.commit_message, config={**release.config, "replicas": replicas},
    )  # fmt: skip
    session.add(scaled)
    await session.flush()
    secrets = await open_secret(session, resources.secret_box, ("release", release.id), VARIABLES)
    await put_secret(
        session, resources.secret_box, team_id=release.team_id, owner=("release", scaled.id), name=VARIABLES,
        value=secrets or "{}",
    )  # fmt: skip
    return scaled


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


def _set_desired_state(service: Service, request: Request) -> None:
    if request.kind in {"stop", "remove"}:
        service.desired_state = "stopped"
    elif request.kind != "build":
        service.desired_state = "running"
