"""Moving from SQLite to PostgreSQL: everything or nothing."""

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import URL, select
from tests.conftest import claim as claim_instance
from tests.conftest import make_settings, running_app

from orca.errors import StartRefused
from orca.events import Event, Fact, record, walk_chain
from orca.features.secrets.actions import put_secret
from orca.server.serve import only_one
from orca.settings import Settings
from orca.startup.check import establish
from orca.startup.facts import open_database, read_database

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture
async def moving(tmp_path: Path, postgres_url: str) -> Settings:
    """An instance with an owner, some history and a secret on SQLite; its settings name an empty PostgreSQL."""
    settings = make_settings(tmp_path / "data", docker={"host": f"unix://{tmp_path}/no.sock"})
    async with running_app(settings) as app:
        await claim_instance(app)
        resources = app.state.resources
        async with resources.db.write() as session:
            for number in range(700):
                await record(session, Fact("ServiceUpdated", payload={"number": number, "text": "ü\u2028"}))
            await put_secret(
                session, resources.secret_box, team_id="t", owner=("variable", "v"), name="value", value="x"
            )
    return settings.model_copy(update={"database_url": SecretStr(postgres_url)})


def run(settings: Settings) -> subprocess.CompletedProcess[str]:
    assert settings.database_url is not None
    environment = {
        **os.environ, "ORC_DATA_DIR": str(settings.data_dir), "DATABASE_URL": settings.database_url.get_secret_value(),
    }  # fmt: skip
    argv = [sys.executable, "-m", "orca.server.migrate"]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=120)


async def test_migrate_carries_everything_over(moving: Settings, postgres_server: str) -> None:
    with psycopg.connect(moving.database_url.get_secret_value(), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {moving.database.database} SET timezone TO 'Asia/Kathmandu'")
    with pytest.raises(StartRefused, match="is empty or missing") as refused:
        await establish(moving)
    assert "orc migrate-database" in refused.value.hint
    before = (moving.data_dir / "orc.db").read_bytes()
    done = await asyncio.to_thread(run, moving)
    assert done.returncode == 0, done.stderr
    assert (moving.data_dir / "orc.db").read_bytes() == before
    async with running_app(moving) as app, app.state.resources.db.write() as session:
        assert [link.seq async for link in walk_chain(session) if not link.holds] == []
        last = (await session.scalars(select(Event).order_by(Event.seq.desc()).limit(1))).one()
        row = await record(session, Fact("ServiceUpdated"))
        await session.commit()
        assert row.seq > last.seq
        assert last.at.tzinfo is UTC
        assert last.at <= datetime.now(UTC)
    again = await asyncio.to_thread(run, moving)
    assert again.returncode != 0
    assert "holds data already" in again.stderr


async def test_migrate_what_fails_leaves_both_as_they_were(moving: Settings) -> None:
    with open_database(URL.create("sqlite", database=str(moving.data_dir / "orc.db"))) as connection:
        connection.exec_driver_sql(
            "UPDATE events SET payload = '{\"a\": \"\\u0000\"}', type = 'x' || char(0) WHERE seq = 600"
        )
        connection.commit()
    done = await asyncio.to_thread(run, moving)
    assert done.returncode != 0
    assert "events" in done.stderr
    facts = read_database(moving.database, None, None)
    assert (facts.id, facts.has_data, facts.is_sealed) == (None, False, False)
    alone = moving.model_copy(update={"database_url": None})
    assert (await establish(alone)).id


async def test_migrate_refuses_while_a_server_runs(moving: Settings) -> None:
    with only_one(moving.data_dir):
        done = await asyncio.to_thread(run, moving)
    assert done.returncode != 0
    assert "already runs" in done.stderr
