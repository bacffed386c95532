"""Reads of volumes, and of the services that mount them."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import case, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db.pages import read_page
from orca.features.services.models import Service, ServiceMount, Volume
from orca.features.services.schemas.volumes import MountOut, VolumeFilter, VolumeOut
from orca.kit.pagination import Page
from orca.web.guard import Scope
from orca.web.rights import ObjectScope, find_scope

_FIRST_PAGE = VolumeFilter()


class Attached(NamedTuple):
    """A volume, and how a service mounts it."""

    mount: ServiceMount
    volume: Volume


async def list_attached(session: AsyncSession, scope: Scope, service_id: str) -> list[Attached]:
    """The volumes that a service mounts, by the names that it has for them."""
    query = (
        select(ServiceMount, Volume)
        .join(Volume, Volume.id == ServiceMount.volume_id)
        .where(Volume.team_id == scope.team_id, ServiceMount.service_id == service_id)
    )
    return [Attached(mount, volume) for mount, volume in await session.execute(query.order_by(ServiceMount.name))]


async def list_volumes(session: AsyncSession, scope: Scope, service_id: str) -> list[VolumeOut]:
    """The volumes of a service by name, each with all services that mount it."""
    volumes = [attached.volume for attached in await list_attached(session, scope, service_id)]
    seen = await describe_volumes(session, volumes, service_id)
    return sorted(seen, key=lambda volume: volume.name)


async def list_project_volumes(
    session: AsyncSession, scope: Scope, project_id: str, wanted: VolumeFilter = _FIRST_PAGE
) -> Page[VolumeOut]:
    """The volumes of a project, detached ones too, newest first."""
    query = select(Volume).where(Volume.team_id == scope.team_id, Volume.project_id == project_id)
    mounts = select(ServiceMount.id).where(ServiceMount.volume_id == Volume.id)
    if wanted.service_id is not None:
        query = query.where(mounts.where(ServiceMount.service_id == wanted.service_id).exists())
    state = case((exists(mounts.correlate(Volume)), "attached"), else_="detached")
    others = wanted.model_copy(update={"service_id": None})
    page = await read_page(session, query, Volume, others, columns={"state": state})
    seen = await describe_volumes(session, page.items, wanted.service_id)
    return Page[VolumeOut].model_construct(items=seen, next_cursor=page.next_cursor)


async def list_attachable(session: AsyncSession, scope: Scope, service: Service) -> list[VolumeOut]:
    """The volumes of the environment, on the system of the service, that it does not mount yet; by name."""
    own = select(ServiceMount.volume_id).where(ServiceMount.service_id == service.id)
    query = select(Volume).where(
        Volume.team_id == scope.team_id, Volume.environment_id == service.environment_id,
        Volume.system_id == service.system_id, Volume.destroying_since.is_(None), Volume.id.not_in(own),
    )  # fmt: skip
    return await describe_volumes(session, (await session.scalars(query.order_by(Volume.name).limit(200))).all())


async def describe_volumes(
    session: AsyncSession, volumes: Sequence[Volume], service_id: str | None = None
) -> list[VolumeOut]:
    """Return the volumes with their mounts; name and path are those of the service, if one is given."""
    mounts: dict[str, list[MountOut]] = defaultdict(list)
    query = (
        select(ServiceMount, Service)
        .join(Service, Service.id == ServiceMount.service_id)
        .where(ServiceMount.volume_id.in_([volume.id for volume in volumes]))
    )
    for mount, service in await session.execute(query.order_by(ServiceMount.id)):
        mounts[mount.volume_id].append(MountOut(
            service_id=service.id, service=service.slug, name=mount.name, path=mount.path, read_only=mount.read_only
        ))  # fmt: skip
    return [_describe(volume, mounts[volume.id], service_id) for volume in volumes]


def _describe(volume: Volume, mounts: list[MountOut], service_id: str | None) -> VolumeOut:
    own = next((mount for mount in mounts if mount.service_id == service_id), None)
    shown = own or next(iter(mounts), None)
    return VolumeOut(
        id=volume.id, project_id=volume.project_id, environment_id=volume.environment_id, system=volume.system_id,
        service_id=shown.service_id if shown else None, name=own.name if own else volume.name, volume_name=volume.name,
        path=shown.path if shown else volume.last_path, read_only=bool(own and own.read_only), mounts=mounts,
        owner=volume.owner, mode=volume.mode, created_at=volume.created_at, detached_at=volume.detached_at,
        destroying_since=volume.destroying_since,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sharing:
    """A volume that other services mount, too."""

    name: str
    owner: str
    """Whom its data belongs to, as the volume says; empty if it says nothing."""
    services: dict[str, str]
    """Id -> slug of the others."""


async def find_shared(session: AsyncSession, service: Service, engine_names: Collection[str]) -> dict[str, Sharing]:
    """Return, by name on the engine, those of these volumes that other services mount as well."""
    query = (
        select(Volume, Service)
        .join(ServiceMount, ServiceMount.volume_id == Volume.id)
        .join(Service, Service.id == ServiceMount.service_id)
        .where(Volume.environment_id == service.environment_id, Service.id != service.id)
    )
    found: dict[str, Sharing] = {}
    for volume, other in await session.execute(query.order_by(Service.slug)):
        if volume.engine_name in engine_names:
            shared = found.setdefault(volume.engine_name, Sharing(volume.name, volume.owner, {}))
            shared.services[other.id] = other.slug
    return found


async def list_users(session: AsyncSession, volume_id: str) -> list[str]:
    """Return the slugs of the services that mount a volume."""
    query = select(Service.slug).join(ServiceMount, ServiceMount.service_id == Service.id)
    return list(await session.scalars(query.where(ServiceMount.volume_id == volume_id).order_by(Service.slug)))


async def find_volume(session: AsyncSession, scope: Scope, volume_id: str) -> Volume | None:
    """A volume of the team, or None. Its row is locked until the transaction ends."""
    return await session.scalar(
        select(Volume).where(Volume.id == volume_id, Volume.team_id == scope.team_id).with_for_update()
    )


async def find_volume_scope(session: AsyncSession, volume_id: str) -> ObjectScope | None:
    """Return where a volume belongs."""
    query = select(Volume.team_id, Volume.project_id, Volume.environment_id, Volume.system_id)
    return await find_scope(session, query.where(Volume.id == volume_id))
