"""Attaches, detaches and, only on a separate request, destroys volumes."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import BadInput, Conflict, NotFound
from orca.events import Fact, origin, record
from orca.features.projects.models import Environment
from orca.features.services.models import Service, ServiceMount, Volume
from orca.features.services.queries import get_service
from orca.features.services.rules import choose_volume_name
from orca.features.services.schemas.volumes import NamedMount, VolumeChanges, VolumeFields, VolumeMount
from orca.features.services.volume_queries import Attached, find_volume, list_attached, list_users
from orca.resources import PlaceInLine, TaskQueue, on_system
from orca.web.guard import Scope

DESTROY_VOLUME = "DestroyVolume"
MAX_VOLUMES = 20


async def attach_volume(session: AsyncSession, scope: Scope, service_id: str, fields: VolumeFields) -> Volume:
    """Mount a new volume, or one of the environment, from the next deployment of the service on.

    Raises Conflict and BadInput: for a taken name or path, and for another owner of a volume that others mount.
    """
    service = await get_service(session, scope, service_id, lock=True)
    volume = None if fields.volume_id is None else await _existing(session, scope, service, fields.volume_id)
    called = fields.name if volume is None else volume.last_name if volume.detached_at else volume.name
    mount = NamedMount(
        name=str(called), path=fields.path, read_only=fields.read_only,
        owner=_kept(fields.owner, volume, "owner"), mode=_kept(fields.mode, volume, "mode"),
    )  # fmt: skip
    await _check_free(session, service, mount)
    if volume is None:
        volume = await _make_volume(session, service, service.system_id, mount)
    else:
        await _check_owner(session, volume, mount)
        volume.owner, volume.mode = mount.owner, mount.mode
    await _mount(session, service, volume, mount)
    return volume


async def ensure_volumes(
    session: AsyncSession, service: Service, system_id: str, wanted: Iterable[VolumeMount], shared: Collection[str]
) -> dict[str, str]:
    """Return mount name -> volume name on the engine. What the service does not mount yet is attached or made.

    `shared` has the names that mean a volume of the environment. Raises Conflict, and Forbidden for a new mount without
    the permission.
    """
    rows = await list_attached(session, Scope(service.team_id), service.id)
    attached = {mount.name: volume for mount, volume in rows}
    names: dict[str, str] = {}
    for mount in wanted:
        volume = attached.get(mount.name)
        if volume is None:
            origin.get().check_may("volume.create", f"Adding the volume “{mount.name}”")
            await _check_free(session, service, mount)
            volume = await _find_named(session, service, system_id, mount) if mount.name in shared else None
            volume = volume or await _make_volume(session, service, system_id, mount)
            await _mount(session, service, volume, mount)
        elif mount.name in shared and volume.name != mount.name:
            raise Conflict(
                f"the service has a volume of its own that it calls “{mount.name}”, so it cannot mount the shared one",
                hint=f"Detach it first: `orc volumes detach {mount.name}`. Its data is kept.",
            )
        names[mount.name] = volume.engine_name
    return names


async def check_volumes(session: AsyncSession, service: Service, names: Mapping[str, str]) -> None:
    """Raise Conflict when a frozen volume (mount name -> name on the engine) is gone, or only others mount it now.

    Without this check the engine would create a missing volume: empty, and without a row in the database.
    """
    if not names:
        return
    query = select(Volume, ServiceMount.service_id).outerjoin(ServiceMount, ServiceMount.volume_id == Volume.id)
    users: dict[str, set[str | None]] = defaultdict(set)
    for volume, user in await session.execute(query.where(Volume.team_id == service.team_id)):
        if volume.destroying_since is None:
            users[volume.engine_name].add(user)
    for name, engine_name in names.items():
        if engine_name not in users:
            problem = "was destroyed"
        elif users[engine_name].isdisjoint({None, service.id}):
            problem = "belongs to another service now"
        else:
            continue
        raise Conflict(f"the volume “{name}” {problem}", hint="Choose a later release, or deploy with today's volumes.")


def check_place(service: Service, system_id: str, volumes: Iterable[Volume]) -> None:
    """Raise Conflict when a volume is on another system than its service is to run on: data is not moved."""
    for volume in volumes:
        if volume.system_id != system_id:
            raise Conflict(
                f"the data of the volume “{volume.name}” is on the system {volume.system_id}, and the service "
                f"{service.slug} runs on {system_id}",
                hint="A volume cannot move to another system: detach it, or keep the service where its data is.",
            )


async def update_volume(
    session: AsyncSession, scope: Scope, service_id: str, volume_id: str, changes: VolumeChanges
) -> Volume:
    """Set another owner or mode of the data, for all services that mount it; the next deployment applies it."""
    mount, volume = await _get_attached(session, scope, service_id, volume_id)
    volume.owner = volume.owner if changes.owner is None else changes.owner
    volume.mode = volume.mode if changes.mode is None else changes.mode
    mount.read_only = mount.read_only if changes.read_only is None else changes.read_only
    await _record(session, "VolumeUpdated", volume, mount)
    return volume


async def detach_volume(session: AsyncSession, scope: Scope, service_id: str, volume_id: str) -> None:
    """Detach a volume from a service, from its next deployment on. Its data stays, for others too that mount it."""
    await _detach(session, *await _get_attached(session, scope, service_id, volume_id))


async def detach_all(session: AsyncSession, service: Service) -> list[str]:
    """Detach and keep the volumes of a service that is being deleted; returns their names."""
    attached = await list_attached(session, Scope(service.team_id), service.id)
    for mount, volume in attached:
        await _detach(session, mount, volume)
    return [mounted.mount.name for mounted in attached]


async def request_destruction(
    session: AsyncSession, tasks: TaskQueue, scope: Scope, volume_id: str, confirm: str
) -> Volume:
    """Queue the destruction of a detached volume and its data. Raises Conflict while a service has it."""
    volume = await find_volume(session, scope, volume_id)
    if volume is None:
        raise NotFound("there is no volume with this id")
    if users := await list_users(session, volume.id):
        raise Conflict(
            f"the volume is attached to {', '.join(users)}",
            hint="Detach it everywhere, deploy these services, then destroy it.",
        )
    if confirm != volume.name:
        raise BadInput(
            f"to destroy the volume and its data, confirm with its name: “{volume.name}”",
            fields={"confirm": "is not the name of the volume"},
        )
    await queue_destruction(session, tasks, volume)
    return volume


async def queue_destruction(session: AsyncSession, tasks: TaskQueue, volume: Volume) -> None:
    """Queue the destruction of a volume that nothing mounts; nothing can mount it any more then."""
    if volume.destroying_since is not None:
        return
    volume.destroying_since = now()
    place = PlaceInLine(volume.team_id, needs=on_system(volume.system_id))
    await tasks.enqueue(session, DESTROY_VOLUME, target=volume.id, payload={"volume_id": volume.id}, place=place)
    await _record(session, "VolumeDestructionRequested", volume)


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


async def _make_volume(session: AsyncSession, service: Service, system_id: str, mount: VolumeMount) -> Volume:
    """Make a volume of this name, or of a similar one where the environment has it already."""
    await _lock_environment(session, service)
    taken = select(Volume.name).where(Volume.environment_id == service.environment_id)
    name = choose_volume_name(mount.name, service.slug, set(await session.scalars(taken)))
    volume = Volume(
        team_id=service.team_id, project_id=service.project_id, environment_id=service.environment_id, name=name,
        owner=mount.owner, mode=mount.mode, system_id=system_id,
        last_name=mount.name, last_path=mount.path,
    )  # fmt: skip
    session.add(volume)
    await session.flush()
    return volume


async def _lock_environment(session: AsyncSession, service: Service) -> None:
    """Let no other transaction name a volume of the environment until this one ends."""
    await session.scalar(select(Environment.id).where(Environment.id == service.environment_id).with_for_update())


async def _mount(session: AsyncSession, service: Service, volume: Volume, mount: VolumeMount) -> None:
    row = ServiceMount(
        team_id=service.team_id, service_id=service.id, volume_id=volume.id, name=mount.name, path=mount.path,
        read_only=mount.read_only,
    )  # fmt: skip
    volume.detached_at, volume.last_name, volume.last_path = None, mount.name, mount.path
    session.add(row)
    await session.flush()
    await _record(session, "VolumeAttached", volume, row)


async def _detach(session: AsyncSession, mount: ServiceMount, volume: Volume) -> None:
    await session.delete(mount)
    await session.flush()
    volume.last_name, volume.last_path = mount.name, mount.path
    if not await list_users(session, volume.id):
        volume.detached_at = now()
    await _record(session, "VolumeDetached", volume, mount)


async def _get_attached(session: AsyncSession, scope: Scope, service_id: str, volume_id: str) -> Attached:
    service = await get_service(session, scope, service_id, lock=True)
    await find_volume(session, scope, volume_id)  # locks it
    attached = await list_attached(session, scope, service.id)
    found = next((mounted for mounted in attached if mounted.volume.id == volume_id), None)
    if found is None:
        raise NotFound("this service has no volume with this id")
    return found


def _kept(given: str | None, volume: Volume | None, name: str) -> str:
    """Return the requested value; without one, a volume that exists keeps its own."""
    return given if given is not None else str(getattr(volume, name, ""))


async def _existing(session: AsyncSession, scope: Scope, service: Service, volume_id: str) -> Volume:
    volume = await find_volume(session, scope, volume_id)
    if volume is None or volume.environment_id != service.environment_id:
        raise BadInput("volume_id: there is no such volume in this project", fields={"volume_id": "is not known"})
    _check_usable(service, service.system_id, volume)
    return volume


async def _find_named(session: AsyncSession, service: Service, system_id: str, mount: VolumeMount) -> Volume | None:
    """Return the volume of the environment that is called so, with the owner and mode that the mount names."""
    await _lock_environment(session, service)
    query = select(Volume).where(Volume.environment_id == service.environment_id, Volume.name == mount.name)
    volume = await session.scalar(query.with_for_update())
    if volume is None:
        return None
    _check_usable(service, system_id, volume)
    if mount.owner:
        await _check_owner(session, volume, mount)
        volume.owner = mount.owner
    volume.mode = mount.mode or volume.mode
    return volume


def _check_usable(service: Service, system_id: str, volume: Volume) -> None:
    if volume.destroying_since is not None:
        raise Conflict("the volume is being destroyed")
    check_place(service, system_id, [volume])


async def _check_owner(session: AsyncSession, volume: Volume, mount: VolumeMount) -> None:
    """Raise Conflict when the data would get another owner while other services work with it."""
    if mount.owner == volume.owner or not (users := await list_users(session, volume.id)):
        return
    belongs = f"its data belongs to {volume.owner}" if volume.owner else "it names no owner of its data"
    raise Conflict(
        f"the volume “{volume.name}” is also mounted by {', '.join(users)}, and {belongs}",
        hint="Leave the owner out, and let all of them run as the same user; `orc volumes edit` sets it for all.",
    )


async def _check_free(session: AsyncSession, service: Service, mount: VolumeMount) -> None:
    attached = [mounted.mount for mounted in await list_attached(session, Scope(service.team_id), service.id)]
    if len(attached) >= MAX_VOLUMES:
        raise BadInput(f"a service can have at most {MAX_VOLUMES} volumes")
    if any(mounted.name == mount.name for mounted in attached):
        raise Conflict(f"the service already has a volume called “{mount.name}”", hint="Choose another name.")
    if any(mounted.path == mount.path for mounted in attached):
        raise Conflict(f"another volume of the service is at {mount.path}", hint="Choose another path.")


async def _record(session: AsyncSession, fact_type: str, volume: Volume, mount: ServiceMount | None = None) -> None:
    payload = {
        "name": mount.name if mount else volume.name, "path": mount.path if mount else volume.last_path,
        "service_id": mount.service_id if mount else None,
    }  # fmt: skip
    await record(session, Fact(fact_type, volume.team_id, "volume", volume.id, payload))
