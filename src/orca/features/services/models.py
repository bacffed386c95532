"""Services, their variables and their volumes."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, ForeignKey, String, Text, UniqueConstraint, false, true
from sqlalchemy.orm import Mapped, mapped_column, synonym

from orca.db import Base, Reach, ServiceRow, TeamRow, now, unique_where
from orca.systems import LOCAL


class Service(TeamRow, Base):
    """One deployable thing. The JSON columns hold the models of `schemas.py`, validated before they are saved."""

    __tablename__ = "services"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), index=True)
    environment_id: Mapped[str] = mapped_column(ForeignKey("environments.id"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    slug: Mapped[str] = mapped_column(String(40))
    system_id: Mapped[str] = mapped_column(ForeignKey("systems.id"), index=True, default=LOCAL, server_default=LOCAL)
    """The machine on which the next deployment runs it; the live release may still run on another one."""
    system: Mapped[str] = synonym("system_id")
    kind: Mapped[str] = mapped_column(String(16))
    source: Mapped[dict[str, Any]]
    build: Mapped[dict[str, Any]]
    ports: Mapped[list[dict[str, Any]]]
    health: Mapped[dict[str, Any]]
    resources: Mapped[dict[str, Any]]
    command: Mapped[list[str]]
    release_command: Mapped[list[str]]
    replicas: Mapped[int] = mapped_column(default=1)
    restart: Mapped[str] = mapped_column(String(16), default="unless-stopped")
    stop_grace: Mapped[float] = mapped_column(default=10.0)
    strategy: Mapped[str] = mapped_column(String(16), default="auto", server_default="auto")
    user: Mapped[str] = mapped_column(String(130), default="", server_default="")
    masks_secrets: Mapped[bool] = mapped_column(default=True, server_default=true())
    runtime: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    privileges: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    """What an instance admin granted it beyond its containers, such as `capability:NET_ADMIN`, sorted."""
    desired_state: Mapped[str] = mapped_column(String(16), default="running")
    """`running` or `stopped`, as the user wants it; the actual state is observed, not stored."""
    version: Mapped[int] = mapped_column(default=1)
    """Counts edits; an edit of an older version is refused."""
    updated_at: Mapped[datetime] = mapped_column(default=now)
    deleted_at: Mapped[datetime | None]

    @classmethod
    def is_within(cls, reach: Reach) -> ColumnElement[bool]:
        """Select the services within a part of the team."""
        return reach.holds(cls.project_id, cls.environment_id, cls.system_id)


class Variable(TeamRow, Base):
    """An environment variable of a project or a service (exactly one of the two is set).

    A secret one has no `value` here; it is the secret `variable:<id>:value`.
    """

    __tablename__ = "variables"
    __table_args__ = (UniqueConstraint("project_id", "key"), UniqueConstraint("service_id", "key"))

    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    service_id: Mapped[str | None] = mapped_column(ForeignKey("services.id", ondelete="CASCADE"), index=True)
    key: Mapped[str] = mapped_column(String(128))
    value: Mapped[str | None] = mapped_column(Text)
    is_secret: Mapped[bool] = mapped_column(default=False)
    is_build_time: Mapped[bool] = mapped_column(default=False)
    revision: Mapped[int] = mapped_column(default=1, server_default="1")
    """Counts how often it was set."""
    updated_at: Mapped[datetime] = mapped_column(default=now)

    @classmethod
    def is_within(cls, reach: Reach) -> ColumnElement[bool]:
        """Select the variables of projects and services within a part of the team."""
        return cls.project_id.in_(reach.projects) | reach.holds_service(cls.service_id)


class Volume(TeamRow, Base):
    """Data that outlives containers, of an environment. On the engine it is called `orca-<id>`."""

    __tablename__ = "volumes"
    __table_args__ = (UniqueConstraint("environment_id", "name"),)

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), index=True)
    environment_id: Mapped[str] = mapped_column(ForeignKey("environments.id"))
    system_id: Mapped[str] = mapped_column(ForeignKey("systems.id"), index=True, default=LOCAL, server_default=LOCAL)
    """The machine that has the data."""
    name: Mapped[str] = mapped_column(String(63))
    owner: Mapped[str] = mapped_column(String(24), default="", server_default="")
    mode: Mapped[str] = mapped_column(String(4), default="", server_default="")
    last_name: Mapped[str] = mapped_column(String(63))
    """What the service that mounted it last called it; a detached volume is called so again."""
    last_path: Mapped[str] = mapped_column(String(255))
    """Where it was mounted last."""
    detached_at: Mapped[datetime | None]
    """When the last service that mounted it detached it or was deleted."""
    destroying_since: Mapped[datetime | None]
    """Set while its destruction, which a user confirmed, is in progress; it cannot be attached any more."""

    @classmethod
    def is_within(cls, reach: Reach) -> ColumnElement[bool]:
        """Select the volumes within a part of the team."""
        return reach.holds(cls.project_id, cls.environment_id, cls.system_id)

    @property
    def engine_name(self) -> str:
        """The volume's name on the engine."""
        return f"orca-{self.id}"


class ServiceMount(ServiceRow, Base):
    """A volume that a service mounts; several services of an environment may mount the same one."""

    __tablename__ = "service_mounts"
    __table_args__ = (
        UniqueConstraint("service_id", "path"),
        UniqueConstraint("service_id", "name", name="uq_service_mounts_name"),
        UniqueConstraint("service_id", "volume_id", name="uq_service_mounts_volume"),
    )

    service_id: Mapped[str] = mapped_column(ForeignKey("services.id"))
    volume_id: Mapped[str] = mapped_column(ForeignKey("volumes.id"), index=True)
    name: Mapped[str] = mapped_column(String(63))
    """What the service calls the volume, in its `orca.yaml` and its releases; the volume may be called otherwise."""
    path: Mapped[str] = mapped_column(String(255))
    read_only: Mapped[bool] = mapped_column(default=False, server_default=false())


unique_where(Service, "uq_services_living_slug", "project_id, slug", "deleted_at IS NULL")
