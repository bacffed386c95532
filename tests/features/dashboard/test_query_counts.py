"""Ten times as much to show takes not one statement more, on any page or list."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import httpx
import pytest
from benchmarks.large import Size, fill
from benchmarks.lists import paths
from fastapi import FastAPI
from sqlalchemy import event
from tests.attacks.people import local_client
from tests.conftest import claim, make_settings, running_app

from orca.db import Database

FEW = Size(services=10, live=5, events=100, log_lines=50)
MANY = Size(services=100, live=50, events=1000, log_lines=5000)
MOST = 22
"""Statements, BEGIN included, that any page may take. The head of a service, on all of its pages, takes six of them."""


_counting: ContextVar[bool] = ContextVar("_counting", default=False)


@contextmanager
def statements_of(db: Database) -> Iterator[list[str]]:
    """Everything that the requests of this test tell the database meanwhile; not what the server does in the background."""
    told: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if _counting.get():
            told.append(statement)

    engines = {each.sync_engine for each in (db._reader, db._writer)}
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    counting = _counting.set(True)
    try:
        yield told
    finally:
        _counting.reset(counting)
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)


async def counts(app: FastAPI, size: Size) -> dict[str, int]:
    """How many statements each page takes, the second time that it is asked for."""
    await claim(app)
    found = {}
    async with local_client(app) as http:
        team = (await http.get("/api/v1/me")).json()["team_id"]
        for label, path in paths(await fill(app.state.settings.data_dir, team, size)).items():
            await http.get(path)
            found[label] = await count(app, http, path)
    return found


async def count(app: FastAPI, http: httpx.AsyncClient, path: str) -> int:
    with statements_of(app.state.resources.db) as told:
        answer = await http.get(path)
    assert answer.status_code == 200, answer.text
    return len(told)


@pytest.mark.slow
async def test_the_number_of_statements_does_not_grow(tmp_path: Path) -> None:
    async with running_app(make_settings(tmp_path / "few")) as app:
        few = await counts(app, FEW)
    async with running_app(make_settings(tmp_path / "many")) as app:
        many = await counts(app, MANY)
    assert few == many
    assert min(few.values()) > 0
    assert {label: count for label, count in many.items() if count > MOST} == {}
