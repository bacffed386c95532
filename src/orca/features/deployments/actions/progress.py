"""How far a deployment has come: its state, its steps, its end."""

from sqlalchemy import select, update

from orca.db import Database, now
from orca.errors import OrcaError, TaskCancelled
from orca.events import Fact, Outcome, bell, record
from orca.features.deployments import queries
from orca.features.deployments.models import Deployment, DeploymentStep
from orca.features.deployments.rules import FINISHED
from orca.kit.text import shorten


async def begin(db: Database, deployment_id: str) -> list[str]:
    """Mark it running, remember what was live, and give its steps; none when it has already ended."""
    async with db.write() as session:
        deployment = await session.get_one(Deployment, deployment_id)
        if deployment.state in FINISHED:
            return []
        if deployment.state == "queued":
            live = await queries.find_live(session, deployment.service_id)
            deployment.state, deployment.started_at = "running", now()
            deployment.previous_release_id = live.release_id if live else None
            deployment.previous_deployment_id = live.deployment_id if live else None
            payload = {"number": deployment.number, "kind": deployment.kind, "deployment_id": deployment.id}
            fact = Fact("DeploymentStarted", deployment.team_id, "service", deployment.service_id, payload)
            await record(session, fact)
        return [step.name for step in await queries.list_steps(session, deployment_id)]


async def list_open(db: Database, deployment_id: str) -> list[str]:
    """The steps that wait, now that the source is here."""
    async with db.read() as session:
        return [step.name for step in await queries.list_steps(session, deployment_id) if step.state == "waiting"]


async def mark_step(db: Database, deployment_id: str, name: str, state: str, detail: str = "") -> None:
    """Write down how a step goes. A replayed step keeps the moment it first began."""
    async with db.write() as session:
        step = await session.get_one(DeploymentStep, (deployment_id, name))
        step.state = state
        step.detail = shorten(detail, 500) or step.detail
        if state == "running":
            step.started_at, step.finished_at = step.started_at or now(), None
        else:
            step.finished_at = now()
    bell.ring()


async def add_warning(db: Database, deployment_id: str, warning: str) -> None:
    """Something went wrong that does not make the deployment fail."""
    async with db.write() as session:
        deployment = await session.get_one(Deployment, deployment_id)
        if warning not in deployment.warnings:
            deployment.warnings = [*deployment.warnings, warning]


async def succeed(db: Database, deployment_id: str) -> None:
    """Its effect was verified."""
    await _end(db, deployment_id, "succeeded", None)


async def fail(db: Database, deployment_id: str, error: OrcaError) -> None:
    """Ended without success, for a reason that is told."""
    await _end(db, deployment_id, "cancelled" if isinstance(error, TaskCancelled) else "failed", error)


async def _end(db: Database, deployment_id: str, state: str, error: OrcaError | None) -> None:
    async with db.write() as session:
        deployment = await session.scalar(
            select(Deployment).where(Deployment.id == deployment_id, Deployment.state.not_in(FINISHED))
        )
        if deployment is None:
            return
        deployment.state, deployment.finished_at = state, now()
        if error is not None:
            deployment.code, deployment.reason, deployment.hint = error.code, error.message, error.hint
        open_steps = update(DeploymentStep).where(DeploymentStep.deployment_id == deployment_id)
        await session.execute(open_steps.where(DeploymentStep.state == "waiting").values(state="skipped"))
        await session.execute(
            open_steps.where(DeploymentStep.state == "running").values(state=state, finished_at=now())
        )
        payload = {"number": deployment.number, "kind": deployment.kind, "state": state, "code": deployment.code,
                   "deployment_id": deployment.id}  # fmt: skip
        outcome: Outcome = "done" if state == "succeeded" else "failed"
        fact = Fact("DeploymentFinished", deployment.team_id, "service", deployment.service_id, payload, outcome)
        await record(session, fact)
