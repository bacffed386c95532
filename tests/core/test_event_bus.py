"""The event bus: who is called, with what, and in which transaction."""

from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import Database
from orca.events import Event, EventBus, Fact, connect_events, record
from orca.resources import Resources

THING = Fact("ThingMade", object_type="thing", object_id="1")
nothing: Any = None


async def types_in(db: Database) -> list[str]:
    async with db.read() as session:
        return list(await session.scalars(select(Event.type).order_by(Event.seq)))


async def test_subscribers_of_a_type_are_called_in_order_with_the_resources(db: Database) -> None:
    called: list[tuple[str, object, str | None]] = []
    resources: Any = object()

    async def first(_session: AsyncSession, given: Resources, fact: Fact) -> None:
        called.append(("first", given, fact.object_id))

    async def second(_session: AsyncSession, given: Resources, fact: Fact) -> None:
        called.append(("second", given, fact.object_id))

    connect_events(db, EventBus(resources, {"ThingMade": [first, second], "ThingLost": [first]}))
    async with db.write() as session:
        await record(session, THING)
        await record(session, Fact("ThingSeen"))
    assert called == [("first", resources, "1"), ("second", resources, "1")]


async def test_what_a_subscriber_records_is_in_the_same_transaction(db: Database) -> None:
    async def follow_up(session: AsyncSession, _resources: Resources, _fact: Fact) -> None:
        await record(session, Fact("ThingCounted"))

    connect_events(db, EventBus(nothing, {"ThingMade": [follow_up]}))
    with pytest.raises(RuntimeError):
        async with db.write() as session:
            await record(session, THING)
            raise RuntimeError
    assert await types_in(db) == []
    async with db.write() as session:
        await record(session, THING)
    assert await types_in(db) == ["ThingMade", "ThingCounted"]


async def test_a_session_without_a_bus_stores_the_fact(db: Database) -> None:
    async with db.write() as session:
        await record(session, THING)
        assert not [each for each in session.info.values() if isinstance(each, EventBus)]
    assert await types_in(db) == ["ThingMade"]


async def test_sessions_of_the_application_carry_the_bus_and_nothing_else(app: FastAPI) -> None:
    resources: Resources = app.state.resources
    async with resources.db.write() as session:
        [bus] = session.info.values()
    assert isinstance(bus, EventBus)
    assert bus.resources is resources
    assert {"ServiceDeleted", "PasswordReset", "UploadReceived"} <= bus.subscribers.keys()
