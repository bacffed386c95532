"""Every text of every body that is known to be accepted, replaced by something that means more than itself."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, select
from tests.attacks import checks
from tests.attacks.argv import META
from tests.attacks.conftest import World

from orca.db import Base

# An upload of a certificate is read in a process of its own, which takes a second on a busy machine.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow, pytest.mark.timeout(900)]
WORDS = [word for word in META if len(word) < 1000] + ["\ud800", "x" * 70_000]


def bent(body: Any, word: str) -> Iterator[tuple[str, Any]]:
    """Copies of a body in which one text is replaced; and where it was."""
    for place in _places(body):
        copied = copy.deepcopy(body)
        parent = copied
        for step in place[:-1]:
            parent = parent[step]
        parent[place[-1]] = word
        yield ".".join(map(str, place)), copied


def _places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if isinstance(value, str):
        yield way
    for key, child in children:
        yield from _places(child, (*way, key))


async def count_rows(world: World) -> dict[str, int]:
    tables = Base.metadata.sorted_tables
    counts = [select(func.count()).select_from(table).scalar_subquery().label(table.name) for table in tables]
    async with world.app.state.resources.db.read() as session:  # one statement, for this is asked after each request
        return dict((await session.execute(select(*counts))).one()._mapping)


@pytest.mark.sampled
@pytest.mark.parametrize("number", range(len(WORDS)))
async def test_every_text_is_kept_as_it_is_or_refused_and_then_nothing_is_saved(world: World, number: int) -> None:
    word, broken = WORDS[number], []
    before = await count_rows(world)
    for path, body in list(world.ours.posted):
        for place, wrong in bent(body, word):
            content = checks.to_json(wrong)
            answer = await world.browsers["owner"].post(
                path, content=content, headers={"Content-Type": "application/json"}
            )
            if answer.status_code >= 500:
                broken.append(f"POST {path} answers {answer.status_code} to {word[:20]!r} as {place}")
            after = await count_rows(world)
            if not answer.is_success and after != before:
                broken.append(f"POST {path} refuses {word[:20]!r} as {place} and saves something")
            before = after
    assert not broken, "\n".join(broken)


async def test_names_are_shown_as_text_and_never_as_markup_or_template(world: World) -> None:
    name = '"><b id=x>{{191*7}}'
    await world.ours.post("/api/v1/projects", {"name": name})
    await world.ours.post("/api/v1/tokens", {"name": name, "scopes": ["service.read"], "expires_in_days": 1})
    shown, broken = 0, []
    async for door, text in checks.read_everything(world, world.doors, "owner"):
        if "text/html" in text:
            shown += "&lt;b id=x&gt;{{191*7}}" in text
            if "<b id=x>" in text or ">1337" in text:
                broken.append(f"{door} shows a name as markup")
    assert shown
    assert not broken, "\n".join(broken)
