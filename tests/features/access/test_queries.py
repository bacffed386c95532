"""Memberships of a user, on both databases."""

import pytest

from orca.db import Database, now
from orca.features.access.models import Membership, Team
from orca.features.access.queries import list_memberships
from orca.features.identity.models import User


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (None, ["Alpha", "Beta", "Gamma"]),
        ("beta", ["Beta", "Alpha", "Gamma"]),
        ("gamma", ["Gamma", "Alpha", "Beta"]),
        ("left", ["Alpha", "Beta", "Gamma"]),
    ],
)
async def test_the_chosen_team_comes_first_then_those_joined_first(
    db: Database, chosen: str | None, expected: list[str]
) -> None:
    async with db.write() as session:
        session.add(User(id="ada", email="ada@example.org", password_hash="", password_changed_at=now()))
        names = ("alpha", "beta", "gamma", "left")
        session.add_all([Team(id=name, name=name.title(), slug=name) for name in names])
        await session.flush()
        for number, name in enumerate(names[:3]):
            session.add(Membership(id=f"m{number}", team_id=name, user_id="ada", role="viewer"))
    async with db.read() as session:
        found = await list_memberships(session, "ada", chosen)
    assert [each.team for each in found] == expected
