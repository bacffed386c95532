"""Hostnames that an `orca.yaml` names."""

import pytest
from sqlalchemy import select

from orca.errors import BadInput, Conflict
from orca.features.routing.actions import create_route, ensure_named_routes
from orca.features.routing.models import Route
from orca.features.routing.schemas.routes import RouteIn


async def ensure(resources, service, *hostnames):
    async with resources.db.write() as session:
        return await ensure_named_routes(session, resources.settings, service, hostnames)


async def hostnames_of(resources, service):
    async with resources.db.read() as session:
        return sorted(await session.scalars(select(Route.hostname).where(Route.service_id == service.id)))


async def test_new_names_are_made_once_and_forgotten_ones_stay(resources, service):
    assert await ensure(resources, service, "a.example.org", "B.Example.org") == ["a.example.org", "b.example.org"]
    assert await ensure(resources, service, "b.example.org", "c.example.org") == ["c.example.org"]
    assert await hostnames_of(resources, service) == ["a.example.org", "b.example.org", "c.example.org"]


async def test_names_of_others_and_impossible_ones_are_refused_and_nothing_is_kept(resources, service, foreign):
    async with resources.db.write() as session:
        await create_route(session, resources.settings, foreign, RouteIn(hostname="theirs.example.org"), {})
    with pytest.raises(Conflict, match="already in use"):
        await ensure(resources, service, "mine.example.org", "theirs.example.org")
    with pytest.raises(BadInput, match="domains"):
        await ensure(resources, service, "mine.example.org", "127.0.0.1")
    assert await hostnames_of(resources, service) == []
