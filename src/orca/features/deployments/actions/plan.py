"""Store the steps of a deployment, and correct them once the source is fetched and its `orca.yaml` was read."""

from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.deployments import queries, rules
from orca.features.deployments.models import Deployment, DeploymentStep
from orca.features.services.schemas.settings import FrozenConfig


def frozen_config(deployment: Deployment) -> FrozenConfig:
    """Return the runtime configuration of a deployment, without its build options."""
    known = {key: value for key, value in deployment.config.items() if key in FrozenConfig.model_fields}
    return FrozenConfig.model_validate(known)


async def plan_steps(session: AsyncSession, deployment: Deployment, *, has_image: bool) -> None:
    """Create the rows of its steps, in order; existing rows keep their state."""
    config = frozen_config(deployment) if deployment.config else None
    names = rules.steps_of(
        deployment.kind, has_image=has_image, has_release_command=bool(config and config.release_command),
        recreates=bool(config and config.recreates),
    )  # fmt: skip
    known = {step.name: step for step in await queries.list_steps(session, deployment.id)}
    for position, name in enumerate(names):
        step = known.pop(name, None) or DeploymentStep(deployment_id=deployment.id, name=name)
        step.position = position
        session.add(step)
    for needless in known.values():
        await session.delete(needless)
