"""Teams, their members with roles, and API tokens."""

from datetime import datetime

from sqlalchemy import ColumnElement, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, Row, TeamOwned, TeamRow


class Team(Row, TeamOwned, Base):
    """Owns projects, systems and credentials."""

    __tablename__ = "teams"

    name: Mapped[str] = mapped_column(String(100))
    slug: Mapped[str] = mapped_column(String(40), unique=True)

    @classmethod
    def is_of_team(cls, team_id: str) -> ColumnElement[bool]:
        """Select the team itself."""
        return cls.id == team_id


class Membership(TeamRow, Base):
    """A user's role in a team."""

    __tablename__ = "memberships"
    __table_args__ = (UniqueConstraint("team_id", "user_id"),)

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    role: Mapped[str] = mapped_column(String(16))


class ApiToken(TeamRow, Base):
    """A credential for programs. Its permissions are its scopes, limited to the present permissions of its user.

    A token that was created on the machine itself (over the private socket, or with ORC_AUTH_TOKEN) has no user.
    """

    __tablename__ = "api_tokens"

    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    secret_hash: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[list[str]]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class IdempotencyKey(Row, Base):
    """A POST request that the client can repeat, and its response; null while it still runs."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (UniqueConstraint("name"),)

    name: Mapped[str] = mapped_column(String(64))
    """The digest of the sender, the method, the address and the key."""
    digest: Mapped[str] = mapped_column(String(64))
    """Digest of the body."""
    status: Mapped[int | None]
    answer: Mapped[bytes | None]
    """Sealed, because a response may contain a secret that is shown once."""
