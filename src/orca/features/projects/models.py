"""Projects and their environments."""

from datetime import datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, TeamRow, unique_where


class Project(TeamRow, Base):
    """Groups services, members and variables."""

    __tablename__ = "projects"

    name: Mapped[str] = mapped_column(String(100))
    slug: Mapped[str] = mapped_column(String(40))
    description: Mapped[str] = mapped_column(String(500), default="")
    deleted_at: Mapped[datetime | None]


class Environment(TeamRow, Base):
    """An environment of a project, in which services run; every project starts with `production`."""

    __tablename__ = "environments"
    __table_args__ = (UniqueConstraint("project_id", "slug"),)

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    slug: Mapped[str] = mapped_column(String(40))


unique_where(Project, "uq_projects_living_slug", "team_id, slug", "deleted_at IS NULL")
