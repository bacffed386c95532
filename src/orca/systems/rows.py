"""The table of systems: which providers each one uses, and how they differ from the defaults in the settings."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, String, Table, event, insert
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, now

LOCAL: Final = "local"
"""The machine that Orca itself runs on; its row exists from the first start."""


class System(Base):
    """A machine. A provider's name '' is the default one; its JSON overrides fields of the default configuration."""

    __tablename__ = "systems"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    connector: Mapped[str] = mapped_column(String(64), default="", server_default="")
    connector_config: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    engine: Mapped[str] = mapped_column(String(64), default="", server_default="")
    engine_config: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    proxy: Mapped[str] = mapped_column(String(64), default="", server_default="")
    proxy_config: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    created_at: Mapped[datetime] = mapped_column(default=now)


@event.listens_for(System.__table__, "after_create")
def _add_local(table: Table, connection: Connection, **_: object) -> None:
    """Add the row that a migration adds elsewhere: services refer to it."""
    connection.execute(insert(table).values(id=LOCAL, name=LOCAL, created_at=now()))
