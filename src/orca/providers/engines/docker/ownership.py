"""Reads and sets the owners of a container's volumes through archives of the Engine API.

The first entry of a path's archive is the path itself, and uploading an archive over a folder sets the folder's owner
and mode to those of its entry. So images need no shell for this, and it works in containers that have never run.
"""

import asyncio
import base64
import io
import json
import tarfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from posixpath import basename, dirname
from typing import Any

from orca.providers.engines.docker.connection import QUICK, SLOW, ApiRequest, DockerConnection
from orca.providers.engines.docker.failures import NoSuchObject
from orca.sdk.workloads import File, Mount, Unwritable, VolumeOwner

_HEAD_BYTES = 1 << 18
_USERS_BYTES = 1 << 20
_MOST_LINKS = 3
_MAKES_ITSELF = {"lost+found"}
"""Names that a file system creates in its own root."""
_WRITE, _ENTER = 0o2, 0o1


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """The user and groups that a process runs as."""

    uid: int
    gid: int
    groups: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class VolumeContents:
    """A volume at a path: its folder, and the first entries in it."""

    path: str
    """The real path of the folder when the given one is a link."""
    folder: tarfile.TarInfo
    inside: tuple[tarfile.TarInfo, ...]


class Ownership:
    """Inspects the volumes of containers, and sets the owner of empty ones to the container's user."""

    def __init__(self, connection: DockerConnection) -> None:
        self._connection = connection

    async def prepare(self, facts: Mapping[str, Any], mounts: Sequence[Mount]) -> None:
        """Set owner and mode of the empty volumes of a container that has never run.

        The owner is the one that the mount names, else the container's user if the folder belongs to root: a folder
        that the image assigned to another user is correct already. The contents of a volume are never changed.
        """
        identity = await self._identify(facts)
        for mount in mounts:
            seen = None if mount.read_only else await self._look(facts["Id"], mount.path)
            if seen is None or seen.inside:
                continue
            wanted = choose_owner(mount, seen.folder, identity)
            if wanted != (seen.folder.uid, seen.folder.gid, seen.folder.mode & 0o7777):
                await self._put(facts["Id"], seen.path, wanted)

    async def put_files(self, facts: Mapping[str, Any], files: Sequence[File], bases: Sequence[str]) -> None:
        """Put files into a container that has never run; they belong to the user that it runs as.

        `bases`: where its volumes are.
        """
        if not files:
            return
        identity = await self._identify(facts)
        for base, group in group_by_mount(files, bases).items():
            content = await asyncio.to_thread(render_files, group, base, identity)
            path = f"containers/{facts['Id']}/archive"
            request = ApiRequest("PUT", path, params={"path": base}, content=content)
            await self._connection.call("put files into a container", request, deadline=SLOW)

    async def find_unwritable(self, facts: Mapping[str, Any]) -> list[Unwritable]:
        """Return a finding for each volume in which the container's user cannot write."""
        identity = await self._identify(facts)
        found = []
        for mount in facts["Mounts"]:
            if mount["Type"] != "volume" or not mount["RW"] or identity.uid == 0:
                continue
            seen = await self._look(facts["Id"], mount["Destination"])
            place = seen and find_closed(seen, identity)
            if place:
                found.append(Unwritable(mount["Name"], mount["Destination"], place, identity.uid, identity.gid))
        return found

    async def is_owned(self, container_id: str, mount: Mount) -> bool:
        """Whether all inspected entries of a volume belong to the owner that the mount names."""
        seen = await self._look(container_id, mount.path)
        return seen is None or all(
            (entry.uid, entry.gid) == parse_owner(mount.owner) for entry in (seen.folder, *seen.inside)
        )

    async def find_owner(self, container_id: str, path: str) -> VolumeOwner | None:
        """Return the owner of a volume, as far as its first entries show it."""
        seen = await self._look(container_id, path)
        if seen is None:
            return None
        folder = f"{seen.folder.uid}:{seen.folder.gid}"
        inside = Counter(f"{entry.uid}:{entry.gid}" for entry in seen.inside)
        contents = inside.most_common(1)[0][0] if inside else folder
        return VolumeOwner(folder, seen.folder.mode & 0o7777, contents)

    async def put_folder(self, container_id: str, path: str, owner: VolumeOwner) -> None:
        """Set owner and mode of the folder of a volume, but not of its contents."""
        seen = await self._look(container_id, path)
        if seen is not None:
            await self._put(container_id, seen.path, (*parse_owner(owner.folder), owner.mode))

    async def close_folder(self, container_id: str, path: str, mode: int) -> None:
        """Give a volume's folder to root, with these permissions."""
        await self._put(container_id, path, (0, 0, mode))

    async def _identify(self, facts: Mapping[str, Any]) -> ProcessIdentity:
        user = str(facts["Config"]["User"] or "")
        if user in {"", "0", "root", "0:0"}:
            return ProcessIdentity(0, 0)
        users = await self._read_text(facts["Id"], "/etc/passwd")
        groups = await self._read_text(facts["Id"], "/etc/group")
        return identify(user, users, groups)

    async def _read_text(self, container_id: str, path: str) -> str:
        data, _ = await self._read(container_id, path, _USERS_BYTES)
        try:
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                file = archive.extractfile(archive.getmembers()[0])
                return file.read().decode(errors="replace") if file else ""
        except (tarfile.TarError, LookupError):
            return ""

    async def _look(self, container_id: str, path: str) -> VolumeContents | None:
        for _ in range(_MOST_LINKS):
            data, link = await self._read(container_id, path, _HEAD_BYTES)
            if not link:
                entries = await asyncio.to_thread(read_entries, data)
                return VolumeContents(path, entries[0], tuple(entries[1:])) if entries and entries[0].isdir() else None
            path = link
        return None

    async def _read(self, container_id: str, path: str, most: int) -> tuple[bytes, str]:
        """Read the beginning of a path's archive, and the link's target if it is a link; empty if it does not exist."""
        request = ApiRequest("GET", f"containers/{container_id}/archive", params={"path": path})
        data = bytearray()
        try:
            async with self._connection.stream("look at a volume", request, silence=QUICK) as answer:
                stat = json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))
                async for chunk in answer.aiter_raw():
                    data += chunk
                    if len(data) >= most:
                        break
        except NoSuchObject:
            return b"", ""
        return bytes(data[:most]), str(stat.get("linkTarget") or "")

    async def _put(self, container_id: str, path: str, wanted: tuple[int, int, int]) -> None:
        entry = tarfile.TarInfo(basename(path))
        entry.type, entry.mtime = tarfile.DIRTYPE, int(time.time())
        entry.uid, entry.gid, entry.mode = wanted
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            archive.addfile(entry)
        request = ApiRequest(
            "PUT", f"containers/{container_id}/archive", params={"path": dirname(path)}, content=buffer.getvalue()
        )
        await self._connection.call("give a volume to its user", request, deadline=QUICK)


def group_by_mount(files: Sequence[File], bases: Sequence[str]) -> dict[str, list[File]]:
    """Map the path of a volume, or `/`, to the files in it: the engine unpacks into one of them at a time. Pure."""
    paths = sorted((path.rstrip("/") for path in bases), key=len, reverse=True)
    groups: dict[str, list[File]] = {}
    for file in files:
        base = next((path for path in paths if file.path.startswith(f"{path}/")), "/")
        groups.setdefault(base, []).append(file)
    return groups


def render_files(files: Sequence[File], base: str, identity: ProcessIdentity) -> bytes:
    """Return an archive of files, relative to `base`; missing folders belong to root. Pure."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in files:
            entry = tarfile.TarInfo(file.path.removeprefix(base).lstrip("/"))
            entry.size, entry.mode, entry.mtime = len(file.content), file.mode, int(time.time())
            entry.uid, entry.gid = identity.uid, identity.gid
            archive.addfile(entry, io.BytesIO(file.content))
    return buffer.getvalue()


def choose_owner(mount: Mount, folder: tarfile.TarInfo, identity: ProcessIdentity) -> tuple[int, int, int]:
    """Return user, group and mode for an empty volume. Pure."""
    uid, gid = folder.uid, folder.gid
    if mount.owner:
        uid, gid = parse_owner(mount.owner)
    elif uid == 0:
        uid, gid = identity.uid, identity.gid
    return uid, gid, folder.mode & 0o7777 if mount.mode is None else mount.mode


def parse_owner(owner: str) -> tuple[int, int]:
    """Parse `1000:50`, or `1000` for user and group of that number. Pure."""
    uid, _, gid = owner.partition(":")
    return int(uid), int(gid or uid)


def find_closed(seen: VolumeContents, identity: ProcessIdentity) -> str:
    """Return the first path that a user cannot write to, the folder or an entry in it; empty if none. Pure.

    Read-only files that the user owns do not count: they may be so on purpose.
    """
    if not may(seen.folder, identity, _WRITE | _ENTER):
        return seen.path
    root = basename(seen.path)
    for entry in seen.inside:
        name = entry.name.removeprefix(f"{root}/").rstrip("/")
        if "/" in name or name in _MAKES_ITSELF or not (entry.isdir() or entry.isfile()):
            continue
        needed = _WRITE | _ENTER if entry.isdir() else _WRITE
        if entry.uid != identity.uid and not may(entry, identity, needed):
            return f"{seen.path}/{name}"
    return ""


def may(entry: tarfile.TarInfo, identity: ProcessIdentity, needed: int) -> bool:
    """Whether the kernel would permit the access. Pure."""
    if identity.uid == 0:
        return True
    if entry.uid == identity.uid:
        granted = entry.mode >> 6
    else:
        granted = entry.mode >> 3 if entry.gid in {identity.gid, *identity.groups} else entry.mode
    return granted & needed == needed


def identify(user: str, users: str, groups: str) -> ProcessIdentity:
    """Resolve `USER` by the image's /etc/passwd and /etc/group, like the engine. Pure.

    The engine cannot start a container with an unknown name; it counts as root here, so nothing is changed.
    """
    name, _, group = user.partition(":")
    rows = [row.split(":") for row in users.splitlines()]
    row = next((row for row in rows if len(row) > 3 and name in {row[0], row[2]}), None)  # noqa: PLR2004 - name:x:uid:gid
    uid = _number(row[2]) if row else _number(name)
    gid = _number(row[3]) if row else 0
    named = [row.split(":") for row in groups.splitlines()]
    if group:
        found = next((row[2] for row in named if len(row) > 2 and row[0] == group), group)  # noqa: PLR2004 - name:x:gid
        return ProcessIdentity(uid, _number(found))
    login = row[0] if row else ""
    member = {_number(row[2]) for row in named if len(row) > 3 and login and login in row[3].split(",")}  # noqa: PLR2004
    return ProcessIdentity(uid, gid, frozenset(member))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def read_entries(data: bytes) -> list[tarfile.TarInfo]:
    """Return the complete entries at the beginning of a truncated archive. Pure."""
    found: list[tarfile.TarInfo] = []
    with suppress(tarfile.TarError, ValueError, OverflowError), tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found.extend(archive)
    return found
