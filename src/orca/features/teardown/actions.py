"""Asks for the deletion of a project with all in it, and records how it ended."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import BadInput
from orca.events import Fact, origin, record
from orca.features.projects.actions import delete_project
from orca.features.projects.models import Project
from orca.features.projects.queries import get_project
from orca.features.teardown.queries import list_living, list_volume_ids
from orca.features.teardown.schemas import DeletionIn
from orca.resources import PlaceInLine, TaskQueue
from orca.web.guard import Scope

TASK = "DeleteProject"


@dataclass(frozen=True, slots=True)
class Order:
    """What was confirmed: nothing that was added later is deleted."""

    team_id: str
    project_id: str
    services: list[str]
    volumes: list[str]
    """Those whose data is destroyed."""
    actor: str
    via: str
    permissions: list[str] | None
    """Of the requester, at the time of the request; None: all."""

    def as_payload(self) -> dict[str, Any]:
        """Return it as the payload of the task."""
        return {name: getattr(self, name) for name in self.__slots__}


async def request_deletion(
    session: AsyncSession, tasks: TaskQueue, scope: Scope, project_id: str, wanted: DeletionIn
) -> Project:
    """Queue the deletion; one that is in progress is left alone.

    Raises BadInput without the slug, and Forbidden for services and volumes that the requester may not delete.
    """
    project = await get_project(session, scope, project_id, lock=True)
    if wanted.confirm != project.slug:
        raise BadInput(
            f"to delete the project with all in it, confirm with its slug: “{project.slug}”",
            fields={"confirm": "is not the slug of the project"},
        )
    if project.deleting_since is not None:
        return project
    by, services = origin.get(), list(await list_living(session, project.id))
    volumes = list(await list_volume_ids(session, project.id)) if wanted.volumes == "delete" else []
    if services:
        by.check_may("service.delete", "Deleting a project with its services")
    if volumes:
        by.check_may("volume.delete", "Deleting a project with its volumes")
    permissions = None if by.permissions is None else sorted(by.permissions)
    order = Order(scope.team_id, project.id, services, volumes, by.actor, by.via, permissions)
    await tasks.enqueue(session, TASK, target=project.id, payload=order.as_payload(), place=PlaceInLine(scope.team_id))
    project.deleting_since, project.deletion_problem = now(), ""
    payload = {"name": project.name, "slug": project.slug, "services": len(services), "volumes": wanted.volumes}
    await record(session, Fact("ProjectDeletionRequested", scope.team_id, "project", project.id, payload))
    return project


async def finish_deletion(session: AsyncSession, scope: Scope, project_id: str) -> None:
    """Delete the project, which is empty now, or keep it as the place of the volumes that were to be kept."""
    project = await session.get(Project, project_id, with_for_update=True)
    if project is None or project.deleted_at is not None:
        return
    project.deleting_since = None
    volumes = await list_volume_ids(session, project_id)
    if not volumes:
        await delete_project(session, scope, project_id)
        return
    payload = {"name": project.name, "slug": project.slug, "volumes": len(volumes)}
    await record(session, Fact("ProjectDeletionFinished", scope.team_id, "project", project.id, payload))


async def fail_deletion(session: AsyncSession, project_id: str, reason: str) -> None:
    """Record why the deletion ended; it can be asked for again."""
    project = await session.get(Project, project_id, with_for_update=True)
    if project is None or project.deleting_since is None:
        return
    project.deleting_since, project.deletion_problem = None, reason[:1000]
    payload = {"name": project.name, "slug": project.slug, "reason": reason}
    fact = Fact("ProjectDeletionFailed", project.team_id, "project", project.id, payload, outcome="failed")
    await record(session, fact)
