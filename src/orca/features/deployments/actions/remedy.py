"""Apply a remedy that a failed deployment proposed, and deploy again."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from orca.errors import Conflict, Forbidden, NotFound
from orca.features.deployments import queries
from orca.features.deployments.actions.start import DeploymentRequest, start_deployment
from orca.features.deployments.models import Deployment
from orca.features.deployments.schemas import Remedy
from orca.features.services.actions import update_service, update_volume
from orca.features.services.models import Service
from orca.features.services.queries import get_service
from orca.features.services.schemas.services import ServiceChanges
from orca.features.services.schemas.settings import Port
from orca.features.services.schemas.volumes import VolumeChanges
from orca.features.services.volume_queries import list_attached, list_users
from orca.resources import Resources
from orca.web.guard import Scope, Subject

NEEDS = {"set-port": "service.update", "own-volume": "volume.update"}


async def apply_remedy(
    session: AsyncSession, resources: Resources, subject: Subject, deployment: Deployment, number: int, *, trigger: str
) -> Deployment:
    """Change the setting that the remedy names, and deploy the same image. Raises NotFound, Forbidden and Conflict."""
    if number >= len(deployment.remedies):
        raise NotFound("this deployment has no such remedy")
    remedy = Remedy.model_validate(deployment.remedies[number])
    if not subject.can(NEEDS[remedy.action]):
        raise Forbidden(f"this needs the permission {NEEDS[remedy.action]}")
    scope = Scope(deployment.team_id)
    service = await get_service(session, scope, deployment.service_id)
    if remedy.action == "set-port":
        await _set_port(session, scope, service, deployment, remedy)
    else:
        await _own_volume(session, scope, service, remedy)
    build = await queries.find_build(session, deployment.build_id)
    build_id = build.id if build is not None and build.state == "succeeded" and build.image else None
    return await start_deployment(session, resources, service, DeploymentRequest(trigger=trigger, build_id=build_id))


async def _set_port(
    session: AsyncSession, scope: Scope, service: Service, deployment: Deployment, remedy: Remedy
) -> None:
    """Change the port that hostnames lead to; other ports stay."""
    stored = service.ports or deployment.config.get("ports") or []
    ports = [Port.model_validate(fields) for fields in stored]
    others = [port for port in ports if not port.public and port.port != remedy.port]
    name = next((port.name for port in ports if port.public), "http")
    changes: dict[str, Any] = {"ports": [Port(name=name, port=remedy.port or 0, public=True), *others]}
    if service.health.get("port") is not None:
        changes["health"] = {**service.health, "port": None}
    await update_service(session, scope, service.id, ServiceChanges.model_validate(changes))


async def _own_volume(session: AsyncSession, scope: Scope, service: Service, remedy: Remedy) -> None:
    attached = await list_attached(session, scope, service.id)
    volume = next((mounted.volume for mounted in attached if mounted.mount.name == remedy.volume), None)
    if volume is None:
        raise Conflict(f"the service has no volume “{remedy.volume}” any more")
    users = await list_users(session, volume.id)
    if len(users) > 1:
        raise Conflict(
            f"the volume “{remedy.volume}” is mounted by {', '.join(users)} now",
            hint=f"`orc volumes edit {remedy.volume} --owner {remedy.owner}` changes the owner of its data for all.",
        )
    await update_volume(session, scope, service.id, volume.id, VolumeChanges(owner=remedy.owner))
