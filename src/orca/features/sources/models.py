"""Credentials for repositories and registries, uploads, and the hooks that pushes arrive at."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, TeamRow


class GitCredential(TeamRow, Base):
    """How to reach private repositories. `kind` is `ssh` (a deploy key that Orca made) or `token`.

    The private half is the secret `git_credential:<id>:private`.
    """

    __tablename__ = "git_credentials"

    name: Mapped[str] = mapped_column(String(100))
    kind: Mapped[str] = mapped_column(String(8))
    host: Mapped[str] = mapped_column(String(260), default="", server_default="")
    """The only host it is used at, as `RepoUrl.authority` spells it. Empty: of before there was one, used nowhere."""
    username: Mapped[str] = mapped_column(String(100), default="")
    public_key: Mapped[str] = mapped_column(Text, default="")
    known_hosts: Mapped[str] = mapped_column(Text, default="")


class RegistryCredential(TeamRow, Base):
    """A login for one image registry; the password is the secret `registry_credential:<id>:password`."""

    __tablename__ = "registry_credentials"

    name: Mapped[str] = mapped_column(String(100))
    host: Mapped[str] = mapped_column(String(255))
    username: Mapped[str] = mapped_column(String(255))


class Upload(TeamRow, Base):
    """A source tree that somebody sent with `orc deploy`; the file lies under the data directory by its id."""

    __tablename__ = "uploads"

    service_id: Mapped[str] = mapped_column(String(36), index=True)
    number: Mapped[int] = mapped_column(default=0, server_default="0")
    """Counted per service, because clocks go back."""
    sha256: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int] = mapped_column(BigInteger)


class Hook(TeamRow, Base):
    """Where a Git host reports pushes; its secret is `hook:<id>:secret`."""

    __tablename__ = "hooks"

    service_id: Mapped[str] = mapped_column(String(36), index=True)
    provider: Mapped[str] = mapped_column(String(16))
    branch: Mapped[str] = mapped_column(String(1000))
    """A branch, or a pattern such as `release/*`."""
    watch_paths: Mapped[list[str]]
    user_id: Mapped[str | None] = mapped_column(String(36))
    """Who made it: pushes deploy on their behalf. Null: made on the machine itself."""
    permissions: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """What its maker might do then; null is everything."""
    any_repository: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether pushes to other repositories than the service's own count, too."""


class Push(TeamRow, Base):
    """One delivery, kept before it is answered, so that a repeated one does nothing."""

    __tablename__ = "pushes"
    __table_args__ = (UniqueConstraint("hook_id", "delivery"), Index("ix_pushes_hook_id_digest", "hook_id", "digest"))

    hook_id: Mapped[str] = mapped_column(String(36), index=True)
    delivery: Mapped[str] = mapped_column(String(128))
    digest: Mapped[str] = mapped_column(String(64), default="", server_default="")
    """Of what was signed: a copy of it under another id is no other push."""
    commit: Mapped[str] = mapped_column(String(64), default="")
    is_accepted: Mapped[bool] = mapped_column(default=False)
    decision: Mapped[str] = mapped_column(String(255))
    """Why it was or was not deployed, in words."""
    payload: Mapped[dict[str, Any]]
    received_at: Mapped[datetime]

    @property
    def is_refused(self) -> bool:
        """Whether it was turned away: not signed as it should be, or no push at all."""
        return self.payload.get("refused") is True

    @property
    def times(self) -> int:
        """How often it came: refusals for the same reason are one row."""
        return int(self.payload.get("times", 1))
