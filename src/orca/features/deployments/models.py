"""Builds make images, releases freeze them with their configuration, deployments try to make releases live."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, TeamRow


class Build(TeamRow, Base):
    """One attempt to make an image from a source."""

    __tablename__ = "builds"

    service_id: Mapped[str] = mapped_column(ForeignKey("services.id"), index=True)
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
    """The `orca.yaml` of its source, which speaks again when this build is deployed later."""
    port: Mapped[int | None]
    """Where a web service listens that names no port itself, as the builder or the image said."""
    finished_at: Mapped[datetime | None]


class Release(TeamRow, Base):
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
    """When it first was healthy and had traffic; null for one that never got so far."""


class Deployment(TeamRow, Base):
    """One attempt to make a release live. Its id is also the id of nothing else; `task_id` is its task."""

    __tablename__ = "deployments"
    __table_args__ = (UniqueConstraint("service_id", "number"),)

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
    """What `requested_by` might do when it was asked for; null is Orca itself."""
    task_id: Mapped[str | None] = mapped_column(String(36), index=True)
    source: Mapped[dict[str, Any]]
    """The source as it was when the deployment was asked for."""
    config: Mapped[dict[str, Any]]
    """The configuration as it was then: what the release will freeze."""
    build_id: Mapped[str | None] = mapped_column(ForeignKey("builds.id"))
    release_id: Mapped[str | None] = mapped_column(ForeignKey("releases.id"))
    previous_release_id: Mapped[str | None] = mapped_column(String(36))
    previous_deployment_id: Mapped[str | None] = mapped_column(String(36))
    previous_targets: Mapped[list[dict[str, Any]]] = mapped_column(default=list, server_default="[]")
    """What was live when this began (its targets as `TargetIn`): put back when this fails after traffic moved."""
    code: Mapped[str] = mapped_column(String(64), default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    hint: Mapped[str] = mapped_column(Text, default="")
    warnings: Mapped[list[str]]
    remedies: Mapped[list[dict[str, Any]]] = mapped_column(default=list, server_default="[]")
    """Changes that would mend what went wrong, as `Remedy` of `schemas.py`: one click or one command each."""
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class DeploymentStep(Base):
    """How one step of a deployment went; replayed steps overwrite their row."""

    __tablename__ = "deployment_steps"

    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    position: Mapped[int]
    state: Mapped[str] = mapped_column(String(16), default="waiting")
    detail: Mapped[str] = mapped_column(String(500), default="")
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class LogChunk(Base):
    """A piece of a deployment's log. `offset` counts characters from its beginning."""

    __tablename__ = "log_chunks"
    __table_args__ = (UniqueConstraint("deployment_id", "offset"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id", ondelete="CASCADE"), index=True)
    offset: Mapped[int] = mapped_column(BigInteger)
    step: Mapped[str] = mapped_column(String(32))
    text: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]


class LiveRelease(TeamRow, Base):
    """Which release of a service is live; moved in the same transaction as its targets."""

    __tablename__ = "live_releases"

    service_id: Mapped[str] = mapped_column(ForeignKey("services.id", ondelete="CASCADE"), unique=True)
    release_id: Mapped[str] = mapped_column(ForeignKey("releases.id"))
    deployment_id: Mapped[str] = mapped_column(String(36))
    since: Mapped[datetime]
