"""The switchers in the breadcrumb: other projects, and other services of a project."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession
from orca.features.projects.models import Project
from orca.features.services.models import Service
from orca.web.guard import SIGNED_IN, CurrentScope, CurrentSubject, Router, Scope, Subject, guard, narrowed
from orca.web.render import render

router = Router(include_in_schema=False)
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of a switcher."""

    label: str
    href: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Choices:
    """What a switcher shows."""

    entries: Sequence[Choice]
    has_more: bool


class SwitcherQuery(BaseModel):
    """What a switcher is asked for."""

    q: str = Field("", max_length=100)
    project: str = Field("", max_length=64)
    """Id of the project whose services are wanted."""


@router.get("/switcher/projects")
@narrowed("service.read")
@guard(SIGNED_IN, page=True)
async def show_other_projects(
    request: Request, session: ReadSession, scope: CurrentScope, subject: CurrentSubject,
    asked: Annotated[SwitcherQuery, Query()],
) -> Response:  # fmt: skip
    """Projects whose name contains what was typed."""
    found = await _find(session, subject, _projects(scope), asked.q)
    return _draw(request, "projects", found, "")


@router.get("/switcher/services")
@narrowed("service.read")
@guard(SIGNED_IN, page=True)
async def show_other_services(
    request: Request, session: ReadSession, scope: CurrentScope, subject: CurrentSubject,
    asked: Annotated[SwitcherQuery, Query()],
) -> Response:  # fmt: skip
    """Services of a project whose name contains what was typed; they open at the tab that is open now."""
    found = await _find(session, subject, _services(scope, asked.project), asked.q)
    parts = _place(request)
    tab = f"/{parts[2]}" if parts[:1] == ["services"] and len(parts) > 2 else ""  # noqa: PLR2004 - /services/<id>/<tab>
    tabs = {entry.path for entry in request.app.state.menus.tabs if entry.of == "service"}
    return _draw(request, "services", found, tab if tab in tabs else "")


def _place(request: Request) -> list[str]:
    return urlsplit(request.headers.get("HX-Current-URL", "")[:2000]).path.split("/")[1:]


def _draw(request: Request, kind: str, found: Sequence[Row[str, str]], after: str) -> Response:
    here = _place(request)
    choices = [Choice(name, f"/{kind}/{object_id}{after}", object_id in here) for object_id, name in found[:_SHOWN]]
    return render(request, "dashboard/_switcher.html", Choices(choices, len(found) > _SHOWN))


def _projects(scope: Scope) -> Select[str, str]:
    return select(Project.id, Project.name).where(Project.team_id == scope.team_id, Project.deleted_at.is_(None))


def _services(scope: Scope, project: str) -> Select[str, str]:
    mine = (Service.team_id == scope.team_id, Service.project_id == project, Service.deleted_at.is_(None))
    return select(Service.id, Service.name).where(*mine)


async def _find(session: AsyncSession, subject: Subject, query: Select[str, str], text: str) -> Sequence[Row[str, str]]:
    if not subject.can_anywhere("service.read"):
        return []
    identifier, name = query.selected_columns
    query = query.where(name.icontains(text.strip(), autoescape=True)).order_by(name, identifier)
    return (await session.execute(query.limit(_SHOWN + 1))).all()
