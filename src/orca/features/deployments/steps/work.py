"""What each step of a deployment works with."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from orca.features.deployments import rules
from orca.features.deployments.actions.log import LogWriter
from orca.features.deployments.actions.plan import frozen_config
from orca.features.deployments.models import Build, Deployment, Release
from orca.features.secrets.queries import open_secret
from orca.features.services.actions import check_volumes
from orca.features.services.models import Service
from orca.features.services.schemas import BuildOptions, FrozenConfig
from orca.features.services.volume_schemas import VolumeMount
from orca.resources import Resources
from orca.sdk.engines import ContainerSpec, Mount
from orca.sdk.trees import Tree


@dataclass(frozen=True, slots=True)
class Work:
    """One deployment being worked on. Rows are read afresh by each step, never kept between them."""

    resources: Resources
    deployment_id: str
    log: LogWriter
    takes_down: bool = False
    """Whether it stops or removes the service: nothing is built then, and nobody cancels it half-way."""
    interruptions: list[str] = field(default_factory=list)
    """When the engine was away during the work: what ended then may have ended for that."""

    @property
    def folder(self) -> Path:
        """Where the source tree of this deployment lies; removed when it ends."""
        return self.resources.settings.data_dir / "work" / self.deployment_id

    @property
    def tree(self) -> Path:
        """The source tree."""
        return self.folder / "tree"


@dataclass(frozen=True, slots=True)
class Facts:
    """The rows of a deployment as they are now."""

    deployment: Deployment
    service: Service
    build: Build | None
    release: Release | None
    secrets: Mapping[str, str]

    @property
    def config(self) -> FrozenConfig:
        """What runs, frozen when the deployment was asked for (or by the release it reuses)."""
        return frozen_config(self.deployment)

    @property
    def build_options(self) -> BuildOptions:
        """How the image is made, frozen as well."""
        return BuildOptions.model_validate(self.deployment.config.get("build", {}))

    @property
    def old_serves(self) -> str:
        """What to add to a hint while an earlier release is live; nothing at the first deployment."""
        if not self.deployment.previous_release_id:
            return ""
        return " The old release is started again." if self.config.recreates else " The old release still serves."

    def source_folder(self, work: Work) -> Path:
        """The folder to build in. Links on the way are resolved by us: UnsafePath when one leads out of the tree."""
        return Tree(work.tree).directory(str(self.deployment.source.get("subdirectory") or "."))

    def labels(self, resources: Resources) -> dict[str, str]:
        """What every container of this deployment carries; a lost one is found again by them."""
        return {
            "orca.instance": resources.instance,
            "orca.team": self.service.team_id,
            "orca.project": self.service.project_id,
            "orca.service": self.service.id,
            "orca.deployment": self.deployment.id,
            "orca.release": self.release.id if self.release else "",
        }


async def load(work: Work) -> Facts:
    """Read the rows of a deployment and open its secrets."""
    return await load_facts(work.resources, work.deployment_id)


async def load_facts(resources: Resources, deployment_id: str) -> Facts:
    """The same for a deployment that nobody works on any more."""
    async with resources.db.read() as session:
        deployment = await session.get_one(Deployment, deployment_id)
        service = await session.get_one(Service, deployment.service_id)
        build = await session.get(Build, deployment.build_id) if deployment.build_id else None
        release = await session.get(Release, deployment.release_id) if deployment.release_id else None
        sealed = await open_secret(session, resources.secret_box, ("deployment", deployment.id), "variables")
    return Facts(deployment, service, build, release, json.loads(sealed or "{}"))


async def check_frozen_volumes(work: Work, facts: Facts) -> None:
    """Raise Conflict when a volume of this release was destroyed, or belongs to another service by now."""
    async with work.resources.db.read() as session:
        await check_volumes(session, facts.service, facts.config.volume_names)


def container_specs(facts: Facts, resources: Resources) -> list[ContainerSpec]:
    """One container per replica."""
    return [container_spec(facts, resources, replica) for replica in range(facts.config.replicas)]


def _mount(config: FrozenConfig, mount: VolumeMount) -> Mount:
    mode = int(mount.mode, 8) if mount.mode else None
    return Mount(config.volume_names[mount.name], mount.path, owner=mount.owner, mode=mode)


def container_spec(
    facts: Facts, resources: Resources, replica: int, *, changes: Mapping[str, Any] | None = None
) -> ContainerSpec:
    """The container of one replica; `changes` overrides fields for one-off containers."""
    config = facts.config
    memory = config.resources.memory_mb
    fields: dict[str, Any] = {
        "name": rules.container_name(facts.deployment.id, replica),
        "image": facts.release.image if facts.release else facts.build.image if facts.build else "",
        "network": rules.network_name(facts.service.environment_id),
        "labels": facts.labels(resources) | {"orca.replica": str(replica), "orca.stop-grace": str(config.stop_grace)},
        "env": {**config.variables, **facts.secrets},
        "command": tuple(config.command),
        "mounts": tuple(map(partial(_mount, config), config.mounts)),
        "user": config.user,
        "ignores_health": config.health.type == "none",
        "cpus": config.resources.cpus,
        "memory_bytes": memory << 20 if memory else None,
        "restart": config.restart,
        "stop_grace": config.stop_grace,
        "ports": tuple(port.port for port in config.ports),
    }
    return ContainerSpec(**{**fields, **(changes or {})})
