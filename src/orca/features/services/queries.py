"""Reads of projects, services, their variables and volumes. Only `find_x` returns deleted rows."""

from collections import defaultdict
from collections.abc import Collection, Sequence

from sqlalchemy import Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db.pages import read_page
from orca.errors import NotFound
from orca.features.credentials.usage import CredentialUser, Usage
from orca.features.projects.models import Environment
from orca.features.projects.queries import get_project
from orca.features.projects.rules import FIRST_ENVIRONMENT, Naming
from orca.features.secrets.queries import open_secrets_of
from orca.features.services.models import Service, Variable
from orca.features.services.rules import VALUE, VARIABLE, OwnerType
from orca.features.services.schemas.variables import BuildVariables
from orca.features.sources.schemas import GitSource
from orca.kit.crypto import SecretBox
from orca.kit.pagination import Page, PageRequest
from orca.web.guard import Scope
from orca.web.rights import ObjectScope, find_scope

_FIRST_PAGE = PageRequest()


async def find_service(session: AsyncSession, service_id: str) -> Service | None:
    """Return a service of any team, also a deleted one: for tasks."""
    return await session.get(Service, service_id)


async def get_service(session: AsyncSession, scope: Scope, service_id: str, *, lock: bool = False) -> Service:
    """Return a service of the team; `lock` locks its row until the transaction ends."""
    query = select(Service).where(
        Service.id == service_id, Service.team_id == scope.team_id, Service.deleted_at.is_(None)
    )
    service = await session.scalar(query.with_for_update() if lock else query)
    if service is None:
        raise NotFound("there is no service with this id")
    return service


async def list_services(
    session: AsyncSession, scope: Scope, project_id: str, wanted: PageRequest = _FIRST_PAGE
) -> Page[Service]:
    """The services of a project, newest first."""
    query = select(Service).where(
        Service.team_id == scope.team_id, Service.project_id == project_id, Service.deleted_at.is_(None)
    )
    return await read_page(session, query, Service, wanted)


async def list_team_services(session: AsyncSession, scope: Scope, wanted: PageRequest) -> Page[Service]:
    """The services of all projects of a team, newest first."""
    query = select(Service).where(Service.team_id == scope.team_id, Service.deleted_at.is_(None))
    return await read_page(session, query, Service, wanted)


async def read_naming(session: AsyncSession, environment: Environment, *, but: str = "") -> Naming:
    """Return what names the services of a project have, except for the one that is renamed, for one in an environment.

    Slugs are unique in the project, as hostnames and commands name services by project and slug; names in the
    environment. So `web` of `staging` is `web-staging` beside `web` of production.
    """
    living = select(Service.slug, Service.name, Service.environment_id).where(
        Service.project_id == environment.project_id, Service.deleted_at.is_(None), Service.id != but
    )
    rows = (await session.execute(living)).all()
    elsewhere = frozenset(slug for slug, _, environment_id in rows if environment_id != environment.id)
    ending = "" if environment.slug == FIRST_ENVIRONMENT else environment.slug
    return Naming("service", {slug: name for slug, name, _ in rows}, elsewhere, ending)


def select_scope() -> Select[str, str, str, str]:
    """Select the scope of services, for `find_scope`; upper features join what belongs to a service."""
    return select(Service.team_id, Service.project_id, Service.environment_id, Service.system_id)


async def find_service_scope(session: AsyncSession, service_id: str) -> ObjectScope | None:
    """Return where a service belongs."""
    query = select_scope().where(Service.id == service_id, Service.deleted_at.is_(None))
    return await find_scope(session, query)


async def find_git_source(session: AsyncSession, service_id: str) -> GitSource | None:
    """Return the Git source of a service; None for another kind of source, or an unknown service."""
    service = await find_service(session, service_id)
    is_git = service is not None and service.source.get("type") == "git"
    return GitSource.model_validate(service.source) if service is not None and is_git else None


async def list_credential_users(session: AsyncSession, scope: Scope, credential_ids: Collection[str]) -> Usage:
    """Return the services that use these credentials."""
    credential = Service.source["credential_id"].as_string()
    query = select(credential, Service.name, Service.id).where(
        Service.team_id == scope.team_id, Service.deleted_at.is_(None), credential.in_(credential_ids)
    )
    users = defaultdict(list)
    for used, name, service_id in await session.execute(query.order_by(Service.name, Service.id)):
        users[used].append(CredentialUser(name, f"/services/{service_id}"))
    return users


async def check_owner(session: AsyncSession, scope: Scope, owner: tuple[OwnerType, str], *, lock: bool = False) -> None:
    """Raise NotFound unless the project or service that owns variables belongs to the team."""
    owner_type, owner_id = owner
    find = get_project if owner_type == "project" else get_service
    await find(session, scope, owner_id, lock=lock)


async def list_variables(session: AsyncSession, owner_type: OwnerType, owner_id: str) -> Sequence[Variable]:
    """All variables of a project or service by key; `rules.MAX_VARIABLES` bounds them. The caller checked the owner."""
    return (await session.scalars(owned_variables(owner_type, owner_id).order_by(Variable.key))).all()


def owned_variables(owner_type: OwnerType, owner_id: str) -> Select[Variable]:
    """The query for the variables of a project or service."""
    column = Variable.project_id if owner_type == "project" else Variable.service_id
    return select(Variable).where(column == owner_id)


async def get_variable(session: AsyncSession, owner_type: OwnerType, owner_id: str, key: str) -> Variable:
    """Return one variable. The caller checked the owner."""
    variable = await session.scalar(owned_variables(owner_type, owner_id).where(Variable.key == key))
    if variable is None:
        raise NotFound("there is no variable with this name")
    return variable


async def list_effective_variables(session: AsyncSession, service: Service) -> list[Variable]:
    """Return the variables of a service: those of its project, overridden by its own, by key."""
    both = or_(Variable.project_id == service.project_id, Variable.service_id == service.id)
    rows = (await session.scalars(select(Variable).where(both))).all()
    chosen = {row.key: row for row in sorted(rows, key=lambda row: row.service_id is not None)}
    return [chosen[key] for key in sorted(chosen)]


async def open_variables(session: AsyncSession, box: SecretBox, variables: Sequence[Variable]) -> dict[str, str]:
    """Return the decrypted values of the secret ones among these, by key. Raises SecretUnreadable."""
    secret = [variable for variable in variables if variable.is_secret]
    opened = await open_secrets_of(session, box, VARIABLE, [variable.id for variable in secret], VALUE)
    return {variable.key: opened[variable.id] for variable in secret if variable.id in opened}


async def list_build_variables(session: AsyncSession, box: SecretBox, service: Service) -> BuildVariables:
    """Return the variables of a service that are marked for build time."""
    variables = [variable for variable in await list_effective_variables(session, service) if variable.is_build_time]
    plain = {variable.key: variable.value or "" for variable in variables if not variable.is_secret}
    return BuildVariables(plain=plain, secret=await open_variables(session, box, variables))
