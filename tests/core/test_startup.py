"""A database, a key and a data directory that do not belong together are refused, in words, and nothing is touched."""

import asyncio
import os
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.conftest import make_settings

from orca.errors import StartRefused
from orca.instance.marker import Marker, find_marker
from orca.instance.rules import DatabaseFacts, InstanceFacts, judge
from orca.kit.crypto import SecretBox, find_key, load_key
from orca.settings import Settings
from orca.startup.check import StartChoice, check_before_start, establish
from orca.startup.facts import open_database

NAMED = DatabaseFacts("db", "mine", "key-1", has_data=True, is_sealed=True, opens=True, last_seq=7)
OLDER = DatabaseFacts("db", has_data=True, is_sealed=True, opens=True)
EMPTY = DatabaseFacts("db")
MARKED = Marker("mine", "key-1", seq=7, hash="h")
FITS = InstanceFacts("/data", "key-1", "derived", MARKED, NAMED)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (FITS, "mine"),
        (replace(FITS, marker=None), "mine"),
        (replace(FITS, marker=None, database=EMPTY, key_fingerprint=None, derived_id=None), None),
        (replace(FITS, marker=None, database=EMPTY), "derived"),
        (replace(FITS, marker=None, database=EMPTY, labelled=None), "derived"),
        (replace(FITS, marker=None, database=OLDER, labelled=4), "derived"),
        (replace(FITS, database=OLDER, labelled=4), "mine"),
        (replace(FITS, marker=None, database=replace(OLDER, is_sealed=False, opens=False)), "derived"),
    ],
)
def test_judge_what_belongs_together_starts(facts: InstanceFacts, expected: str | None) -> None:
    assert judge(facts).id == expected


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (replace(FITS, key_fingerprint=None), "secret.key is missing"),
        (replace(FITS, key_fingerprint="key-2"), "is not the key of the database"),
        (replace(FITS, marker=replace(MARKED, id="other")), "belongs to the instance mine"),
        (replace(FITS, database=EMPTY), "is empty or missing"),
        (replace(FITS, database=EMPTY, key_fingerprint=None), "is empty or missing"),
        (replace(FITS, database=EMPTY, marker=None, labelled=3), "3 of its containers"),
        (replace(FITS, database=EMPTY, marker=None, left_behind="/data/orc.db"), "orc.db"),
        (replace(FITS, marker=None, database=replace(OLDER, opens=False)), "is not the key"),
        (replace(FITS, marker=None, database=OLDER, key_fingerprint=None), "secret.key is missing"),
        (replace(FITS, marker=None, database=replace(OLDER, is_sealed=False), labelled=1), "does not say whose it is"),
    ],
)
def test_judge_what_does_not_belong_together_is_refused(facts: InstanceFacts, reason: str) -> None:
    with pytest.raises(StartRefused, match=reason) as refused:
        judge(facts)
    assert (
        "restore" in refused.value.hint.lower() or "put" in refused.value.hint.lower() or "Set " in refused.value.hint
    )


def test_judge_lost_tail_is_said() -> None:
    assert judge(replace(FITS, database=replace(NAMED, last_seq=5, knows_marked=False))).lost_after == 5


slow = pytest.mark.slow


@pytest.fixture
def settings(tmp_path: Path, database_url: str | None) -> Settings:
    """A machine without Docker: nothing but files and the database is looked at."""
    return make_settings(tmp_path / "data", database_url=database_url, docker={"host": f"unix://{tmp_path}/no.sock"})


def start(settings: Settings, choice: StartChoice | None = None) -> str:
    return asyncio.run(establish(settings, choice)).id


def seal_something(settings: Settings, key: bytes | None = None) -> None:
    box = SecretBox(key or load_key(settings.data_dir / "secret.key"))
    with open_database(settings.database) as connection:
        connection.execute(
            text(
                "INSERT INTO secrets (id, team_id, owner_type, owner_id, name, sealed, updated_at, created_at)"
                " VALUES ('s', 't', 'variable', 'v', 'value', :sealed, '2026-01-01 00:00:00', '2026-01-01 00:00:00')"
            ),
            {"sealed": box.seal(b"x", "secrets:variable:v:value")},
        )
        connection.commit()


def tables_of(settings: Settings) -> dict[str, int]:
    with open_database(settings.database) as connection:
        return {
            name: connection.scalar(text(f"SELECT count(*) FROM {name}")) or 0
            for name in ("instance", "secrets", "events")
        }


@slow
def test_establish_a_second_start_is_the_same_instance(settings: Settings) -> None:
    first = start(settings)
    seal_something(settings)
    assert start(settings) == first
    marker = find_marker(settings.data_dir)
    assert marker is not None
    assert marker.id == first
    assert (settings.data_dir.stat().st_mode & 0o777) == 0o700


@slow
@pytest.mark.parametrize("content", [None, b"", b"short", bytes(32)])
def test_establish_a_key_that_is_not_the_one_is_refused_and_kept(settings: Settings, content: bytes | None) -> None:
    start(settings)
    seal_something(settings)
    path = settings.data_dir / "secret.key"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
        path.chmod(0o600)
    before = tables_of(settings)
    with pytest.raises(StartRefused, match=r"secret\.key"):
        start(settings)
    assert (path.read_bytes() if path.exists() else None) == content
    assert tables_of(settings) == before
    if content in {None, bytes(32)}:
        with pytest.raises(StartRefused, match=r"secret\.key"):
            start(settings, StartChoice(adopt=True))
        start(settings, StartChoice(adopt=True, lost_secrets=True))
        start(settings)


@slow
def test_establish_a_second_server_with_another_key_is_refused(
    settings: Settings, tmp_path: Path, postgres_url: str
) -> None:
    first = settings.model_copy(update={"database_url": None})
    shared = make_settings(tmp_path / "one", database_url=postgres_url, docker=dict(first.docker))
    other = make_settings(tmp_path / "two", database_url=postgres_url, docker=dict(first.docker))
    start(shared)
    load_key((tmp_path / "two").mkdir() or tmp_path / "two" / "secret.key")
    with pytest.raises(StartRefused, match="is not the key"):
        start(other)
    shutil.copy(tmp_path / "one" / "secret.key", tmp_path / "two" / "secret.key")
    assert start(other) == start(shared)


@slow
def test_establish_an_emptied_database_beside_its_data_directory_is_refused(settings: Settings) -> None:
    first = start(settings)
    empty_database(settings)
    for _ in range(2):
        with pytest.raises(StartRefused, match="is empty or missing"):
            start(settings)
    fresh = start(settings, StartChoice(new_instance=True))
    assert fresh != first
    assert start(settings) == fresh
    assert (settings.data_dir / f"instance-{first}.json").exists()


@slow
def test_establish_adopt_keeps_the_name_of_the_containers(settings: Settings) -> None:
    first = start(settings)
    empty_database(settings)
    assert start(settings, StartChoice(adopt=True)) == first


def empty_database(settings: Settings) -> None:
    if settings.database.get_backend_name() == "sqlite":
        for path in settings.data_dir.glob("orc.db*"):
            path.unlink()
        return
    with open_database(settings.database) as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
        connection.commit()


@slow
def test_establish_an_older_copy_starts_and_is_known_to_be_behind(settings: Settings) -> None:
    start(settings)
    marker = find_marker(settings.data_dir)
    assert marker is not None
    (settings.data_dir / "instance.json").write_text(
        f'{{"id": "{marker.id}", "key_fingerprint": "{marker.key_fingerprint}", "seq": 9, "hash": "gone"}}'
    )
    start(settings)
    with open_database(settings.database) as connection:
        assert connection.execute(text("SELECT lost_after, lost_until FROM instance")).one() == (0, 9)
    start(settings, StartChoice(adopt=True))
    with open_database(settings.database) as connection:
        assert connection.execute(text("SELECT lost_after FROM instance")).scalar() is None


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Settings:
    made = make_settings(tmp_path / "data", docker={"host": f"unix://{tmp_path}/no.sock"})
    start(made)
    return made


@slow
@pytest.mark.parametrize("damage", ["page", "header", "no database", "cut"])
def test_check_before_start_a_damaged_file_is_refused(on_sqlite: Settings, damage: str) -> None:
    path = on_sqlite.data_dir / "orc.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = bytearray(path.read_bytes())
    half = len(content) // 2 // 4096 * 4096
    damaged = {
        "page": content[:half] + bytes([0x5A]) * 4096 + content[half + 4096 :],
        "header": bytes(100) + content[100:],
        "no database": b"certainly not a database\n" * 400,
        "cut": content[:half],
    }[damage]
    path.write_bytes(damaged)
    with pytest.raises(StartRefused, match=r"damaged|cannot be read") as refused:
        check_before_start(on_sqlite)
    assert "backup.md" in refused.value.hint
    assert path.read_bytes() == damaged


@slow
def test_check_before_start_tightens_modes_and_refuses_foreign_owners(on_sqlite: Settings) -> None:
    folder, key = on_sqlite.data_dir, on_sqlite.data_dir / "secret.key"
    folder.chmod(0o755)
    key.chmod(0o644)
    check_before_start(on_sqlite)
    assert [each.stat().st_mode & 0o777 for each in (folder, key)] == [0o700, 0o600]
    if os.geteuid() == 0:
        os.chown(key, 12345, 12345)
        with pytest.raises(StartRefused, match="belongs to the user 12345"):
            check_before_start(on_sqlite)


def test_load_key_is_whole_and_the_same_for_all_who_come_together(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _number: load_key(path), range(16)))
    assert keys == {find_key(path)}
    assert [each.name for each in tmp_path.iterdir()] == ["secret.key"]
    assert path.stat().st_mode & 0o777 == 0o600
