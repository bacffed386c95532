"""Projects and their environments."""

from datetime import datetime

from sqlalchemy import ColumnElement, ForeignKey, String, or_, select
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, Reach, TeamRow, unique_where
from orca.db.wall import ENVIRONMENTS, SERVICES


class Project(TeamRow, Base):
    """Groups services, members and variables."""

    __tablename__ = "projects"

    name: Mapped[str] = mapped_column(String(100))
    slug: Mapped[str] = mapped_column(String(40))
    description: Mapped[str] = mapped_column(String(500), default="")
    deleted_at: Mapped[datetime | None]
    deleting_since: Mapped[datetime | None]
    """Set while it is being deleted with all in it; nothing new is created in it meanwhile."""
    deletion_problem: Mapped[str] = mapped_column(String(1000), default="", server_default="")
    """Why that failed the last time."""

    @classmethod
    def is_within(cls, reach: Reach) -> ColumnElement[bool]:
        """Select the projects of a part of the team, and those that have something in it: they are the way to it."""
        of_environments = select(ENVIRONMENTS.c.project_id).where(ENVIRONMENTS.c.id.in_(reach.environments))
        of_systems = select(SERVICES.c.project_id).where(SERVICES.c.system_id.in_(reach.systems))
        return or_(cls.id.in_(reach.projects), cls.id.in_(of_environments), cls.id.in_(of_systems))


class Environment(TeamRow, Base):
    """An environment of a project, in which services run; every project starts with `production`."""

    __tablename__ = "environments"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    slug: Mapped[str] = mapped_column(String(40))
    deleted_at: Mapped[datetime | None]

    @classmethod
    def is_within(cls, reach: Reach) -> ColumnElement[bool]:
        """Select the environments of a part of the team, and those that have something in it."""
        of_systems = select(SERVICES.c.environment_id).where(SERVICES.c.system_id.in_(reach.systems))
        return or_(cls.project_id.in_(reach.projects), cls.id.in_(reach.environments), cls.id.in_(of_systems))


unique_where(Environment, "uq_environments_living_slug", "project_id, slug", "deleted_at IS NULL")
unique_where(Project, "uq_projects_living_slug", "team_id, slug", "deleted_at IS NULL")
