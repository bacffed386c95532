"""Grants a service what reaches beyond its containers, takes it back, and checks what it asks for."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import all_teams, now
from orca.errors import BadInput, Conflict
from orca.events import Fact, record
from orca.features.projects.queries import find_environment_scope
from orca.features.services import rules
from orca.features.services.models import Service
from orca.features.services.privileges import check_granted, find_own_place, read_privilege
from orca.features.services.queries import get_service
from orca.features.services.schemas.runtime import RuntimeOptions
from orca.settings import Settings
from orca.web.guard import Scope


@dataclass(frozen=True, slots=True)
class OwnPlaces:
    """What Orca itself has of its machine, which is granted to no service."""

    ports: frozenset[int] = frozenset()
    folders: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> "OwnPlaces":
        """Read them from the settings."""
        ports = {settings.port, settings.proxy.http_port, settings.proxy.https_port}
        folder = settings.data_dir
        return cls(frozenset(ports), tuple({str(folder), str(folder.resolve())}))


async def set_privileges(
    session: AsyncSession, scope: Scope, service_id: str, wanted: Sequence[str], own: OwnPlaces
) -> Service:
    """Replace the privileges of a service. What runs keeps those that it was started with.

    The next deployment of a release that needs more is refused. Raises BadInput for a place of Orca's own, and for the
    network of an environment that the team does not have.
    """
    service = await get_service(session, scope, service_id, lock=True)
    before, after = set(service.privileges), set(wanted)
    if before == after:
        return service
    for text in sorted(after - before):
        problem = find_own_place(text, own.ports, own.folders) or await _find_unknown(session, scope, text)
        if problem:
            place = f"privileges.{list(wanted).index(text)}"
            raise BadInput(f"{place}: {problem}", fields={place: problem})
    service.privileges, service.updated_at = sorted(after), now()
    payload = {"slug": service.slug, "granted": sorted(after - before), "revoked": sorted(before - after)}
    await record(session, Fact("PrivilegesChanged", scope.team_id, "service", service.id, payload))
    return service


async def _find_unknown(session: AsyncSession, scope: Scope, text: str) -> str | None:
    privilege = read_privilege(text)
    environment_id = rules.environment_of(privilege.value) if privilege.name == "network" else None
    if environment_id is None:
        return None
    found = await find_environment_scope(session, environment_id)
    return None if found is not None and found.team_id == scope.team_id else "the team has no environment with this id"


async def check_options(
    session: AsyncSession, service: Service, options: RuntimeOptions, *, system_id: str | None = None
) -> None:
    """Raise NotGranted for options beyond the privileges of a service, and Conflict for a port that another one has."""
    check_granted(options, service.privileges, service.slug)
    ports = [rules.read_published(text) for text in options.published]
    if not ports:
        return
    with all_teams(session):  # they share the ports of a machine
        query = select(Service.team_id, Service.slug, Service.runtime).where(
            Service.system_id == (system_id or service.system_id),
            Service.deleted_at.is_(None),
            Service.id != service.id,
        )
        others = (await session.execute(query)).all()
    for team_id, slug, runtime in others:
        taken = _find_taken(ports, runtime.get("published", ()))
        if taken is not None:
            other = slug if team_id == service.team_id else "a service of another team"
            problem = f"the port {taken.shown} of the machine is taken by {other}"
            raise Conflict(problem, hint="Choose another port of the machine.", fields={"runtime.published": problem})


def _find_taken(ports: Collection[rules.PortOfMachine], published: Collection[str]) -> rules.PortOfMachine | None:
    others = [rules.read_published(text) for text in published]
    return next((port for port in ports if any(port.collides(other) for other in others)), None)
