"""How a service stands between what is stored and what runs, as the head of all its pages tells it.

Releases and deployments are told by a feature above this one, which registers the function that reads them.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.services.models import Project, Service
from orca.features.services.queries import get_project, get_service
from orca.web.guard import Scope


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the last deployment did not succeed, and where its log is."""

    title: str
    reason: str
    hint: str
    href: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What the head of a service's pages needs besides the service and its project."""

    release_id: str = ""
    """The live release, or the one that a stopped service starts again; empty while there is nothing to start."""
    pending: tuple[str, ...] = ()
    """What is stored and not deployed, in words; empty while a deployment that brings it is under way."""
    failure: Failure | None = None


class Head(NamedTuple):
    """The first fields of every page of a service: what `services/_head.html` reads."""

    service: Service
    project: Project
    standing: Standing


StandingReader = Callable[[AsyncSession, Service], Awaitable[Standing]]
_readers: list[StandingReader] = []


def standing_reader(reader: StandingReader) -> StandingReader:
    """Register the one function that knows of releases."""
    _readers[:] = [reader]
    return reader


async def read_standing(session: AsyncSession, service: Service) -> Standing:
    """Rows only: the engine is not asked."""
    return await _readers[0](session, service) if _readers else Standing()


async def read_head(session: AsyncSession, scope: Scope, service_id: str) -> Head:
    """The head of a service of the team."""
    service = await get_service(session, scope, service_id)
    return Head(service, await get_project(session, scope, service.project_id), await read_standing(session, service))
