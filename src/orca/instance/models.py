"""Tables about the instance that a database belongs to, and about deliberate deletions."""

from datetime import datetime

from sqlalchemy import BigInteger, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, now


class Instance(Base):
    """One row: the instance that this database belongs to."""

    __tablename__ = "instance"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    """The value of the label `orca.instance` on everything that it creates on an engine."""
    key_fingerprint: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=now)
    lost_after: Mapped[int | None] = mapped_column(BigInteger().with_variant(Integer, "sqlite"))
    """The last event of a database that was found to be behind; null once an administrator has accepted that."""
    lost_until: Mapped[int | None] = mapped_column(BigInteger().with_variant(Integer, "sqlite"))
    """The last event that the data directory had recorded before."""


class Tombstone(Base):
    """An object that may still exist on an engine or a proxy, and whose row was deleted on purpose.

    An object with neither a row nor a tombstone is unknown to this database, and is never removed automatically.
    """

    __tablename__ = "tombstones"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    object_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)
