"""Webhooks of teams, and what was sent to them."""

from datetime import datetime

from sqlalchemy import LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, TeamRow
from orca.db.sequences import numbered


class Webhook(TeamRow, Base):
    """An address to which a team's events are sent, with the sealed secret that signs them."""

    __tablename__ = "webhooks"

    name: Mapped[str] = mapped_column(String(100))
    url: Mapped[str] = mapped_column(String(2000))
    types: Mapped[list[str]]
    """Types of events, such as `deployment.finished`; empty: all of them."""
    is_enabled: Mapped[bool] = mapped_column(default=True)
    problem: Mapped[str] = mapped_column(Text, default="")
    """Why Orca disabled it; empty when it did not."""
    failing_since: Mapped[datetime | None]
    """When it first failed after the last success."""
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    replaced_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The secret before the last rotation; it signs, too, until `replaced_until`."""
    replaced_until: Mapped[datetime | None]

    @property
    def secret_place(self) -> str:
        """The place to which the sealed secret is bound."""
        return f"webhook:{self.id}:secret"


class Delivery(TeamRow, Base):
    """One message to one webhook. Its id is the `webhook-id` of all its tries."""

    __tablename__ = "webhook_deliveries"

    seq: Mapped[int] = numbered("webhook_deliveries")
    webhook_id: Mapped[str] = mapped_column(String(36), index=True)
    type: Mapped[str] = mapped_column(String(64))
    body: Mapped[str] = mapped_column(Text)
    """The JSON that is signed and sent, to the byte."""
    state: Mapped[str] = mapped_column(String(16), default="queued")
    """`queued` (waits for its first or next try), `delivered` or `failed`."""
    attempts: Mapped[int] = mapped_column(default=0)
    status_code: Mapped[int | None]
    """What the receiver answered to the last try; None when there was no answer."""
    duration_ms: Mapped[int | None]
    problem: Mapped[str] = mapped_column(Text, default="")
    """Why the last try failed."""
    next_try_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
