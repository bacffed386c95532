"""Uploads, and the watch over what expires."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update
from tests.features.routing.bench import SCOPE, Issued, issue

from orca.errors import BadInput
from orca.events import Event
from orca.features.routing import queries
from orca.features.routing.actions import add_certificate, create_route, delete_certificate
from orca.features.routing.models import Certificate, Route
from orca.features.routing.operations import watch_expiry
from orca.features.routing.schemas.certificates import CertificateIn
from orca.features.routing.schemas.routes import RouteIn
from orca.features.secrets.models import Secret


async def upload(resources, issued: Issued) -> Certificate:
    async with resources.db.write() as session:
        given = CertificateIn(name="mine", certificate=issued.certificate, private_key=issued.key)
        return await add_certificate(session, resources, SCOPE, given)


async def expiring(resources) -> list[Event]:
    async with resources.db.read() as session:
        return list((await session.scalars(select(Event).where(Event.type == "CertificateExpiring"))).all())


async def store(resources, service, **given) -> Route:
    async with resources.db.write() as session:
        return await create_route(session, resources.settings, service, RouteIn(**given), {})


async def test_the_key_is_sealed_and_goes_with_its_certificate(resources) -> None:
    issued = issue("a.example.org")
    row = await upload(resources, issued)
    async with resources.db.read() as session:
        (secret,) = (await session.scalars(select(Secret))).all()
        assert issued.key.encode() not in secret.sealed
        recorded = (await session.scalars(select(Event))).one()
        assert (recorded.type, "PRIVATE" in str(recorded.payload)) == ("CertificateUploaded", False)
    async with resources.db.write() as session:
        await delete_certificate(session, await queries.get_certificate(session, SCOPE, row.id))
        assert (await session.scalars(select(Secret))).all() == []


async def test_a_bad_upload_saves_nothing(resources) -> None:
    mixed = replace(issue("a.org"), key=issue("a.org").key)
    with pytest.raises(BadInput, match="does not belong") as caught:
        await upload(resources, mixed)
    assert list(caught.value.details["fields"]) == ["private_key"]
    async with resources.db.read() as session:
        assert (await session.scalars(select(Certificate))).all() == []


async def test_what_ends_soon_is_told_once_a_day(resources, service) -> None:
    soon = await upload(resources, issue("soon.example.org", days=13))
    later = await upload(resources, issue("later.example.org", days=15))
    await upload(resources, issue("unused.example.org", days=1))
    await store(resources, service, hostname="soon.example.org", certificate_id=soon.id)
    await store(resources, service, hostname="later.example.org", certificate_id=later.id)
    for _ in range(2):
        await watch_expiry(resources)
    (event,) = await expiring(resources)
    assert (event.object_id, event.payload["hostnames"]) == (soon.id, ["soon.example.org"])
    async with resources.db.write() as session:
        await session.execute(update(Event).values(at=datetime.now(UTC) - timedelta(days=1, minutes=1)))
    await watch_expiry(resources)
    assert len(await expiring(resources)) == 2


async def test_ordered_ones_are_watched_and_the_internal_ca_is_not(resources, service) -> None:
    ordered = await store(resources, service, hostname="a.example.org")
    await store(resources, service, hostname="waiting.example.org")
    await store(resources, service, hostname="a.internal")
    async with resources.db.write() as session:
        (await session.get_one(Route, ordered.id)).certificate_until = datetime.now(UTC) + timedelta(days=3)
    await watch_expiry(resources)
    (event,) = await expiring(resources)
    assert (event.object_type, event.object_id) == ("route", ordered.id)
    assert event.team_id == service.team_id


async def test_a_silent_proxy_does_not_hide_uploads(resources, proxy, service) -> None:
    soon = await upload(resources, issue("soon.example.org", days=2))
    await store(resources, service, hostname="soon.example.org", certificate_id=soon.id)
    proxy.down = True
    await watch_expiry(resources)
    assert len(await expiring(resources)) == 1
