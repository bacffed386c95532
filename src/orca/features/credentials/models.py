"""Credentials for Git repositories and image registries."""

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, TeamRow


class GitCredential(TeamRow, Base):
    """A credential for private repositories. `kind` is `ssh` (a deploy key that Orca generated) or `token`.

    The private half is the secret `git_credential:<id>:private`.
    """

    __tablename__ = "git_credentials"

    name: Mapped[str] = mapped_column(String(100))
    kind: Mapped[str] = mapped_column(String(8))
    host: Mapped[str] = mapped_column(String(260), default="", server_default="")
    """The only host it is used at, in the form of `RepoUrl.authority`. Empty: from an earlier version, used nowhere."""
    username: Mapped[str] = mapped_column(String(100), default="")
    public_key: Mapped[str] = mapped_column(Text, default="")
    known_hosts: Mapped[str] = mapped_column(Text, default="")


class RegistryCredential(TeamRow, Base):
    """A login for one image registry; the password is the secret `registry_credential:<id>:password`."""

    __tablename__ = "registry_credentials"

    name: Mapped[str] = mapped_column(String(100))
    host: Mapped[str] = mapped_column(String(255))
    username: Mapped[str] = mapped_column(String(255))
