"""The context that each step of a deployment works with."""

import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from orca.errors import OrcaError
from orca.features.deployments import rules
from orca.features.deployments.actions.plan import frozen_config
from orca.features.deployments.models import Build, Deployment, Release
from orca.features.deployments.operations.log import LogWriter
from orca.features.projects.rules import network_of
from orca.features.secrets.queries import open_secret
from orca.features.services.actions import check_volumes
from orca.features.services.models import Service
from orca.features.services.privileges import host_path, published_port, read_privilege
from orca.features.services.rules import engine_network
from orca.features.services.schemas.runtime import RuntimeFile, RuntimeOptions
from orca.features.services.schemas.settings import BuildOptions, FrozenConfig
from orca.features.services.schemas.volumes import VolumeMount
from orca.features.services.volume_queries import Sharing, find_shared
from orca.resources import Resources
from orca.sdk.containers import ContainerHost
from orca.sdk.engines import Engine
from orca.sdk.trees import Tree
from orca.sdk.workloads import Attachment, Device, File, HostFolder, Mount, Replica, Tmpfs, Ulimit, Workload
from orca.systems import LOCAL


@dataclass(frozen=True, slots=True)
class StepContext:
    """One deployment being worked on. Each step reads the rows again; they are never kept between steps."""

    resources: Resources
    deployment_id: str
    log: LogWriter
    system_id: str = LOCAL
    """The machine that it works on; other machines may still have earlier releases."""
    takes_down: bool = False
    """Whether it stops or removes the service: then nothing is built, and it cannot be cancelled half-way."""
    builds: bool = False
    """Whether its image is built here, not pulled."""
    interruptions: list[str] = field(default_factory=list)
    """Messages of engine outages during the work: a process that ended may have ended because of one."""

    async def engine(self) -> Engine:
        """Return the engine of its machine."""
        return await self.resources.systems.engine(self.system_id)

    async def containers(self) -> ContainerHost:
        """Return the container host of its machine, which has the images."""
        return await self.resources.systems.containers(self.system_id)

    @property
    def folder(self) -> Path:
        """The work folder of this deployment, with its source tree; removed when the deployment ends."""
        return self.resources.settings.data_dir / "work" / self.deployment_id

    @property
    def tree(self) -> Path:
        """The source tree."""
        return self.folder / "tree"


@dataclass(frozen=True, slots=True)
class DeploymentRows:
    """The rows of a deployment as they are now."""

    deployment: Deployment
    service: Service
    build: Build | None
    release: Release | None
    secrets: Mapping[str, str]
    previous: rules.WorkloadRef | None = None
    """The workload that was live when the work on this deployment began."""
    system_id: str = LOCAL
    """The machine of this deployment; one that takes the service down has that of the live workload."""
    previous_system_id: str = LOCAL
    """The machine of the previous workload."""
    previous_networks: tuple[str, ...] = ()
    """Further networks of the previous workload, as the engine calls them."""
    shared: Mapping[str, Sharing] = field(default_factory=dict)
    """Name on the engine -> its volumes that other services mount, too."""

    @property
    def workload(self) -> rules.WorkloadRef:
        """The workload that runs once the deployment is live."""
        return self.deployment.workload

    @property
    def continues(self) -> bool:
        """Whether it keeps the containers of the live workload and only starts its missing replicas."""
        return self.deployment.workload_id is not None

    def is_own(self, replica: Replica) -> bool:
        """Whether this deployment made a container."""
        return rules.maker_of(replica) == self.deployment.id

    @property
    def config(self) -> FrozenConfig:
        """The runtime configuration, frozen when the deployment was requested (or by the release it reuses)."""
        return frozen_config(self.deployment)

    @property
    def build_options(self) -> BuildOptions:
        """The build options, frozen as well."""
        return BuildOptions.model_validate(self.deployment.config.get("build", {}))

    @property
    def old_serves(self) -> str:
        """A sentence to append to a hint while an earlier release is live; empty at the first deployment."""
        if not self.deployment.previous_release_id:
            return ""
        if self.continues:
            return " The replicas that ran before still serve."
        return " The old release is started again." if self.config.recreates else " The old release still serves."

    def source_folder(self, work: StepContext) -> Path:
        """Return the folder to build in. Resolves symbolic links itself; raises UnsafePath if one leaves the tree."""
        return Tree(work.tree).directory(str(self.deployment.source.get("subdirectory") or "."))

    def labels(self, resources: Resources) -> dict[str, str]:
        """Return the labels of every container of this deployment, by which the containers are found again."""
        return {
            "orca.instance": resources.instance,
            "orca.team": self.service.team_id,
            "orca.project": self.service.project_id,
            "orca.service": self.service.id,
            "orca.deployment": self.workload.id,
            "orca.release": self.release.id if self.release else "",
        } | ({"orca.scaled-by": self.deployment.id} if self.continues else {})


async def load(work: StepContext) -> DeploymentRows:
    """Read the rows of a deployment and open its secrets."""
    return await load_facts(work.resources, work.deployment_id)


async def load_facts(resources: Resources, deployment_id: str) -> DeploymentRows:
    """Load the rows of a deployment by its id, also of one that has ended."""
    async with resources.db.read() as session:
        deployment = await session.get_one(Deployment, deployment_id)
        service = await session.get_one(Service, deployment.service_id)
        build = await session.get(Build, deployment.build_id) if deployment.build_id else None
        release = await session.get(Release, deployment.release_id) if deployment.release_id else None
        before = deployment.previous_deployment_id
        previous = await session.get(Deployment, before) if before else None
        sealed = await open_secret(session, resources.secret_box, ("deployment", deployment.id), "variables")
        names = deployment.config.get("volume_names", {}).values()
        shared = await find_shared(session, service, names) if names else {}
    secrets = json.loads(sealed or "{}")
    there = previous.system_id if previous else service.system_id
    return DeploymentRows(
        deployment, service, build, release, secrets, previous.workload if previous else None,
        system_id=deployment.system_id if deployment.config else there, previous_system_id=there, shared=shared,
        previous_networks=list_networks(previous, service) if previous else (),
    )  # fmt: skip


def list_networks(deployment: Deployment, service: Service) -> tuple[str, ...]:
    """Return the further networks of a deployment's workload, as the engine calls them."""
    names = deployment.config.get("runtime", {}).get("networks", {})
    return tuple(engine_network(name, service.environment_id) for name in names)


def systems_of(facts: DeploymentRows) -> tuple[str, ...]:
    """Return the machines that have replicas of the service: that of this deployment first, then the previous one."""
    return tuple(dict.fromkeys((facts.system_id, facts.previous_system_id)))


async def find_replicas(work: StepContext, facts: DeploymentRows) -> list[Replica]:
    """Return the existing replicas among those that should run once this deployment is live."""
    engine = await work.engine()
    found = await engine.observe({"orca.deployment": facts.workload.id})
    return [replica for replica in found if facts.workload.includes(replica)]


async def leave_networks(work: StepContext, names: Iterable[str], systems: Iterable[str]) -> None:
    """Remove networks that nothing is in any more; what needs one later makes it again."""
    for system_id, name in product(tuple(systems), tuple(names)):
        with suppress(OrcaError):  # the engine refuses while anything is in it
            engine = await work.resources.systems.engine(system_id)
            await engine.remove_network(name)


async def find_own(work: StepContext, facts: DeploymentRows) -> list[Replica]:
    """Return all that this deployment made: replicas, and what runs once."""
    engine = await work.engine()
    found = await engine.observe({"orca.deployment": facts.workload.id}, runs=True)
    return [replica for replica in found if facts.is_own(replica)]


async def check_frozen_volumes(work: StepContext, facts: DeploymentRows) -> None:
    """Raise Conflict when a volume of this release was destroyed, or belongs to another service by now."""
    async with work.resources.db.read() as session:
        await check_volumes(session, facts.service, facts.config.volume_names)


def _mount(facts: DeploymentRows, mount: VolumeMount) -> Mount:
    """Return the mount for the engine. A shared volume has one owner for all, its own, whatever the release froze."""
    mode = int(mount.mode, 8) if mount.mode else None
    volume = facts.config.volume_names[mount.name]
    owner = facts.shared[volume].owner if volume in facts.shared else mount.owner
    return Mount(volume, mount.path, mount.read_only, owner, mode)


def workload_of(facts: DeploymentRows, resources: Resources) -> Workload:
    """Return what is to run once this deployment is live."""
    config = facts.config
    memory = config.resources.memory_mb
    return Workload(
        name=rules.workload_name(facts.workload.id),
        image=facts.release.image if facts.release else facts.build.image if facts.build else "",
        network=network_of(facts.service.environment_id),
        labels=facts.labels(resources),
        replicas=config.replicas,
        env={**config.variables, **_without(facts.secrets, config.runtime.secret_files)},
        command=tuple(config.command),
        mounts=tuple(map(partial(_mount, facts), config.mounts)),
        user=config.user,
        ignores_health=config.health.type == "none",
        cpus=config.resources.cpus,
        memory_bytes=memory << 20 if memory else None,
        restart=config.restart,
        stop_grace=config.stop_grace,
        ports=tuple(port.port for port in config.ports),
        files=tuple(File(path, _content(facts, file), file.permissions) for path, file in config.runtime.files.items()),
        grants=tuple(map(read_privilege, config.privileges)),
        attachments=tuple(
            Attachment(engine_network(name, facts.service.environment_id), tuple(aliases))
            for name, aliases in config.runtime.networks.items()
        ),
        **_runtime(config.runtime),
    )


def _without(secrets: Mapping[str, str], keys: Collection[str]) -> dict[str, str]:
    return {key: value for key, value in secrets.items() if key not in keys}


def _content(facts: DeploymentRows, file: RuntimeFile) -> bytes:
    return (facts.secrets[file.secret] if file.secret is not None else file.content or "").encode()


def _runtime(options: RuntimeOptions) -> dict[str, Any]:
    """Return the fields of a workload that the options of a service's containers set."""
    return {
        "working_directory": options.working_directory, "hostname": options.hostname, "read_only": options.read_only,
        "tmpfs": tuple(Tmpfs(path, size << 20) for path, size in options.tmpfs.items()),
        "shm_bytes": options.shm_mb and options.shm_mb << 20,
        "ulimits": tuple(Ulimit(name, value, value) for name, value in options.ulimits.items()),
        "stop_signal": options.stop_signal, "init": options.init, "cap_drop": tuple(options.cap_drop),
        "extra_hosts": tuple(options.extra_hosts.items()), "cap_add": tuple(options.cap_add),
        "devices": tuple(Device(path, permissions="rw") for path in options.devices), "sysctls": options.sysctls,
        "published": tuple(map(published_port, options.published)), "host_network": options.host_network,
        "host_folders": tuple(
            HostFolder(host_path(text), path, text.endswith(":ro")) for path, text in options.host_folders.items()
        ),
    }  # fmt: skip


def run_of(facts: DeploymentRows, resources: Resources, name: str, *, role: str, command: tuple[str, ...]) -> Workload:
    """Return the same program to be run once, under a name of its own, with another command."""
    workload = replace(workload_of(facts, resources), published=())  # they are those of the replicas
    labels = {**workload.labels, "orca.role": role}
    return replace(workload, name=name, labels=labels, command=command, restart="no")
