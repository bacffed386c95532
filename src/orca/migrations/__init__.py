"""Alembic migrations, run on SQLite and PostgreSQL at every start."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL

_LOCK = 0x0ACB


def upgrade(url: URL) -> None:
    """Bring the schema up to date. Blocks; processes that start together wait for each other."""
    is_sqlite = url.get_backend_name() == "sqlite"
    engine = create_engine(url.set(drivername="sqlite" if is_sqlite else "postgresql+psycopg"))
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    try:
        with engine.connect() as connection:
            if not is_sqlite:
                connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    finally:
        engine.dispose()
