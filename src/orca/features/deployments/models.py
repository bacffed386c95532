"""Builds make images, releases freeze them with their configuration, deployments try to make releases live."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ColumnElement, ForeignKey, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, Reach, ServiceRow, TeamOwned, is_of_parent, is_of_parent_within
from orca.db.sequences import numbered
from orca.features.deployments.rules import WorkloadRef
from orca.features.services.models import Service
from orca.systems import LOCAL


class Build(ServiceRow, Base):
    """One attempt to make an image from a source."""

    __tablename__ = "builds"

    seq: Mapped[int] = numbered("builds")
    service_id: Mapped[str] = mapped_column(ForeignKey("services.id"), index=True)
    system_id: Mapped[str] = mapped_column(ForeignKey("systems.id"), default=LOCAL, server_default=LOCAL)
    """The machine whose engine has the image."""
    state: Mapped[str] = mapped_column(String(16), default="queued")
    builder: Mapped[str] = mapped_column(String(32), default="")
    summary: Mapped[str] = mapped_column(String(255), default="")
    dockerfile: Mapped[str] = mapped_column(Text, default="")
    commit: Mapped[str] = mapped_column(String(64), default="")
    commit_message: Mapped[str] = mapped_column(String(500), default="")
    image: Mapped[str] = mapped_column(String(255), default="")
    """Image id on the engine, or a reference pinned by digest."""
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    orca_file: Mapped[str] = mapped_column(Text, default="", server_default="")
    """The `orca.yaml` of its source, which is applied again when this build is deployed later."""
    port: Mapped[int | None]
    """Port of a web service that sets none itself, as detected by the builder or named by the image."""
    finished_at: Mapped[datetime | None]


class CachedRecord(TeamOwned, Base):
    """A record of the engine's build cache that a build of ours made: only these are ever removed."""

    __tablename__ = "cached_records"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    service_id: Mapped[str] = mapped_column(ForeignKey("services.id", ondelete="CASCADE"), index=True)
    system_id: Mapped[str] = mapped_column(ForeignKey("systems.id"), default=LOCAL, server_default=LOCAL)

    @classmethod
    def is_of_team(cls, team_id: str) -> ColumnElement[bool]:
        """Select the records of the builds of a team's services."""
        return is_of_parent(cls.service_id, Service, team_id)

    @classmethod
    def is_within(cls, reach: Reach) -> ColumnElement[bool]:
        """Select the records of the builds of services within a part of the team."""
        return reach.holds_service(cls.service_id)


class Release(ServiceRow, Base):
    """An image with frozen configuration. Never changed after it was made."""

    __tablename__ = "releases"
    __table_args__ = (UniqueConstraint("service_id", "number"),)

    service_id: Mapped[str] = mapped_column(ForeignKey("services.id"), index=True)
    number: Mapped[int]
    build_id: Mapped[str | None] = mapped_column(ForeignKey("builds.id"))
    image: Mapped[str] = mapped_column(String(255))
    commit: Mapped[str] = mapped_column(String(64), default="")
    commit_message: Mapped[str] = mapped_column(String(500), default="")
    config: Mapped[dict[str, Any]]
    """`FrozenConfig` of `schemas.py`; secret variables are sealed as the secret `release:<id>:variables`."""
    went_live_at: Mapped[datetime | None]
    """When it first was healthy and had traffic; null while it never was."""


class Deployment(ServiceRow, Base):
    """One attempt to make a release live. `task_id` is the id of its task."""

    __tablename__ = "deployments"
    __table_args__ = (UniqueConstraint("service_id", "number"),)

    seq: Mapped[int] = numbered("deployments")
    service_id: Mapped[str] = mapped_column(ForeignKey("services.id"), index=True)
    number: Mapped[int]
    kind: Mapped[str] = mapped_column(String(16))
    """`deploy`, `build`, `rollback`, `restart`, `scale`, `start`, `stop` or `remove`."""
    state: Mapped[str] = mapped_column(String(16), default="queued", index=True)
    trigger: Mapped[str] = mapped_column(String(32), default="")
    """What asked for it: `page`, `api`, `cli`, `push`, `system`."""
    requested_by: Mapped[str] = mapped_column(String(255), default="")
    via: Mapped[str] = mapped_column(String(16), default="system", server_default="system")
    """The door of `requested_by`, as events have it."""
    permissions: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """The permissions of `requested_by` at the time of the request; null is Orca itself."""
    task_id: Mapped[str | None] = mapped_column(String(36), index=True)
    source: Mapped[dict[str, Any]]
    """The source as it was when the deployment was asked for."""
    config: Mapped[dict[str, Any]]
    """The configuration as it was then: what the release will freeze."""
    secret_revisions: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """Key of each secret variable -> its id and revision: which variable it was, and how often it had been set."""
    build_id: Mapped[str | None] = mapped_column(ForeignKey("builds.id"))
    release_id: Mapped[str | None] = mapped_column(ForeignKey("releases.id"))
    workload_id: Mapped[str | None] = mapped_column(String(36))
    """The deployment whose containers this one keeps and adds to; null where it creates its own."""
    previous_release_id: Mapped[str | None] = mapped_column(String(36))
    previous_deployment_id: Mapped[str | None] = mapped_column(String(36))
    previous_targets: Mapped[list[dict[str, Any]]] = mapped_column(default=list, server_default="[]")
    """The live targets (as `TargetIn`) when this began; restored when this fails after the traffic has moved."""
    previous_desired_state: Mapped[str] = mapped_column(String(16), default="running", server_default="running")
    """The service's desired state when the traffic moved."""
    former_owners: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """Engine name of a volume -> its `VolumeOwner` before this deployment changed it.

    `changed` is set once the owner of the contents was changed too. Restored when the deployment fails; an entry that
    is left afterwards is still to be restored.
    """
    code: Mapped[str] = mapped_column(String(64), default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    hint: Mapped[str] = mapped_column(Text, default="")
    warnings: Mapped[list[str]]
    remedies: Mapped[list[dict[str, Any]]] = mapped_column(default=list, server_default="[]")
    """Changes that would solve the problem, as `Remedy` of `schemas.py`: one click or one command each."""
    next_steps: Mapped[list[dict[str, Any]]] = mapped_column(default=list, server_default="[]")
    """What `hint` says, as `NextStep` of `schemas.py`."""
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    log_removed_at: Mapped[datetime | None]
    """When its log was deleted because it was older than the retention allows."""

    @property
    def system_id(self) -> str:
        """The machine that it was frozen for; those of earlier versions of Orca had only one."""
        return str(self.config.get("system", LOCAL))

    @property
    def workload(self) -> WorkloadRef:
        """The workload that runs once it is live."""
        return WorkloadRef(self.workload_id or self.id, int(self.config.get("replicas", 1)))


class DeploymentStep(TeamOwned, Base):
    """The state of one step of a deployment; replayed steps overwrite their row."""

    __tablename__ = "deployment_steps"

    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    position: Mapped[int]
    state: Mapped[str] = mapped_column(String(16), default="waiting")
    detail: Mapped[str] = mapped_column(String(500), default="")
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    @classmethod
    def is_of_team(cls, team_id: str) -> ColumnElement[bool]:
        """Select the steps of a team's deployments."""
        return is_of_parent(cls.deployment_id, Deployment, team_id)

    @classmethod
    def is_within(cls, reach: Reach) -> ColumnElement[bool]:
        """Select the steps of deployments of services within a part of the team."""
        return is_of_parent_within(cls.deployment_id, Deployment, reach)


class LogChunk(TeamOwned, Base):
    """A piece of a deployment's log. `offset` counts characters from its beginning."""

    __tablename__ = "log_chunks"
    __table_args__ = (UniqueConstraint("deployment_id", "offset"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id", ondelete="CASCADE"), index=True)
    offset: Mapped[int] = mapped_column(BigInteger)
    step: Mapped[str] = mapped_column(String(32))
    text: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]

    @classmethod
    def is_of_team(cls, team_id: str) -> ColumnElement[bool]:
        """Select the logs of a team's deployments."""
        return is_of_parent(cls.deployment_id, Deployment, team_id)

    @classmethod
    def is_within(cls, reach: Reach) -> ColumnElement[bool]:
        """Select the logs of deployments of services within a part of the team."""
        return is_of_parent_within(cls.deployment_id, Deployment, reach)


class LiveRelease(ServiceRow, Base):
    """Which release of a service is live, and the deployment that says with which workload.

    Moved in the same transaction as its targets.
    """

    __tablename__ = "live_releases"

    service_id: Mapped[str] = mapped_column(ForeignKey("services.id", ondelete="CASCADE"), unique=True)
    release_id: Mapped[str] = mapped_column(ForeignKey("releases.id"))
    deployment_id: Mapped[str] = mapped_column(String(36))
    since: Mapped[datetime]
