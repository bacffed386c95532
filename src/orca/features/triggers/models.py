"""Push hooks, and the deliveries that arrived at them."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ColumnElement, Index, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, Reach, ServiceRow, TeamRow, is_of_parent_within
from orca.db.sequences import numbered


class Hook(ServiceRow, Base):
    """A push hook, at which a Git host reports pushes; its secret is `hook:<id>:secret`."""

    __tablename__ = "hooks"

    service_id: Mapped[str] = mapped_column(String(36), index=True)
    provider: Mapped[str] = mapped_column(String(16))
    branch: Mapped[str] = mapped_column(String(1000))
    """A branch, or a pattern such as `release/*`."""
    watch_paths: Mapped[list[str]]
    user_id: Mapped[str | None] = mapped_column(String(36))
    """The owner: pushes deploy on their behalf. Null: created on the machine itself."""
    permissions: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """The permissions that the owner had then; null is everything."""
    any_repository: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether pushes to other repositories than the service's own are accepted, too."""


class Push(TeamRow, Base):
    """One delivery, stored before it is answered, so that a repeated one does nothing."""

    __tablename__ = "pushes"
    __table_args__ = (UniqueConstraint("hook_id", "delivery"), Index("ix_pushes_hook_id_digest", "hook_id", "digest"))

    seq: Mapped[int] = numbered("pushes")
    hook_id: Mapped[str] = mapped_column(String(36), index=True)
    delivery: Mapped[str] = mapped_column(String(128))
    digest: Mapped[str] = mapped_column(String(64), default="", server_default="")
    """Digest of the signed content, by which a copy under another id is recognised."""
    commit: Mapped[str] = mapped_column(String(64), default="")
    is_accepted: Mapped[bool] = mapped_column(default=False)
    decision: Mapped[str] = mapped_column(String(255))
    """The reason why it was or was not deployed, as text."""
    payload: Mapped[dict[str, Any]]
    received_at: Mapped[datetime]

    @classmethod
    def is_within(cls, reach: Reach) -> ColumnElement[bool]:
        """Select the deliveries at hooks of services within a part of the team."""
        return is_of_parent_within(cls.hook_id, Hook, reach)

    @property
    def is_refused(self) -> bool:
        """Whether it was refused: without a valid signature, or not a push at all."""
        return self.payload.get("refused") is True

    @property
    def times(self) -> int:
        """How often it arrived: refusals for the same reason share a row."""
        return int(self.payload.get("times", 1))
