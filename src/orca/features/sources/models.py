"""Uploads: source trees that were sent."""

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, ServiceRow


class Upload(ServiceRow, Base):
    """A source tree that was sent with `orc deploy`; the file is in the data directory, named by its id."""

    __tablename__ = "uploads"

    service_id: Mapped[str] = mapped_column(String(36), index=True)
    number: Mapped[int] = mapped_column(default=0, server_default="0")
    """Counted per service; used for the order, because clocks can go back."""
    sha256: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
