"""Teams, their members with roles, grants on parts of a team, and API tokens."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, ForeignKeyConstraint, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, Row, TeamOwned, TeamRow
from orca.web.rights import ObjectScope


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


class RoleGrant(TeamRow, Base):
    """A member's role within one project, environment or system of a team, besides the role in the team."""

    __tablename__ = "grants"
    __table_args__ = (
        ForeignKeyConstraint(
            ["team_id", "user_id"], ["memberships.team_id", "memberships.user_id"], name="fk_grants_member",
            ondelete="CASCADE",
        ),
        UniqueConstraint("user_id", "project_id", name="uq_grants_project"),
        UniqueConstraint("user_id", "environment_id", name="uq_grants_environment"),
        UniqueConstraint("team_id", "user_id", "system_id", name="uq_grants_system"),
        CheckConstraint(
            "(CASE WHEN project_id IS NULL THEN 0 ELSE 1 END) + (CASE WHEN environment_id IS NULL THEN 0 ELSE 1 END)"
            " + (CASE WHEN system_id IS NULL THEN 0 ELSE 1 END) = 1",
            name="one_scope",
        ),
    )  # fmt: skip

    user_id: Mapped[str] = mapped_column(String(36))
    role: Mapped[str] = mapped_column(String(16))
    """`GrantRole` of `rules.py`."""
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    environment_id: Mapped[str | None] = mapped_column(ForeignKey("environments.id", ondelete="CASCADE"), index=True)
    system_id: Mapped[str | None] = mapped_column(ForeignKey("systems.id", ondelete="CASCADE"), index=True)

    @property
    def scope(self) -> ObjectScope:
        """Within what it counts."""
        return ObjectScope(self.team_id, self.project_id, self.environment_id, self.system_id)


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
