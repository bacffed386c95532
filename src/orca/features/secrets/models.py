"""Encrypted values, apart from the rows that use them, so that no read can leak one by accident."""

from datetime import datetime

from sqlalchemy import LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, TeamRow, now


class Secret(TeamRow, Base):
    """One sealed value. `owner_type:owner_id:name` is its place, which the ciphertext is bound to."""

    __tablename__ = "secrets"
    __table_args__ = (UniqueConstraint("owner_type", "owner_id", "name"),)

    owner_type: Mapped[str] = mapped_column(String(32))
    owner_id: Mapped[str] = mapped_column(String(36), index=True)
    name: Mapped[str] = mapped_column(String(128))
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    updated_at: Mapped[datetime] = mapped_column(default=now)
