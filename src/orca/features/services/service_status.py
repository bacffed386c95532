"""The status of a service: how its stored settings differ from its live release, for the header of all its pages.

Releases and deployments belong to a feature above this one, whose function reads them.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from orca.features import find_reader
from orca.features.manifest import ReaderKey
from orca.features.projects.models import Project
from orca.features.projects.queries import get_project
from orca.features.services.comparison import ConfigChange
from orca.features.services.models import Service
from orca.features.services.queries import get_service
from orca.resources import Resources
from orca.web.guard import Scope


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the last deployment failed, and the address of its log."""

    title: str
    reason: str
    hint: str
    href: str


@dataclass(frozen=True, slots=True)
class LastDeployment:
    """The newest deployment, and what it brought."""

    number: int
    kind: str
    state: str
    href: str
    commit: str
    message: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The data that the header of a service's pages needs besides the service and its project."""

    release_id: str = ""
    """The live release, or the one that a stopped service would start again; empty if there is none."""
    changes: tuple[ConfigChange, ...] = ()
    """Stored changes that are not deployed; none while a deployment of them is in progress."""
    revision: str = ""
    """Of what waits: who discards it says with this what was seen."""
    live_number: int = 0
    """Of the live release."""
    failure: Failure | None = None
    state: str = ""
    """As pages show it; empty until the engines were asked, which the head of a page does not wait for."""
    address: str = ""
    """The best URL; empty without a hostname."""
    address_note: str = ""
    """Why a visitor of it does not find the service there."""
    more_addresses: int = 0
    last: LastDeployment | None = None

    @property
    def pending(self) -> tuple[str, ...]:
        """The stored changes in words."""
        return tuple(change.text for change in self.changes)


class Head(NamedTuple):
    """The first fields of every page of a service: what `services/_head.html` reads."""

    service: Service
    project: Project
    status: ServiceStatus


StatusReader = Callable[[AsyncSession, Resources, Service], Awaitable[ServiceStatus]]
SERVICE_STATUS: Final = ReaderKey[StatusReader]("status of a service")


async def load_header(request: Request, session: AsyncSession, scope: Scope, service_id: str) -> Head:
    """Return the header of a service of the team, from the database and what is known of the engines already."""
    service = await get_service(session, scope, service_id)
    project = await get_project(session, scope, service.project_id)
    read = find_reader(SERVICE_STATUS)
    resources: Resources = request.app.state.resources
    return Head(service, project, await read(session, resources, service) if read else ServiceStatus())
