"""Open terminals. A row lasts as long as its terminal; the audit trail has those of the past."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, ServiceRow, now


class OpenTerminal(ServiceRow, Base):
    """What is needed to end a terminal whose process of Orca died, and to record its end."""

    __tablename__ = "terminals"

    service_id: Mapped[str] = mapped_column(ForeignKey("services.id", ondelete="CASCADE"), index=True)
    system_id: Mapped[str] = mapped_column(String(36))
    replica: Mapped[str] = mapped_column(String(255))
    """Name of the replica."""
    replica_id: Mapped[str] = mapped_column(String(128))
    """The engine's id of the replica."""
    engine_id: Mapped[str] = mapped_column(String(128))
    """The engine's id of the terminal."""
    actor: Mapped[str] = mapped_column(String(255))
    seen_at: Mapped[datetime] = mapped_column(default=now, index=True)
    """When the process of Orca that has it was last alive."""
