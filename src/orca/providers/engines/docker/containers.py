"""The life cycle of containers: create, start, stop, remove. Each operation is safe to repeat."""

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from orca.errors import ProviderError, ProviderUnavailable, RequestRefused
from orca.providers.engines.docker.connection import SLOW, DockerConnection, gather_limited
from orca.providers.engines.docker.failures import NameConflict, NoSuchObject, NotPermitted
from orca.providers.engines.docker.images import Images
from orca.providers.engines.docker.labels import (
    CONTAINER,
    INSTANCE,
    container_labels,
    is_ours,
    label_filters,
    matches,
)
from orca.providers.engines.docker.networks import Networks
from orca.providers.engines.docker.observe import (
    HOST_NETWORK,
    find_address,
    is_steady,
    read_container,
    read_instant,
    read_steady,
)
from orca.providers.engines.docker.ownership import Ownership
from orca.providers.engines.docker.references import check_container_id, check_name
from orca.providers.engines.docker.render import Sealed, check_container, render_container, render_endpoint
from orca.providers.engines.docker.sealed_files import SealedFiles, list_sealed
from orca.providers.engines.docker.volumes import Volumes
from orca.sdk.connectors import Command
from orca.sdk.containers import Container, ContainerSpec
from orca.sdk.engines import EngineFailed
from orca.sdk.privileges import overlaps
from orca.sdk.workloads import Attachment

_ATTEMPTS = 8
_COMMAND_FAULTS = {126, 127}
"""Exit codes of a container whose command is not executable or does not exist."""
_ENDINGS_AT_ONCE = 32
"""Concurrent stops and removals: Docker 20.10 deadlocks when some sixty containers end at the same moment."""


class Containers:
    """The containers of one instance."""

    def __init__(
        self, connection: DockerConnection, networks: Networks, volumes: Volumes, images: Images, instance: str
    ) -> None:
        self._connection = connection
        self._connector = networks.connector
        self._networks = networks
        self._volumes = volumes
        self._images = images
        self._instance = instance
        self._ownership = Ownership(connection)
        self._sealed = SealedFiles(connection, volumes, self._ownership, instance)
        self._endings = asyncio.Semaphore(_ENDINGS_AT_ONCE)
        self._has_init: bool | None = None

    async def inspect(self, labels: Mapping[str, str]) -> list[Container]:
        """Return our containers with these labels, oldest first, without those that are removed meanwhile."""
        found = await self._look_at([listed["Id"] for listed in await self._list(labels)])
        return [container for container in found if matches(container.labels, labels)]

    async def survey(self, labels: Mapping[str, str]) -> list[Container]:
        """Like `inspect`, but containers that run steadily are read from the list alone, without an inspection each."""
        listed = await self._list(labels)
        closer = await self._look_at([entry["Id"] for entry in listed if not is_steady(entry)])
        steady = [read_steady(entry) for entry in listed if is_steady(entry)]
        ours = [quick for quick in steady if is_ours(self._instance, quick.name, quick.labels)]
        return [container for container in (*ours, *closer) if matches(container.labels, labels)]

    async def _list(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        filters = {"label": [f"{INSTANCE}={self._instance}", CONTAINER, *label_filters(labels)]}
        options = {"all": "true", "filters": json.dumps(filters)}
        listed: list[dict[str, Any]] = await self._connection.get("list containers", "containers/json", params=options)
        return listed[::-1]

    async def _look_at(self, container_ids: Sequence[str]) -> list[Container]:
        found = await gather_limited(container_ids, self._find)
        return [read_container(facts) for facts in found if facts and self._is_ours(facts)]

    async def create(self, spec: ContainerSpec) -> str:
        """Return the id of the container of this name, created if missing. Raises RequestRefused if it is not ours."""
        container_id = await self._ensure(spec)
        await self._prepare(container_id, spec)
        return container_id

    async def _prepare(self, container_id: str, spec: ContainerSpec) -> None:
        """Do what the engine cannot do in the creation, unless the container was started already. Safe to repeat."""
        if not (spec.mounts or spec.files or spec.attachments):
            return
        facts = await self._find(container_id)
        if facts is None or facts["State"]["Status"] != "created":
            return
        for attachment in spec.attachments:
            await self._attach(container_id, attachment)
        if not spec.read_only:
            await self._ownership.prepare(facts, spec.mounts)
        sealed = list_sealed(spec)
        files = [file for file in spec.files if file not in sealed]
        await self._ownership.put_files(facts, files, [mount.path for mount in spec.mounts])

    async def _attach(self, container_id: str, attachment: Attachment) -> None:
        async with self._networks.lock:
            subnet = await self._networks.ensure(attachment.network)
            if container_id in await self._networks.members(attachment.network):
                return
            address = await self._networks.free_address(attachment.network, subnet)
            await self._networks.connect(attachment.network, container_id, render_endpoint(address, attachment.aliases))
            await self._settle_address(attachment.network, container_id)

    async def _ensure(self, spec: ContainerSpec) -> str:
        found = await self._find_named(check_name(spec.name))
        if found is None:
            inherited = (await self._images.require(spec.image)).labels
            labels = container_labels(self._instance, spec.name, spec.labels, inherited)
            for mount in spec.mounts:
                await self._volumes.ensure(mount.volume, spec.labels)
            try:
                return await self._create(spec, labels)
            except NameConflict:
                found = await self._find_named(spec.name)
        if found is None or not self._is_ours(found) or not matches(found["Config"]["Labels"], spec.labels):
            raise RequestRefused(
                f"There is a container {spec.name} that is not the one to be created.",
                hint="Remove or rename it (`docker rename`), then try again.",
            )
        return str(found["Id"])

    async def start(self, name: str, unprepared: ContainerSpec | None = None) -> None:
        """Start our container of this name unless it runs. `unprepared` is prepared before its first start."""
        facts = await self._find_named(check_name(name))
        if facts is None or not self._is_ours(facts):
            raise RequestRefused(f"There is no container {name} of this Orca.", hint="It was removed; deploy again.")
        container_id = facts["Id"]
        if unprepared:
            await self._prepare(container_id, unprepared)
        for _ in range(_ATTEMPTS):
            try:
                await self._act(f"start {name}", container_id, "start")
            except NameConflict:
                if facts["State"]["Status"] != "paused":
                    raise
                await self._act(f"continue {name}", container_id, "unpause")
            except NotPermitted:
                if not await self._yield_address(container_id):
                    raise
                continue
            except EngineFailed as error:
                raise await self._explain_start(container_id, error) from None
            return
        raise ProviderUnavailable(f"No free address was found for {name}.", hint="Try again.")

    async def stop(self, container_id: str, grace: float) -> None:
        """Send TERM, wait for `grace` seconds, then send KILL."""
        if await self.find_ours(container_id) is None:
            return
        doing, path, seconds = "stop a container", f"containers/{container_id}/stop", math.ceil(grace)
        async with self._endings:
            with suppress(NoSuchObject):
                await self._connection.post(doing, path, params={"t": str(seconds)}, deadline=seconds + SLOW)

    async def kill(self, name: str) -> None:
        """KILL our container of this name and wait until it has ended. No error if it is gone or not running."""
        facts = await self._find_named(name)
        if facts and self._is_ours(facts):
            with suppress(NoSuchObject, NameConflict):
                await self._act(f"kill {name}", facts["Id"], "kill")
                await self.wait(facts["Id"])

    async def remove(self, container_id: str) -> None:
        """Kill and remove the container; its volumes stay. No error if the container is gone."""
        facts = await self.find_ours(container_id)
        if facts is None:
            return
        doing, path = "remove a container", f"containers/{container_id}"
        async with self._endings:
            with suppress(NoSuchObject):
                try:
                    await self._connection.delete(doing, path, params={"force": "true"})
                except NameConflict:  # a removal is already in progress
                    await self._act(doing, container_id, "wait", condition="removed")
        await self._sealed.remove_of(facts)

    async def wait(self, container_id: str) -> int:
        """Return the exit code of a container whose output has ended."""
        answer = await self._act("wait for a container", container_id, "wait")
        return int(answer["StatusCode"])

    async def find_ours(self, container_id: str) -> dict[str, Any] | None:
        """Inspect a container; None when it is gone. Raises RequestRefused when it is not ours."""
        facts = await self._find(check_container_id(container_id))
        if facts and not self._is_ours(facts):
            raise RequestRefused("This container was not created by this Orca, so it is left alone.")
        return facts

    async def _create(self, spec: ContainerSpec, labels: Mapping[str, str]) -> str:
        check_container(spec)
        await self._check_folders(spec)
        sealed = await self._sealed.prepare(spec) if spec.read_only else None
        try:
            return await self._create_with(spec, labels, sealed)
        except ProviderError:
            if sealed:
                await self._sealed.remove(sealed.volume)
            raise

    async def _check_folders(self, spec: ContainerSpec) -> None:
        """Raise RequestRefused for a folder of the machine that is missing, not where its granted path says, or the
        engine's own.
        """
        if not spec.host_folders:
            return
        facts = await self._connection.get("describe itself", "info")
        for folder in spec.host_folders:
            if overlaps(folder.source, str(facts["DockerRootDir"])):
                raise RequestRefused(
                    f"{folder.source} of the machine holds what Docker keeps there: images, volumes and secrets of all "
                    "that runs.",
                    hint="Choose a folder that is neither in Docker's data directory nor around it.",
                )
            found = await self._connector.run(Command(("readlink", "-e", "--", folder.source), deadline=10))
            if found.text.strip() != folder.source:
                raise RequestRefused(
                    f"{folder.source} is missing on the machine, or is a link to another place.",
                    hint="Make the folder there; of a link, grant and name the place that it leads to.",
                )

    async def _create_with(self, spec: ContainerSpec, labels: Mapping[str, str], sealed: Sealed | None) -> str:
        init = await self._ask_for_init()
        if spec.host_network:
            return await self._post(spec, render_container(spec, labels=labels, address=None, init=init, sealed=sealed))
        async with self._networks.lock:
            subnet = await self._networks.ensure(spec.network)
            address = await self._networks.free_address(spec.network, subnet)
            body = render_container(spec, labels=labels, address=address, init=init, sealed=sealed)
            container_id = await self._post(spec, body)
            await self._settle_address(spec.network, container_id)
        return container_id

    async def _post(self, spec: ContainerSpec, body: Mapping[str, Any]) -> str:
        params = {"name": spec.name} | ({"platform": spec.platform} if spec.platform else {})
        doing = f"create the container {spec.name}"
        created = await self._connection.post(doing, "containers/create", params=params, body=body)
        return str(created["Id"])

    async def _settle_address(self, network: str, container_id: str) -> None:
        """Resolve a race with a process that chose the same address: the later container takes another one."""
        for _ in range(_ATTEMPTS):
            members = await self._networks.members(network)
            mine = members.get(container_id)
            rivals = [rival for rival, address in members.items() if address == mine and rival != container_id]
            if mine is None or not rivals or not await self._is_later(container_id, rivals):
                return
            await self._move(network, container_id)
        raise ProviderUnavailable(f"No free address was found in the network {network}.", hint="Try again.")

    async def _is_later(self, container_id: str, rivals: list[str]) -> bool:
        found = [await self._find(rival) for rival in (container_id, *rivals)]
        ages = [(read_instant(facts["Created"]), facts["Id"]) for facts in found if facts]
        return bool(ages) and max(ages)[1] == container_id

    async def _yield_address(self, container_id: str) -> bool:
        """Move to another address if a running container has this one's. False when no other container has it."""
        facts = await self._find(container_id)
        if facts is None:
            return False
        has_moved = False
        async with self._networks.lock:
            for network in set(facts["NetworkSettings"]["Networks"]) - {HOST_NETWORK}:
                address = find_address(facts["NetworkSettings"]["Networks"], network)
                if address is not None and await self._networks.is_taken(network, address):
                    await self._move(network, container_id)
                    has_moved = True
        return has_moved

    async def _move(self, network: str, container_id: str) -> None:
        """Change an address; the names in that network stay. The caller holds the lock of the networks."""
        facts = await self._find(container_id)
        endpoint = facts["NetworkSettings"]["Networks"].get(network) if facts else None
        aliases = (endpoint or {}).get("Aliases") or ()
        subnet = await self._networks.ensure(network)
        await self._networks.move(network, container_id, await self._networks.free_address(network, subnet), aliases)

    async def _explain_start(self, container_id: str, error: EngineFailed) -> ProviderError:
        """Translate a failed start. Its status for a missing command varies by version, the exit code does not."""
        facts = await self._find(container_id)
        if facts and facts["State"]["ExitCode"] in _COMMAND_FAULTS:
            return RequestRefused(error.message, hint="Check the command and the image.", **error.details)
        return error

    async def _ask_for_init(self) -> bool:
        """Whether the engine has docker-init, which reaps zombie processes of the application."""
        if self._has_init is None:
            facts = await self._connection.get("describe itself", "info")
            self._has_init = facts["InitCommit"]["ID"] != "N/A"
        return self._has_init

    async def _find_named(self, name: str) -> dict[str, Any] | None:
        """Find a container by its exact name: Docker also accepts a prefix of an id as a name."""
        facts = await self._find(name)
        return facts if facts and facts["Name"] == f"/{name}" else None

    async def _find(self, key: str) -> dict[str, Any] | None:
        try:
            facts: dict[str, Any] = await self._connection.get("inspect a container", f"containers/{key}/json")
        except NoSuchObject:
            return None
        return facts

    async def _act(self, doing: str, container_id: str, verb: str, **params: str) -> Any:
        return await self._connection.post(doing, f"containers/{container_id}/{verb}", params=params)

    def _is_ours(self, facts: Mapping[str, Any]) -> bool:
        return is_ours(self._instance, facts["Name"].removeprefix("/"), facts["Config"]["Labels"] or {})
