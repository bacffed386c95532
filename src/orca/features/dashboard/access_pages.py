"""The page of a project that shows who may do what in it, and the forms that give and take roles on it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession
from orca.errors import NotFound, OrcaError
from orca.features.access.actions import add_grant, remove_grant
from orca.features.access.queries import list_grants_of_project, list_members
from orca.features.access.schemas import GrantIn, GrantOut
from orca.features.projects.models import Project
from orca.features.projects.queries import get_project, list_environments
from orca.web.forms import Filled, Form, fill
from orca.web.guard import CurrentScope, CurrentSubject, Router, guard
from orca.web.redirects import see_other
from orca.web.render import render

router = Router(include_in_schema=False)
ROLES = (("viewer", "Viewer: see"), ("member", "Member: deploy and change"), ("admin", "Admin: everything in it"))


@dataclass(frozen=True, slots=True)
class AccessPage:
    """Who may do what in a project."""

    project: Project
    grants: Sequence[GrantOut]
    members: Sequence[tuple[str, str]]
    """E-mail and role of those who have a role in the whole team."""
    parts: Sequence[tuple[str, str]]
    """What a role can be given on: the project, as an empty value, and its environments."""
    roles: Sequence[tuple[str, str]] = ROLES
    form: Filled[Any] = field(default_factory=Filled)
    tab: str = "access"
    services: Sequence[object] = ("any",)


async def _read_page(session: AsyncSession, scope: CurrentScope, project_id: str) -> AccessPage:
    project = await get_project(session, scope, project_id)
    environments = await list_environments(session, scope, project_id)
    return AccessPage(
        project,
        await list_grants_of_project(session, scope, project_id),
        await list_members(session, scope),
        [("", "The whole project"), *((environment.id, f"Only {environment.name}") for environment in environments)],
    )


@router.get("/projects/{project_id}/access")
@guard("grant.manage", tenant="project_id", page=True)
async def show_access(project_id: str, request: Request, session: ReadSession, scope: CurrentScope) -> Response:
    """Roles on the project and on its environments, and those in the whole team."""
    return render(request, "dashboard/access.html", await _read_page(session, scope, project_id))


@router.post("/projects/{project_id}/access")
@guard("grant.manage", tenant="project_id", rate="write", audit="GrantAdded", page=True)
async def give_access(
    project_id: str, request: Request, session: WriteSession, scope: CurrentScope, subject: CurrentSubject, form: Form
) -> Response:
    """Give a user a role on the project, or on one of its environments."""
    page = await _read_page(session, scope, project_id)
    environment = form.get("environment_id", "")
    part = {"environment_id": environment} if environment else {"project_id": project_id}
    filled = fill(GrantIn, {"email": form.get("email", ""), "role": form.get("role", ""), **part}, form)
    if environment and environment not in {part_id for part_id, _ in page.parts}:
        filled = Filled(form, {"environment_id": "there is no environment with this id in the project"})
    if (wanted := filled.model) is not None:
        try:
            await add_grant(session, subject, wanted)
        except OrcaError as error:
            filled = filled.refused(error)
        else:
            return see_other(request, f"/projects/{project_id}/access", said=f"{wanted.email} has access")
    await session.rollback()
    page = replace(await _read_page(session, scope, project_id), form=filled)
    return render(request, "dashboard/access.html", page, status=422)


@router.post("/projects/{project_id}/access/{grant_id}/remove")
@guard("grant.manage", tenant="project_id", rate="write", audit="GrantRemoved", page=True)
async def take_access(
    project_id: str, grant_id: str, request: Request, session: WriteSession, scope: CurrentScope,
    subject: CurrentSubject,
) -> Response:  # fmt: skip
    """Take a role away. It ends with the user's next request."""
    if grant_id not in {grant.id for grant in await list_grants_of_project(session, scope, project_id)}:
        raise NotFound("there is no grant with this id")
    await remove_grant(session, subject, grant_id)
    return see_other(request, f"/projects/{project_id}/access", said="The role is taken away")
