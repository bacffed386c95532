"""What an attacker with access to the database can do to the trail, and that each of it is detected; on both databases."""

import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import delete, insert, select, update
from tests.conftest import API_TOKEN, claim, client_of, make_settings, running_app

from orca.events import Event, Fact, chain_hash, record
from orca.features.audit.queries import Trail, load_checkpoints, verify_trail
from orca.features.audit.rules import EVERY, EVERY_EVENTS, FILE_NAME
from orca.features.audit.tasks import Keeper, write_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture
async def trail(tmp_path: Path, database_url: str | None) -> AsyncIterator[FastAPI]:
    """A claimed instance with ten events and a signed checkpoint."""
    overrides = {"database_url": database_url} if database_url else {}
    async with running_app(make_settings(tmp_path / "data", **overrides)) as app:
        await claim(app)
        await happen(app, 10)
        await write_checkpoint(app.state.resources)
        assert len(load_checkpoints(app.state.settings)) == 1
        yield app


@pytest.fixture
async def fresh(tmp_path: Path) -> AsyncIterator[FastAPI]:
    """A claimed instance that signed nothing yet."""
    async with running_app(make_settings(tmp_path / "data")) as app:
        await claim(app)
        yield app


async def happen(app: FastAPI, times: int = 1) -> None:
    async with app.state.resources.db.write() as session:
        for number in range(times):
            await record(session, Fact("ThingHappened", object_type="thing", payload={"number": number}))


async def checked(app: FastAPI) -> Trail:
    resources = app.state.resources
    checkpoints = load_checkpoints(resources.settings)
    async with resources.db.read() as session:
        return await verify_trail(session, resources.secret_box.sign, checkpoints)


async def sign_later(app: FastAPI, by: timedelta = EVERY) -> None:
    """The job, as it would run some time from now."""

    class Later:
        def now(self):
            return app.state.resources.clock.now() + by

    await write_checkpoint(replace(app.state.resources, clock=Later()))


async def all_rows(app: FastAPI) -> list[Event]:
    async with app.state.resources.db.read() as session:
        return list(await session.scalars(select(Event).order_by(Event.seq)))


async def rewrite(app: FastAPI, rows: list[Event]) -> None:
    """Replace all rows by these, with a valid chain of hashes, as an attacker would who knows how it is calculated."""
    previous = "0" * 64
    values = []
    for row in rows:
        row.previous_hash = previous
        row.hash = previous = chain_hash(row)
        values.append({column.name: getattr(row, column.name) for column in Event.__table__.columns})
    async with app.state.resources.db.write() as session:
        await session.execute(delete(Event))
        await session.execute(insert(Event), values)


async def edit(app: FastAPI) -> None:
    async with app.state.resources.db.write() as session:
        await session.execute(update(Event).where(Event.seq == 5).values(actor="somebody else"))


async def edit_and_calculate_anew(app: FastAPI) -> None:
    rows = await all_rows(app)
    rows[4].actor = "somebody else"
    await rewrite(app, rows)


async def remove_one(app: FastAPI) -> None:
    async with app.state.resources.db.write() as session:
        await session.execute(delete(Event).where(Event.seq == 5))


async def remove_one_and_calculate_anew(app: FastAPI) -> None:
    rows = await all_rows(app)
    await rewrite(app, [row for row in rows if row.seq != 5])


async def swap_two(app: FastAPI) -> None:
    rows = await all_rows(app)
    async with app.state.resources.db.write() as session:
        for seq, stand_in in ((rows[3].seq, -1), (rows[4].seq, rows[3].seq), (-1, rows[4].seq)):
            await session.execute(update(Event).where(Event.seq == seq).values(seq=stand_in))


async def cut_off_the_end(app: FastAPI) -> None:
    newest = (await all_rows(app))[-1].seq
    async with app.state.resources.db.write() as session:
        await session.execute(delete(Event).where(Event.seq >= newest))


async def cut_off_everything(app: FastAPI) -> None:
    async with app.state.resources.db.write() as session:
        await session.execute(delete(Event))


@pytest.mark.parametrize(
    "tamper",
    [edit, edit_and_calculate_anew, remove_one, remove_one_and_calculate_anew, swap_two, cut_off_the_end, cut_off_everything],
)  # fmt: skip
async def test_what_was_done_to_the_events_shows(trail: FastAPI, tamper: Callable[[FastAPI], Awaitable[None]]) -> None:
    assert (await checked(trail)).problem == ""
    await tamper(trail)
    found = await checked(trail)
    assert found.problem
    assert found.first_broken
    async with client_of(trail, Authorization=f"Bearer {API_TOKEN}") as http:
        told = (await http.get("/api/v1/events/verify")).json()
    assert not told["is_intact"]
    assert (told["problem"], told["first_broken"]) == (found.problem, found.first_broken)


async def test_an_older_database_shows_also_when_it_went_on(tmp_path: Path, database_url: str | None) -> None:
    """Put back is what was copied before the checkpoint, by the database's own tools."""
    settings = make_settings(tmp_path / "data", **({"database_url": database_url} if database_url else {}))
    async with running_app(settings) as app:
        await claim(app)
        await happen(app, 3)
    copy_out(settings.data_dir, database_url, tmp_path)
    async with running_app(settings) as app:
        await happen(app, 3)
        await write_checkpoint(app.state.resources)
    put_back(settings.data_dir, database_url, tmp_path)
    async with running_app(settings) as app:
        assert "is gone" in (await checked(app)).problem
        await happen(app, 20)
        assert "is not the one" in (await checked(app)).problem
        await sign_later(app)
        assert len(load_checkpoints(settings)) == 1, "nothing is signed on top of it"
        keeper = Keeper()
        await keeper.run(app.state.resources)
        told = (await all_rows(app))[-1]
        assert (told.type, told.outcome) == ("AuditTrailBroken", "failed")
        assert "is not the one" in told.payload["problem"]
        await keeper.run(app.state.resources)
        assert (await all_rows(app))[-1].seq == told.seq, "it is told once at start and then once a day"


def copy_out(data_dir: Path, database_url: str | None, to: Path) -> None:
    if database_url is None:
        shutil.copy(data_dir / "orc.db", to / "copy.db")
    else:
        subprocess.run(["pg_dump", "-Fc", "-f", to / "copy.dump", database_url], check=True)


def put_back(data_dir: Path, database_url: str | None, source: Path) -> None:
    if database_url is None:
        for name in ("orc.db-wal", "orc.db-shm"):
            (data_dir / name).unlink(missing_ok=True)
        shutil.copy(source / "copy.db", data_dir / "orc.db")
    else:
        subprocess.run(["pg_restore", "--clean", "-d", database_url, source / "copy.dump"], check=True)


async def test_a_crash_in_the_middle_of_a_checkpoint_leaves_a_chain_that_goes_on(trail: FastAPI) -> None:
    path = trail.state.settings.data_dir / FILE_NAME
    await happen(trail)
    await sign_later(trail)
    whole = path.read_bytes()
    last_line = whole.splitlines(keepends=True)[-1]
    for written in (1, 20, len(last_line) - 1):
        path.write_bytes(whole[: len(whole) - len(last_line) + written])
        found = await checked(trail)
        assert (found.problem, found.checkpoints) == ("", 1)
        await sign_later(trail)
        assert (await checked(trail)).checkpoints == 2
        whole = path.read_bytes()
        last_line = whole.splitlines(keepends=True)[-1]


async def test_a_transaction_that_was_rolled_back_leaves_a_chain_that_goes_on(trail: FastAPI) -> None:
    with pytest.raises(RuntimeError):
        async with trail.state.resources.db.write() as session:
            await record(session, Fact("ThingHappened"))
            raise RuntimeError
    await happen(trail)
    await sign_later(trail)
    found = await checked(trail)
    assert (found.problem, found.checkpoints) == ("", 2)


@pytest.mark.parametrize(
    "lines", [(1,), (0, 2), (1, 0), (0, 1, 1)], ids=["first gone", "middle gone", "swapped", "twice"]
)
async def test_checkpoints_that_were_moved_or_removed_show(fresh: FastAPI, lines: tuple[int, ...]) -> None:
    for number in range(3):
        await happen(fresh)
        await sign_later(fresh, EVERY * 2 * number)
    path = fresh.state.settings.data_dir / FILE_NAME
    written = path.read_text().splitlines(keepends=True)
    path.write_text("".join(written[number] for number in lines))
    assert FILE_NAME in (await checked(fresh)).problem


@pytest.mark.parametrize(
    "change", [("seq", "1"), ("hash", '"' + "0" * 64 + '"'), ("at", '"2020-01-01T00:00:00+00:00"')]
)
async def test_a_changed_checkpoint_shows(fresh: FastAPI, change: tuple[str, str]) -> None:
    await happen(fresh)
    await write_checkpoint(fresh.state.resources)
    path = fresh.state.settings.data_dir / FILE_NAME
    (row,) = load_checkpoints(fresh.state.settings)
    assert row is not None
    key, value = change
    was = f'"{row.at}"' if key == "at" else f'"{row.hash}"' if key == "hash" else str(row.seq)
    path.write_text(path.read_text().replace(f'"{key}":{was}', f'"{key}":{value}'))
    assert path.read_text() != ""
    assert "Line 1" in (await checked(fresh)).problem


@pytest.mark.parametrize(
    "line",
    [
        b"\xff", b"[]", b"[" * 5000,
        b'{"seq":"x","hash":"","at":"2020-01-01T00:00:00+00:00","signature":""}',
        b'{"seq":1000000000000000000000,"hash":"","at":"2020-01-01T00:00:00+00:00","signature":""}',
        b'{"seq":1,"hash":[],"at":"2020-01-01T00:00:00+00:00","signature":""}',
        b'{"seq":1,"hash":"","at":"2020-01-01T00:00:00","signature":""}',
        b'{"seq":1,"hash":"","at":"long ago","signature":""}',
    ],
)  # fmt: skip
async def test_a_line_that_is_no_checkpoint_is_told(fresh: FastAPI, line: bytes) -> None:
    keeper = Keeper()
    await keeper.run(fresh.state.resources)
    with (fresh.state.settings.data_dir / FILE_NAME).open("ab") as file:
        file.write(line + b"\n")
    async with client_of(fresh, Authorization=f"Bearer {API_TOKEN}") as http:
        told = (await http.get("/api/v1/events/verify")).json()
    assert (told["is_intact"], told["checkpoints"]) == (False, 2)
    assert "Line 2" in told["problem"]
    await sign_later(fresh)
    await Keeper().run(fresh.state.resources)
    assert "AuditTrailBroken" in [row.type for row in await all_rows(fresh)]


async def test_a_proof_that_failed_is_tried_again_at_the_next_walk(fresh: FastAPI) -> None:
    keeper, path = Keeper(), fresh.state.settings.data_dir / FILE_NAME
    await write_checkpoint(fresh.state.resources)
    text = path.read_text()
    path.unlink()
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        await keeper.run(fresh.state.resources)
    path.rmdir()
    path.write_text(text.replace('"seq":', '"seq":1'))
    await keeper.run(fresh.state.resources)
    assert "AuditTrailBroken" in [row.type for row in await all_rows(fresh)]


async def test_a_checkpoint_is_due_after_ten_minutes_or_a_thousand_events(fresh: FastAPI) -> None:
    path = fresh.state.settings.data_dir / FILE_NAME
    await write_checkpoint(fresh.state.resources)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(load_checkpoints(fresh.state.settings)) == 1
    await sign_later(fresh)
    assert len(load_checkpoints(fresh.state.settings)) == 1, "nothing happened"
    await happen(fresh)
    await write_checkpoint(fresh.state.resources)
    assert len(load_checkpoints(fresh.state.settings)) == 1, "it is too early"
    await sign_later(fresh)
    assert len(load_checkpoints(fresh.state.settings)) == 2
    await happen(fresh, EVERY_EVENTS)
    await write_checkpoint(fresh.state.resources)
    assert len(load_checkpoints(fresh.state.settings)) == 3


async def test_the_key_of_another_instance_proves_nothing(trail: FastAPI, tmp_path: Path) -> None:
    async with running_app(make_settings(tmp_path / "other")) as other:
        await claim(other)
        await write_checkpoint(other.state.resources)
        (other.state.settings.data_dir / FILE_NAME).replace(trail.state.settings.data_dir / FILE_NAME)
    assert "Line 1" in (await checked(trail)).problem
