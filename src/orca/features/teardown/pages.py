"""The page on which a project is deleted with all in it, and on which one sees how far that is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession
from orca.features.projects.actions import delete_project
from orca.features.projects.models import Project
from orca.features.projects.queries import get_project
from orca.features.teardown.actions import request_deletion
from orca.features.teardown.queries import read_deletion
from orca.features.teardown.schemas import DeletionIn, DeletionOut
from orca.web.answers import Redirect, submit
from orca.web.forms import Filled, Form, fill
from orca.web.guard import CurrentResources, CurrentScope, Router, Scope, guard
from orca.web.live import Sources, stream_fragment
from orca.web.render import draw, render

router = Router(include_in_schema=False)
_LOOK_AGAIN = 2.0


@dataclass(frozen=True, slots=True)
class DeletionPage:
    """What goes with a project, and the form that confirms it."""

    project: Project
    deletion: DeletionOut | None
    """None once the project is deleted."""
    form: Filled[DeletionIn] = field(default_factory=Filled)


@router.get("/projects/{project_id}/delete")
@guard("project.delete", tenant="project_id", page=True)
async def show_deletion(project_id: str, request: Request, session: ReadSession, scope: CurrentScope) -> Response:
    """Show what goes and what stays, or how far the deletion is."""
    return await _draw(request, session, scope, project_id, Filled())


async def _draw(
    request: Request, session: AsyncSession, scope: Scope, project_id: str, form: Filled[DeletionIn]
) -> Response:
    project = await get_project(session, scope, project_id)
    page = DeletionPage(project, await read_deletion(session, project), form)
    return render(request, "teardown/delete.html", page, status=form.status)


@router.post("/projects/{project_id}/delete")
@guard("project.delete", tenant="project_id", rate="write", audit="ProjectDeletionRequested", page=True)
async def remove_project(
    project_id: str,
    request: Request,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    form: Form,
) -> Response:
    """Delete a project by its slug: an empty one at once, any other by a task that this page then shows."""

    async def act(wanted: DeletionIn) -> Redirect:
        project = await get_project(session, scope, project_id)
        left = await read_deletion(session, project)
        if wanted.confirm == project.slug and not (left.services or left.volumes or left.removing):
            await delete_project(session, scope, project_id)
            return Redirect("/projects", f"{project.name} is deleted")
        await request_deletion(session, resources.tasks, scope, project_id, wanted)
        return Redirect(f"/projects/{project_id}/delete")

    async def draw_again(again: Filled[DeletionIn]) -> Response:
        return await _draw(request, session, scope, project_id, again)

    return await submit(request, session, fill(DeletionIn, _data(form), form), act, draw_again)


def _data(form: Mapping[str, str]) -> dict[str, str]:
    return {name: form[name] for name in ("confirm", "volumes") if name in form}


@router.get("/projects/{project_id}/delete/live")
@guard("project.delete", tenant="project_id", rate="stream", page=True)
async def follow_deletion(
    project_id: str, request: Request, scope: CurrentScope, resources: CurrentResources
) -> StreamingResponse:
    """Stream how far the deletion is, until it has ended."""

    async def draw_now() -> tuple[str, bool]:
        async with resources.db.read(scope.team_id, scope.reach) as session:
            project = await session.get_one(Project, project_id)
            is_gone = project.deleted_at is not None
            deletion = None if is_gone else await read_deletion(session, project)
        page = DeletionPage(project, deletion)
        return draw(request, "teardown/_progress.html", page), deletion is None or deletion.state != "running"

    return stream_fragment(request, draw_now, Sources(look_again=_LOOK_AGAIN))
