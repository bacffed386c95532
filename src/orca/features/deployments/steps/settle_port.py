"""Decides the port of a service that sets none: from its source or its image, or by a user's choice."""

from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.deployments import queries
from orca.features.deployments.errors import SeveralPorts
from orca.features.deployments.models import Build, Deployment, Release
from orca.features.deployments.steps.listening import MOST_REMEDIES, set_port
from orca.features.deployments.steps.work import DeploymentRows, StepContext
from orca.features.services.rules import name_port_choices
from orca.features.services.schemas.settings import FrozenConfig
from orca.sdk.containers import Image
from orca.sdk.ports import find_visitor_ports

DEFAULT_PORT = 8080


async def choose_port(work: StepContext, facts: DeploymentRows, choices: tuple[int, ...]) -> int | None:
    """Return which of several ports is for visitors: the one of the live release.

    None when there are fewer than two, when the service sets its ports, or when it has no visitors. Raises
    SeveralPorts with a remedy for each port.
    """
    if len(choices) < 2 or facts.config.ports or facts.config.kind == "worker":  # noqa: PLR2004 - several
        return None
    async with work.resources.db.read() as session:
        served = await _find_served(session, facts.service.id)
    if served in choices:
        return served
    reason, hint = name_port_choices(choices)
    hint = f"{hint} Or run `orc services edit {facts.service.slug} --port {choices[0]}`, and deploy again."
    remedies = [set_port(facts, choice) for choice in choices[:MOST_REMEDIES]]
    raise SeveralPorts(reason, hint=hint, remedies=remedies)


async def _find_served(session: AsyncSession, service_id: str) -> int | None:
    live = await queries.find_live(session, service_id)
    release = await session.get(Release, live.release_id) if live else None
    ports = FrozenConfig.model_validate(release.config).public_ports() if release else ()
    return next(iter(ports), None)


async def settle_port(work: StepContext, facts: DeploymentRows, detected: int | None, image: Image | None) -> None:
    """Set the port of a service that has none to the one its builder or image names, and store it in the build."""
    found = find_visitor_ports(image.ports, image.named_port) if image else ()
    port = detected or await choose_port(work, facts, found) or (found[0] if found else DEFAULT_PORT)
    settled = facts.config.listen_on(port)
    async with work.resources.db.write() as session:
        build = await session.get_one(Build, facts.deployment.build_id)
        build.port = port
        deployment = await session.get_one(Deployment, work.deployment_id)
        deployment.config = deployment.config | settled.model_dump(mode="json")
