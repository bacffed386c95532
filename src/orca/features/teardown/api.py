"""REST doors of the deletion of a project with all in it."""

from orca.db import ReadSession, WriteSession
from orca.features.projects.queries import get_project
from orca.features.teardown.actions import request_deletion
from orca.features.teardown.queries import read_deletion
from orca.features.teardown.schemas import DeletionIn, DeletionOut
from orca.web.guard import CurrentResources, CurrentScope, Router, guard

router = Router(prefix="/api/v1", tags=["projects"])


@router.get("/projects/{project_id}/deletion", summary="See what a project's deletion takes with it")
@guard("project.delete", tenant="project_id")
async def get_deletion(project_id: str, session: ReadSession, scope: CurrentScope) -> DeletionOut:
    """Return what the project still has, and how far its deletion is. When that is done there is no project (404)."""
    return await read_deletion(session, await get_project(session, scope, project_id))


@router.post("/projects/{project_id}/deletion", status_code=202, summary="Delete a project with all in it")
@guard("project.delete", tenant="project_id", rate="write", audit="ProjectDeletionRequested")
async def create_deletion(
    project_id: str, body: DeletionIn, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> DeletionOut:
    """Delete the services with their containers, hostnames and variables, then the project.

    Needs `service.delete` too, and `volume.delete` when volumes are deleted. It goes on after a restart of Orca. With
    `volumes` kept, the project stays without services until its volumes are destroyed.
    """
    project = await request_deletion(session, resources.tasks, scope, project_id, body)
    return await read_deletion(session, project)
