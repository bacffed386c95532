"""Secrets: sealed, bound to their place, unreadable with another key, gone with their owner."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text

from orca.features.secrets.actions import delete_secrets, put_secret
from orca.features.secrets.errors import SecretUnreadable
from orca.features.secrets.models import Secret
from orca.features.secrets.queries import open_secret, open_secrets, open_secrets_of
from orca.features.secrets.rules import place
from orca.kit.crypto import SecretBox
from orca.kit.ids import new_id

BOX = SecretBox(b"k" * 32)
TEAM = new_id()


@pytest.fixture
async def db(app):
    return app.state.resources.db


async def put(db, owner, name, value):
    async with db.write() as session:
        await put_secret(session, BOX, team_id=TEAM, owner=owner, name=name, value=value)


async def test_what_was_put_is_opened_again_and_replaced(db):
    owner = ("thing", new_id())
    for value in ("", "canary", "é🐋\n$'\"", "x" * 100_000):
        await put(db, owner, "name", value)
        async with db.read() as session:
            assert await open_secret(session, BOX, owner, "name") == value
            assert await open_secrets(session, BOX, owner) == {"name": value}
            assert len((await session.scalars(select(Secret).where(Secret.owner_id == owner[1]))).all()) == 1
    async with db.read() as session:
        assert await open_secret(session, BOX, owner, "other") is None
        assert await open_secret(session, BOX, ("thing", new_id()), "name") is None


async def test_the_database_holds_no_plaintext(db):
    await put(db, ("thing", new_id()), "name", "canary-secret")
    async with db.read() as session:
        rows = (await session.execute(text("SELECT * FROM secrets"))).all()
    assert rows
    assert all("canary" not in str(row) and b"canary" not in bytes(row.sealed) for row in rows)


@pytest.mark.parametrize("moved", ["owner_type", "owner_id", "name", "swap", "key", "bit"])
async def test_a_ciphertext_opens_at_its_own_place_only(db, moved):
    owner, other = ("thing", new_id()), ("thing", new_id())
    await put(db, owner, "name", "canary-1")
    await put(db, other, "name", "canary-2")
    async with db.write() as session:
        mine, theirs = [
            await session.scalar(select(Secret).where(Secret.owner_id == each[1])) for each in (owner, other)
        ]
        if moved == "swap":
            mine.sealed, theirs.sealed = theirs.sealed, mine.sealed
        elif moved == "bit":
            mine.sealed = mine.sealed[:-1] + bytes([mine.sealed[-1] ^ 1])
        elif moved != "key":
            setattr(mine, moved, "other" if moved != "owner_id" else new_id())
        owner, name = (mine.owner_type, mine.owner_id), mine.name
    box = SecretBox(b"K" * 32) if moved == "key" else BOX
    async with db.read() as session:
        for read in (
            open_secret(session, box, owner, name),
            open_secrets(session, box, owner),
            open_secrets_of(session, box, owner[0], [owner[1]], name),
        ):
            with pytest.raises(SecretUnreadable) as caught:
                await read
            assert "canary" not in f"{caught.value.message}{caught.value.hint}{caught.value.details}"
            assert caught.value.__cause__ is None


async def test_many_are_opened_at_once_and_missing_ones_left_out(db):
    owners = [new_id() for _ in range(1203)]
    async with db.write() as session:
        for number, owner in enumerate(owners):
            sealed = BOX.seal(str(number).encode(), place(("thing", owner), "name"))
            session.add(Secret(team_id=TEAM, owner_type="thing", owner_id=owner, name="name", sealed=sealed))
    async with db.read() as session:
        opened = await open_secrets_of(session, BOX, "thing", [*owners, new_id()], "name")
    assert opened == {owner: str(number) for number, owner in enumerate(owners)}


async def test_forgetting_takes_only_the_owners_own(db):
    owner, other = ("thing", new_id()), ("thing", new_id())
    for each in (owner, other):
        await put(db, each, "a", "1")
        await put(db, each, "b", "2")
    async with db.write() as session:
        await delete_secrets(session, owner)
    async with db.read() as session:
        assert await open_secrets(session, BOX, owner) == {}
        assert await open_secrets(session, BOX, other) == {"a": "1", "b": "2"}


@given(st.tuples(st.text(), st.text()), st.text(), st.tuples(st.text(), st.text()), st.text())
def test_places_differ_for_the_ids_and_names_orca_uses(owner, name, other, other_name):
    clean = [part.replace(":", "") for part in (*owner, name, *other, other_name)]
    same = clean[:3] == clean[3:]
    assert (place((clean[0], clean[1]), clean[2]) == place((clean[3], clean[4]), clean[5])) is same
