"""The progress of a deployment: its state, its steps, its end."""

from typing import cast

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import Database, now
from orca.errors import OrcaError, TaskCancelled
from orca.events import Fact, Origin, Outcome, Via, notifier, record
from orca.features.deployments import queries
from orca.features.deployments.actions.resolve_release import ReleaseSelection, bind_release, lock_service
from orca.features.deployments.models import Deployment, DeploymentStep, Release
from orca.features.deployments.next_steps import choose_steps
from orca.features.deployments.queries import names_of
from orca.features.deployments.rules import FINISHED, REUSES
from orca.features.deployments.schemas import Remedy
from orca.features.services.orca_file import parse_orca_file
from orca.kit.text import join, shorten
from orca.resources import Resources


async def begin(resources: Resources, deployment_id: str, selection: ReleaseSelection) -> list[str]:
    """Mark it running, fix what it makes live, and return its open steps; none when it has already ended.

    Raises Conflict when the request cannot be carried out any more.
    """
    async with resources.db.write() as session:
        await _lock(session, deployment_id)
        deployment = await session.get_one(Deployment, deployment_id, with_for_update=True)
        if deployment.state in FINISHED:
            return []
        if deployment.state == "queued":
            await _start(session, resources, deployment, selection)
        return [step.name for step in await queries.list_steps(session, deployment_id)]


async def find_origin(db: Database, deployment_id: str) -> Origin:
    """Return the requester of the deployment, with the permissions they had when they requested it."""
    async with db.read() as session:
        deployment = await session.get_one(Deployment, deployment_id)
    frozen = deployment.permissions
    permissions = None if frozen is None else frozenset(frozen)
    return Origin(deployment.requested_by or "orca", cast("Via", deployment.via), permissions=permissions)


async def _lock(session: AsyncSession, deployment_id: str) -> None:
    """Lock the service before the deployment: every function that locks both uses this order."""
    service_id = await session.scalar(select(Deployment.service_id).where(Deployment.id == deployment_id))
    await lock_service(session, str(service_id))


async def _start(
    session: AsyncSession, resources: Resources, deployment: Deployment, selection: ReleaseSelection
) -> None:
    if deployment.kind in REUSES:
        await bind_release(session, resources, deployment, selection)
    live = await queries.find_live(session, deployment.service_id)
    deployment.state, deployment.started_at = "running", now()
    deployment.previous_release_id = live.release_id if live else None
    deployment.previous_deployment_id = live.deployment_id if live else None
    payload = await names_of(session, deployment) | {"kind": deployment.kind}
    await record(session, Fact("DeploymentStarted", deployment.team_id, "service", deployment.service_id, payload))


async def list_open(db: Database, deployment_id: str) -> list[str]:
    """Return the open steps, read again once the source is fetched."""
    async with db.read() as session:
        return [step.name for step in await queries.list_steps(session, deployment_id) if step.state == "waiting"]


async def mark_step(db: Database, deployment_id: str, name: str, state: str, detail: str = "") -> None:
    """Store the state of a step. A replayed step keeps the time at which it first began."""
    async with db.write() as session:
        step = await session.get_one(DeploymentStep, (deployment_id, name))
        step.state = state
        step.detail = shorten(detail, 500) or step.detail
        if state == "running":
            step.started_at, step.finished_at = step.started_at or now(), None
        else:
            step.finished_at = now()
    notifier.notify(deployment_id)


async def find_step(db: Database, deployment_id: str, name: str) -> DeploymentStep | None:
    """Return a step as it is now; None when the deployment has none of that name."""
    async with db.read() as session:
        return await session.get(DeploymentStep, (deployment_id, name))


async def add_warning(db: Database, deployment_id: str, warning: str, *remedies: Remedy) -> None:
    """Add a warning: a problem that does not make the deployment fail."""
    async with db.write() as session:
        deployment = await session.get_one(Deployment, deployment_id)
        if warning not in deployment.warnings:
            deployment.warnings = [*deployment.warnings, warning]
            deployment.remedies = [*deployment.remedies, *(remedy.model_dump() for remedy in remedies)]


async def succeed(db: Database, deployment_id: str) -> None:
    """Mark the deployment as succeeded, after its effect was verified."""
    await _end(db, deployment_id, "succeeded", None)


async def fail(db: Database, deployment_id: str, error: OrcaError) -> None:
    """Mark the deployment as failed or cancelled, with the reason."""
    await _end(db, deployment_id, "cancelled" if isinstance(error, TaskCancelled) else "failed", error)


async def _end(db: Database, deployment_id: str, state: str, error: OrcaError | None) -> None:
    async with db.write() as session:
        deployment = await session.scalar(
            select(Deployment).where(Deployment.id == deployment_id, Deployment.state.not_in(FINISHED))
        )
        if deployment is None:
            return
        deployment.state, deployment.finished_at = state, now()
        if state == "succeeded":
            fresh = update(Release).where(Release.id == deployment.release_id, Release.went_live_at.is_(None))
            await session.execute(fresh.values(went_live_at=now()))
            deployment.former_owners = {}
        if error is not None:
            await _explain(session, deployment, error)
        open_steps = update(DeploymentStep).where(DeploymentStep.deployment_id == deployment_id)
        await session.execute(open_steps.where(DeploymentStep.state == "waiting").values(state="skipped"))
        await session.execute(
            open_steps.where(DeploymentStep.state == "running").values(state=state, finished_at=now())
        )
        outcome: Outcome = "done" if state == "succeeded" else "failed"
        payload = await names_of(session, deployment)
        payload |= {"kind": deployment.kind, "state": state, "code": deployment.code}
        fact = Fact("DeploymentFinished", deployment.team_id, "service", deployment.service_id, payload, outcome)
        await record(session, fact)


async def _explain(session: AsyncSession, deployment: Deployment, error: OrcaError) -> None:
    """Store why it ended, and what to do about it, in words and as steps."""
    build = await queries.find_build(session, deployment.build_id)
    in_file = parse_orca_file(build.orca_file).model_fields_set if build and build.orca_file else frozenset[str]()
    given = error.details.get("next_steps", ())
    steps, note = choose_steps(error.code, given, source=deployment.source.get("type", ""), in_file=in_file)
    remedies = [remedy.model_dump() for remedy in error.details.get("remedies", ())]
    deployment.code, deployment.reason, deployment.hint = error.code, error.message, join(error.hint, note)
    deployment.remedies = [*deployment.remedies, *remedies]
    deployment.next_steps = [step.model_dump() for step in steps]
