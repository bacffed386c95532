"""Attaches, detaches and, only on a separate request, destroys volumes."""

from collections.abc import Iterable, Mapping

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import BadInput, Conflict, NotFound
from orca.events import Fact, origin, record
from orca.features.services.models import Service, Volume
from orca.features.services.queries import find_volume, get_service, list_volumes
from orca.features.services.volume_schemas import VolumeChanges, VolumeFields, VolumeMount
from orca.resources import PlaceInLine, TaskQueue
from orca.web.guard import Scope

DESTROY_VOLUME = "DestroyVolume"
MAX_VOLUMES = 20


async def attach_volume(session: AsyncSession, scope: Scope, service_id: str, fields: VolumeFields) -> Volume:
    """Attach a new volume, or a detached one of the same project; it is mounted from the next deployment on."""
    service = await get_service(session, scope, service_id, lock=True)
    volume = None if fields.volume_id is None else await _detached(session, scope, service, fields.volume_id)
    mount = VolumeMount(
        name=volume.name if volume else str(fields.name), path=fields.path,
        owner=_kept(fields.owner, volume, "owner"), mode=_kept(fields.mode, volume, "mode"),
    )  # fmt: skip
    await _check_free(session, scope, service, mount)
    if volume is None:
        volume = _new_volume(service, mount)
        session.add(volume)
    else:
        volume.service_id, volume.path, volume.detached_at = service.id, mount.path, None
        volume.owner, volume.mode = mount.owner, mount.mode
    try:
        await session.flush()
    except IntegrityError:
        raise _path_taken(mount.path) from None
    await _record(session, "VolumeAttached", volume)
    return volume


async def add_volumes(session: AsyncSession, service: Service, mounts: Iterable[VolumeMount]) -> None:
    """Create the volumes of a new service."""
    for mount in mounts:
        volume = _new_volume(service, mount)
        session.add(volume)
        await session.flush()
        await _record(session, "VolumeAttached", volume)


async def ensure_volumes(
    session: AsyncSession, service: Service, system_id: str, mounts: Iterable[VolumeMount]
) -> dict[str, str]:
    """Return mount name -> volume name on the engine; volumes that are new in `orca.yaml` are created."""
    attached = {each.name: each for each in await list_volumes(session, Scope(service.team_id), service.id)}
    names: dict[str, str] = {}
    for mount in mounts:
        volume = attached.get(mount.name)
        if volume is None:
            origin.get().check_may("volume.create", f"Making the volume “{mount.name}”")
            await _check_free(session, Scope(service.team_id), service, mount)
            volume = _new_volume(service, mount)
            volume.system_id = system_id
            session.add(volume)
            await session.flush()
            await _record(session, "VolumeAttached", volume)
        names[mount.name] = volume.engine_name
    return names


async def check_volumes(session: AsyncSession, service: Service, names: Mapping[str, str]) -> None:
    """Raise Conflict when a frozen volume (mount name -> name on the engine) is gone, or belongs to another service.

    Without this check the engine would create a missing volume: empty, and without a row in the database.
    """
    if not names:
        return
    rows = await session.scalars(select(Volume).where(Volume.team_id == service.team_id))
    known = {each.engine_name: each for each in rows if each.destroying_since is None}
    for name, engine_name in names.items():
        if engine_name not in known:
            problem = "was destroyed"
        elif known[engine_name].service_id not in {None, service.id}:
            problem = "belongs to another service now"
        else:
            continue
        raise Conflict(f"the volume “{name}” {problem}", hint="Choose a later release, or deploy with today's volumes.")


def check_place(service: Service, volumes: Iterable[Volume]) -> None:
    """Raise Conflict when a volume is on another system than its service is to run on: data is not moved."""
    for volume in volumes:
        if volume.system_id != service.system_id:
            raise Conflict(
                f"the data of the volume “{volume.name}” is on the system {volume.system_id}, and the service "
                f"{service.slug} runs on {service.system_id}",
                hint="A volume cannot move to another system: detach it, or keep the service where its data is.",
            )


async def update_volume(
    session: AsyncSession, scope: Scope, service_id: str, volume_id: str, changes: VolumeChanges
) -> Volume:
    """Set another owner or mode; the next deployment applies it to the data."""
    service = await get_service(session, scope, service_id, lock=True)
    volume = await find_volume(session, scope, volume_id)
    if volume is None or volume.service_id != service.id:
        raise NotFound("this service has no volume with this id")
    volume.owner = volume.owner if changes.owner is None else changes.owner
    volume.mode = volume.mode if changes.mode is None else changes.mode
    await _record(session, "VolumeUpdated", volume)
    return volume


async def detach_volume(session: AsyncSession, scope: Scope, service_id: str, volume_id: str) -> None:
    """Detach a volume from a service, from its next deployment on. Its data stays."""
    service = await get_service(session, scope, service_id, lock=True)
    volume = await find_volume(session, scope, volume_id)
    if volume is None or volume.service_id != service.id:
        raise NotFound("this service has no volume with this id")
    volume.service_id, volume.detached_at = None, now()
    await _record(session, "VolumeDetached", volume, service_id=service.id)


async def detach_all(session: AsyncSession, service: Service) -> list[str]:
    """Detach and keep the volumes of a service that is being deleted; returns their names."""
    volumes = await list_volumes(session, Scope(service.team_id), service.id)
    for volume in volumes:
        volume.service_id, volume.detached_at = None, now()
        await _record(session, "VolumeDetached", volume, service_id=service.id)
    return [each.name for each in volumes]


async def request_destruction(
    session: AsyncSession, tasks: TaskQueue, scope: Scope, volume_id: str, confirm: str
) -> Volume:
    """Queue the destruction of a detached volume and its data. Raises Conflict while a service has it."""
    volume = await find_volume(session, scope, volume_id)
    if volume is None:
        raise NotFound("there is no volume with this id")
    if volume.service_id is not None:
        raise Conflict("the volume is attached to a service", hint="Detach it, deploy the service, then destroy it.")
    if confirm != volume.name:
        raise BadInput(
            f"to destroy the volume and its data, confirm with its name: “{volume.name}”",
            fields={"confirm": "is not the name of the volume"},
        )
    if volume.destroying_since is None:
        volume.destroying_since = now()
        payload = {"volume_id": volume.id}
        await tasks.enqueue(
            session, DESTROY_VOLUME, target=volume.id, payload=payload, place=PlaceInLine(volume.team_id)
        )
        await _record(session, "VolumeDestructionRequested", volume)
    return volume


async def finish_destruction(session: AsyncSession, volume_id: str, failure: str | None) -> None:
    """Finish a destruction: delete the row of a removed volume, or keep it and record why the removal failed."""
    volume = await session.get(Volume, volume_id)
    if volume is None:
        return
    if failure is None:
        await _record(session, "VolumeDestroyed", volume)
        await session.delete(volume)
        return
    if volume.destroying_since is None:
        return  # recorded already
    volume.destroying_since = None
    payload = {"name": volume.name, "reason": failure}
    await record(
        session, Fact("VolumeDestructionFailed", volume.team_id, "volume", volume.id, payload, outcome="failed")
    )


def _new_volume(service: Service, mount: VolumeMount) -> Volume:
    return Volume(
        team_id=service.team_id, project_id=service.project_id, service_id=service.id, name=mount.name,
        path=mount.path, owner=mount.owner, mode=mount.mode, system_id=service.system_id,
    )  # fmt: skip


def _kept(given: str | None, volume: Volume | None, name: str) -> str:
    """Return the requested value; without one, a volume that is attached again keeps its own."""
    return given if given is not None else str(getattr(volume, name, ""))


async def _detached(session: AsyncSession, scope: Scope, service: Service, volume_id: str) -> Volume:
    volume = await find_volume(session, scope, volume_id)
    if volume is None or volume.project_id != service.project_id:
        raise BadInput("volume_id: there is no such volume in this project", fields={"volume_id": "is not known"})
    if volume.service_id is not None:
        raise Conflict("the volume is attached to a service", hint="Detach it there first.")
    if volume.destroying_since is not None:
        raise Conflict("the volume is being destroyed")
    check_place(service, [volume])
    return volume


async def _check_free(session: AsyncSession, scope: Scope, service: Service, mount: VolumeMount) -> None:
    attached = await list_volumes(session, scope, service.id)
    if len(attached) >= MAX_VOLUMES:
        raise BadInput(f"a service can have at most {MAX_VOLUMES} volumes")
    if any(each.name == mount.name for each in attached):
        raise Conflict(f"the service already has a volume called “{mount.name}”", hint="Choose another name.")
    if any(each.path == mount.path for each in attached):
        raise _path_taken(mount.path)


def _path_taken(path: str) -> Conflict:
    return Conflict(f"another volume of the service is at {path}", hint="Choose another path.")


async def _record(session: AsyncSession, fact_type: str, volume: Volume, *, service_id: str | None = None) -> None:
    payload = {"name": volume.name, "path": volume.path, "service_id": service_id or volume.service_id}
    await record(session, Fact(fact_type, volume.team_id, "volume", volume.id, payload))
