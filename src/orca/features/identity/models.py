"""Users, their browser sessions, the claim of an instance, and counters that limit guessing."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, Row


class User(Row, Base):
    """A user. The e-mail is stored in lower case."""

    __tablename__ = "users"

    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(100), default="")
    password_hash: Mapped[str] = mapped_column(String(255))
    password_changed_at: Mapped[datetime]
    is_instance_admin: Mapped[bool] = mapped_column(default=False)
    disabled_at: Mapped[datetime | None]


class BrowserSession(Row, Base):
    """A signed-in browser. Only the hash of the cookie is stored."""

    __tablename__ = "sessions"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    stepped_up_at: Mapped[datetime]
    """When the password was last entered in this browser."""
    ip: Mapped[str | None] = mapped_column(String(45))
    agent: Mapped[str] = mapped_column(String(255), default="")
    team_id: Mapped[str | None] = mapped_column(String(36))
    """The team that was chosen in this browser; null before a choice. It counts as long as the user is a member."""


class Claim(Base):
    """The single row that says whether this instance has an owner."""

    __tablename__ = "claim"

    id: Mapped[int] = mapped_column(primary_key=True, default=1)
    token_hash: Mapped[str] = mapped_column(String(64))
    attempts: Mapped[int] = mapped_column(default=0)
    claimed_at: Mapped[datetime | None]


class Attempt(Base):
    """The counter of attempts under one key; survives a restart."""

    __tablename__ = "attempts"

    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    count: Mapped[int] = mapped_column(default=0)
    window_started_at: Mapped[datetime]
    blocked_until: Mapped[datetime | None]
