"""Creates, changes and deletes services."""

from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import BadInput, Conflict
from orca.events import Fact, origin, record
from orca.features.credentials.models import GitCredential, RegistryCredential
from orca.features.credentials.queries import (
    check_credential_host,
    check_login_registry,
    find_credential,
)
from orca.features.projects.models import Environment, Project
from orca.features.projects.queries import choose_environment
from orca.features.services.actions.privileges import check_options
from orca.features.services.actions.variables import delete_variables
from orca.features.services.actions.volumes import detach_all, ensure_volumes
from orca.features.services.models import Service, Variable, Volume
from orca.features.services.privileges import check_granted
from orca.features.services.queries import get_service, read_naming
from orca.features.services.rules import Kind
from orca.features.services.schemas.services import ServiceChanges, ServiceFields
from orca.features.services.schemas.settings import AUTO, ServiceSettings, ports_for_kind
from orca.features.services.volume_queries import list_attached
from orca.features.sources.queries import find_upload
from orca.features.sources.rules import ImageRef, RepoUrl
from orca.features.sources.schemas import DirectorySource, GitSource, ImageSource, Source
from orca.plugins import list_installed
from orca.resources import Resources
from orca.systems import LOCAL, System
from orca.web.guard import Scope

_BLOCKERS_SHOWN = 20
NOTHING: Mapping[str, Any] = {}
_SETTINGS = tuple(ServiceSettings.model_fields)


async def create_service(session: AsyncSession, scope: Scope, project: Project, fields: ServiceFields) -> Service:
    """Create a service in an environment of the project, by default in `production`.

    Raises Conflict (name or slug taken), BadInput, NotGranted, and Forbidden for variables and volumes that the
    requester may not add to an existing service either.
    """
    by = origin.get()
    if project.deleting_since is not None:
        raise Conflict("the project is being deleted", hint="Create the service in another project.")
    if fields.variables:
        by.check_may("variable.write", "A new service with variables")
    if fields.volumes:
        by.check_may("volume.create", "A new service with volumes")
    fields.check_kind(fields.kind)
    _check_builder(fields.build.builder)
    check_granted(fields.runtime, (), fields.slug or fields.name)
    await check_source(session, scope, fields.source, service_id=None)
    await _check_system(session, fields.system)
    environment = await choose_environment(session, project, fields.environment, lock=True)
    naming = await read_naming(session, environment)
    slug = naming.choose_slug(fields.name, fields.slug)
    service = Service(
        team_id=scope.team_id, project_id=project.id, environment_id=environment.id, name=fields.name, slug=slug,
        kind=fields.kind, system_id=fields.system, source=fields.source.model_dump(mode="json"),
        build=fields.build.model_dump(mode="json"),
        **fields.model_dump(mode="json", include=set(_SETTINGS)),
    )  # fmt: skip
    service.ports = [port.model_dump(mode="json") for port in ports_for_kind(fields.kind, fields)]
    session.add(service)
    try:
        await session.flush()
    except IntegrityError:
        raise naming.slug_taken(slug) from None
    for key, value in fields.variables.items():
        session.add(Variable(team_id=scope.team_id, service_id=service.id, key=key, value=value))
    payload = {"name": service.name, "slug": slug, "kind": service.kind, "project_id": project.id}
    await record(session, Fact("ServiceCreated", scope.team_id, "service", service.id, payload))
    shared = {volume.name for volume in fields.volumes if volume.shared}
    await ensure_volumes(session, service, service.system_id, fields.volumes, shared)
    return service


async def update_service(session: AsyncSession, scope: Scope, service_id: str, changes: ServiceChanges) -> Service:
    """Change settings; they take effect with the next deployment.

    Raises Conflict for a version that is not current, and NotGranted for options beyond the service's privileges.
    """
    service = await get_service(session, scope, service_id, lock=True)
    if changes.version is not None and changes.version != service.version:
        raise Conflict(
            f"the service was changed meanwhile: it is at version {service.version}, not {changes.version}",
            hint="Load it again and repeat your change.",
        )
    if changes.source is not None:
        await check_source(session, scope, changes.source, service_id=service.id, kept=service.source)
    changed = _find_changes(service, changes)
    if not changed:
        return service
    if "build" in changed and changed["build"]["builder"] != service.build.get("builder"):
        _check_builder(changed["build"]["builder"])
    if "name" in changed:
        environment = await session.get_one(Environment, service.environment_id)
        (await read_naming(session, environment, but=service.id)).check_name(changed["name"])
    if "system" in changed:
        await _check_move(session, scope, service, changed["system"])
    for column, value in changed.items():
        setattr(service, column, value)
    _check_result(service)
    if "runtime" in changed or "system" in changed:
        await check_options(session, service, settings_of(service).runtime)
    service.version += 1
    service.updated_at = now()
    payload = {"slug": service.slug, "fields": sorted(changed), "version": service.version}
    await record(session, Fact("ServiceUpdated", scope.team_id, "service", service.id, payload))
    return service


def _find_changes(service: Service, changes: ServiceChanges) -> dict[str, Any]:
    """Return the columns whose value changes. A null in the request means that the field is not set."""
    given = changes.model_dump(mode="json", include=changes.model_fields_set - {"version"}, exclude={"version"})
    stored = settings_of(service).model_dump(mode="json")  # with the defaults of what is newer than the row
    return {
        name: value for name, value in given.items()
        if value is not None and value != stored.get(name, getattr(service, name))
    }  # fmt: skip


def _check_builder(name: str) -> None:
    """Raise BadInput for a builder that is not installed."""
    names = (AUTO, *list_installed("builders"))
    if name not in names:
        problem = f"is none of {', '.join(names)}"
        raise BadInput(f"build.builder: {problem}", fields={"build.builder": problem})


async def _check_system(session: AsyncSession, system_id: str) -> None:
    """Raise BadInput for an unknown system, and Forbidden for one that the requester may not use."""
    if system_id == LOCAL:
        return
    origin.get().check_may("instance.admin", "Running a service on another system")
    if await session.get(System, system_id) is None:
        raise BadInput("system: there is nothing with this id", fields={"system": "is not known"})


async def _check_move(session: AsyncSession, scope: Scope, service: Service, system_id: str) -> None:
    """Check a move to another system. Raises Conflict for a service with volumes: its data would stay behind."""
    await _check_system(session, system_id)
    mounts = [mounted.mount for mounted in await list_attached(session, scope, service.id)]
    if mounts:
        names = ", ".join(mount.name for mount in mounts)
        raise Conflict(
            f"the service cannot move to the system {system_id}: the data of its volumes stays on {service.system_id}",
            hint=f"Detach them first ({names}), or make a new service there and copy the data.",
            blockers=[f"volume {mount.name}" for mount in mounts],
        )


def _check_result(service: Service) -> None:
    """Raise BadInput when the changed settings do not fit together."""
    settings = settings_of(service)
    kind = cast("Kind", service.kind)
    settings.check_kind(kind)
    service.ports = [port.model_dump(mode="json") for port in ports_for_kind(kind, settings)]


def settings_of(service: Service) -> ServiceSettings:
    """Return the settings of a service as a model."""
    return ServiceSettings.model_validate({name: getattr(service, name) for name in _SETTINGS})


async def delete_service(session: AsyncSession, scope: Scope, service_id: str, confirm: str | None) -> None:
    """Delete a service, its variables and their secrets. Its volumes are detached and kept.

    Subscribers of `ServiceDeleted` remove its containers. Raises BadInput without its slug as `confirm`.
    """
    service = await get_service(session, scope, service_id, lock=True)
    if confirm != service.slug:
        raise BadInput(
            f"to delete the service, confirm with its slug: “{service.slug}”",
            hint=f"Repeat the request with ?confirm={service.slug}. Volumes are kept.",
            fields={"confirm": "is not the slug of the service"},
        )
    volumes = await detach_all(session, service)
    await delete_variables(session, ("service", service.id))
    service.deleted_at = service.updated_at = now()
    payload = {"name": service.name, "slug": service.slug, "project_id": service.project_id, "kept_volumes": volumes}
    await record(session, Fact("ServiceDeleted", scope.team_id, "service", service.id, payload))


async def check_source(
    session: AsyncSession, scope: Scope, source: Source, *, service_id: str | None, kept: Mapping[str, Any] = NOTHING
) -> None:
    """Check that every id in a source belongs to the team; a foreign id raises the same error as an unknown one.

    `kept` is the source that the service has had so far. Raises BadInput, Forbidden for a credential that the requester
    may not choose, and GitCredentialElsewhere or RegistryCredentialElsewhere for a credential that is made for another
    host than the repository's or the image's.
    """
    found: object
    if isinstance(source, DirectorySource):
        field, named = "source.upload_id", source.upload_id
        found = named and service_id and await find_upload(session, scope, service_id, named)
    else:
        field, named = "source.credential_id", source.credential_id
        if named is not None and _place(source.model_dump(mode="json")) != _place(kept):
            origin.get().check_may("credential.use", "A stored credential for another repository or image")
        table: type[GitCredential | RegistryCredential] = (
            GitCredential if isinstance(source, GitSource) else RegistryCredential
        )
        found = named and await find_credential(session, scope, table, named)
    if named is not None and not found:
        raise BadInput(f"{field}: there is nothing with this id", fields={field: "is not known"})
    if isinstance(source, GitSource) and isinstance(found, GitCredential):
        check_credential_host(found, RepoUrl.parse(source.repository).authority)
    if isinstance(source, ImageSource) and isinstance(found, RegistryCredential):
        check_login_registry(found, ImageRef.parse(source.image).registry)


def _place(source: Mapping[str, Any]) -> tuple[str, str]:
    """Return what is fetched, whatever its branch or tag, and with which credential."""
    fetched = str(source.get("repository") or "")
    if source.get("image"):
        image = ImageRef.parse(str(source["image"]))
        fetched = f"{image.registry}/{image.repository}"
    return fetched, str(source.get("credential_id") or "")


async def check_credential_unused(session: AsyncSession, credential_id: str) -> None:
    """Raise Conflict when a service uses the credential."""
    query = select(Service.slug).where(
        Service.deleted_at.is_(None), Service.source["credential_id"].as_string() == credential_id
    )
    users = (await session.scalars(query.order_by(Service.slug))).all()
    if users:
        raise Conflict(
            f"the credential is used by: {', '.join(users)}",
            hint="Give these services another credential first.",
            blockers=[f"service {slug}" for slug in users],
        )


async def check_project_empty(session: AsyncSession, project_id: str) -> None:
    """Raise Conflict that lists the services and volumes a project still has."""
    project = await session.get_one(Project, project_id)
    await _check_empty(
        session, f"the project “{project.slug}”", Service.project_id == project_id, Volume.project_id == project_id,
        hint="`orc projects delete --with-services` deletes all of it, and so does the project's page.",
    )  # fmt: skip


async def check_environment_empty(session: AsyncSession, environment_id: str) -> None:
    """Raise Conflict that lists the services and volumes an environment still has."""
    environment = await session.get_one(Environment, environment_id)
    await _check_empty(
        session, f"the environment “{environment.slug}”", Service.environment_id == environment_id,
        Volume.environment_id == environment_id, hint="Delete its services first, and destroy its volumes.",
    )  # fmt: skip


async def _check_empty(
    session: AsyncSession, what: str, services_in: ColumnElement[bool], volumes_in: ColumnElement[bool], *, hint: str
) -> None:
    services = select(Service.slug).where(services_in, Service.deleted_at.is_(None)).order_by(Service.slug)
    volumes = select(Volume.name, Volume.id).where(volumes_in).order_by(Volume.name)
    blockers = [
        *(f"service {slug}" for slug in (await session.scalars(services)).all()),
        *(f"volume {name} ({volume_id})" for name, volume_id in await session.execute(volumes)),
    ]
    if blockers:
        shown = ", ".join(blockers[:_BLOCKERS_SHOWN])
        more = f" and {len(blockers) - _BLOCKERS_SHOWN} more" if len(blockers) > _BLOCKERS_SHOWN else ""
        raise Conflict(f"{what} still has: {shown}{more}", hint=hint, blockers=blockers)


async def take_upload(session: AsyncSession, _resources: Resources, fact: Fact) -> None:
    """Set the new upload as the source of a directory service, so that the next deployment uses it."""
    service = await session.get(Service, fact.object_id)
    if service is not None and service.source["type"] == "directory":
        service.source = {**service.source, "upload_id": fact.payload["upload_id"]}
