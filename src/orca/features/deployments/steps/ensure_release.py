"""Freeze the image and the configuration as a release, or reuse the live one when only the replicas differ."""

import json

from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.features.deployments import queries, rules
from orca.features.deployments.actions.resolve_release import VARIABLES, lock_service, next_number
from orca.features.deployments.errors import NothingToDeploy
from orca.features.deployments.models import Build, Deployment, Release
from orca.features.deployments.steps.work import DeploymentRows, StepContext, load
from orca.features.secrets.actions import put_secret
from orca.features.secrets.queries import open_secret
from orca.features.services.models import Service


async def ensure_release(work: StepContext, facts: DeploymentRows) -> DeploymentRows:
    """Return the facts with a release, which is created once."""
    if facts.release is not None:
        return facts
    if facts.build is None or not facts.build.image:
        raise NothingToDeploy("there is no image to start", hint="Deploy the service again from its source.")
    may_keep = await _may_keep(work, facts, facts.build.image)
    async with work.resources.db.write() as session:
        deployment = await session.get_one(Deployment, work.deployment_id)
        service = await lock_service(session, deployment.service_id)
        same = await _find_same_at_other_scale(session, work, service, facts, facts.build.image) if may_keep else None
        if same is not None:
            deployment.release_id, deployment.workload_id = same
        else:
            deployment.release_id = await _make_release(session, work, facts, facts.build)
    return await load(work)


async def _find_same_at_other_scale(
    session: AsyncSession, work: StepContext, service: Service, facts: DeploymentRows, image: str
) -> tuple[str, str] | None:
    """Return the live release and its workload when only the number of replicas differs, else None."""
    live = await queries.find_live(session, service.id)
    release = await queries.find_release(session, live.release_id if live else None)
    workload = await queries.find_workload(session, service.id)
    if release is None or workload is None or service.desired_state != "running":
        return None
    if workload.replicas == facts.workload.replicas:
        return None
    wanted = facts.config.model_dump(mode="json")
    if rules.differs(release.image, queries.complete_config(release), image, wanted):
        return None
    sealed = await open_secret(session, work.resources.secret_box, ("release", release.id), VARIABLES)
    return (release.id, workload.id) if json.loads(sealed or "{}") == facts.secrets else None


async def _may_keep(work: StepContext, facts: DeploymentRows, image: str) -> bool:
    """Whether the live containers can stay because all of them run; otherwise all are replaced.

    Asks the engine before the transaction, and only when nothing but the number of replicas differs.
    """
    async with work.resources.db.read() as session:
        same = await _find_same_at_other_scale(session, work, facts.service, facts, image)
    if same is None:
        return False
    workload = rules.WorkloadRef(same[1], facts.workload.replicas)
    engine = await work.engine()
    seen = await engine.observe({"orca.service": facts.service.id})
    kept = [replica for replica in seen if workload.includes(replica)]
    return all(rules.is_running(replica, now()) and replica.health != "unhealthy" for replica in kept)


async def _make_release(session: AsyncSession, work: StepContext, facts: DeploymentRows, build: Build) -> str:
    team_id, service_id = facts.service.team_id, facts.service.id
    release = Release(
        team_id=team_id, service_id=service_id, number=await next_number(session, Release, service_id),
        build_id=build.id, image=build.image, commit=build.commit, commit_message=build.commit_message,
        config=facts.config.model_dump(mode="json"),
    )  # fmt: skip
    session.add(release)
    await session.flush()
    await put_secret(
        session, work.resources.secret_box, team_id=team_id, owner=("release", release.id), name=VARIABLES,
        value=json.dumps(dict(facts.secrets)),
    )  # fmt: skip
    return release.id
