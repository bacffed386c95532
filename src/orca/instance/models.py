"""What a database says about the instance that it belongs to, and what was taken away on purpose."""

from datetime import datetime

from sqlalchemy import BigInteger, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, now


class Instance(Base):
    """One row: whose database this is."""

    __tablename__ = "instance"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    """The label `orca.instance` of everything that it makes on an engine."""
    key_fingerprint: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=now)
    lost_after: Mapped[int | None] = mapped_column(BigInteger().with_variant(Integer, "sqlite"))
    """The last event of a database that was found to be behind; null once somebody accepted that."""
    lost_until: Mapped[int | None] = mapped_column(BigInteger().with_variant(Integer, "sqlite"))
    """How far the trail had gone before."""


class Tombstone(Base):
    """Something that may still be on an engine or a proxy, and whose row was deleted on purpose.

    What has neither a row nor a tombstone is unknown to this database, and is never removed unasked.
    """

    __tablename__ = "tombstones"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    object_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)
