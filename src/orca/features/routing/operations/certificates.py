"""Uploaded certificates are decrypted by a process of their own, and ends of certificates are announced."""

import json
import sys
from datetime import timedelta
from typing import TypeVar

from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import BadInput, DeadlineExceeded
from orca.events import Event, Fact, record
from orca.features.routing.actions.certificates import certificate_fact
from orca.features.routing.events import names_of
from orca.features.routing.models import Certificate, Route
from orca.features.routing.rules.certificates import WARN_BEFORE
from orca.features.routing.schemas.certificates import CertificateIn, CertificateReplacement
from orca.kit.clock import format_instant
from orca.resources import Resources
from orca.sdk.connectors import Command, Connector

_TELL_EVERY = timedelta(days=1)
_UNLOCK_SECONDS = 20
_TOO_SLOW = (
    "it takes too long to read: write it anew with `openssl pkey -in KEY -out KEY`, or make a smaller key "
    "(RSA with 2048 to 4096 bits, or P-256)"
)
Upload = TypeVar("Upload", CertificateIn, CertificateReplacement)


async def unlock_upload(connector: Connector, given: Upload) -> Upload:
    """Return an upload decrypted, as PEM. Raises BadInput when it cannot be opened, or takes too long.

    Needed for every upload: not only a password, but also the numbers of an RSA key can take minutes of work.
    """
    key = given.private_key.get_secret_value()
    asked = {"certificate": given.certificate, "private_key": key, "password": given.password.get_secret_value()}
    argv = (sys.executable, "-I", "-m", "orca.features.routing.steps.unlock_upload")
    try:
        result = await connector.run(Command(argv, deadline=_UNLOCK_SECONDS, stdin=json.dumps(asked).encode()))
        answer = json.loads(result.stdout) if result.exit_code == 0 else {}
    except (DeadlineExceeded, ValueError):
        answer = {}
    if "private_key" in answer:
        opened = {"private_key": SecretStr(answer["private_key"]), "password": SecretStr("")}
        return given.model_copy(update={"certificate": answer["certificate"], **opened})
    message = answer.get("message", _TOO_SLOW)
    field = answer.get("field", "private_key")
    raise BadInput(f"{field}: {message}", fields={field: message})


async def watch_expiry(resources: Resources) -> None:
    """Record `CertificateExpiring` for certificates that end within two weeks, once a day for each."""
    async with resources.db.read() as session:
        facts = await _expiring_uploads(session) + await _expiring_managed(session)
        told = select(Event.object_id).where(Event.type == "CertificateExpiring", Event.at > now() - _TELL_EVERY)
        already = set((await session.scalars(told)).all())
    for fact in facts:
        if fact.object_id not in already:
            async with resources.db.write() as session:
                await record(session, fact)


async def _expiring_uploads(session: AsyncSession) -> list[Fact]:
    """Return the events of uploaded certificates that are served; the others need no renewal."""
    used = select(Route.certificate_id).where(Route.certificate_id.is_not(None))
    query = select(Certificate).where(Certificate.id.in_(used), Certificate.not_after < now() + WARN_BEFORE)
    return [certificate_fact("CertificateExpiring", row) for row in (await session.scalars(query)).all()]


async def _expiring_managed(session: AsyncSession) -> list[Fact]:
    """Return the events of ordered certificates that were not renewed in time; those of the internal CA are left out.

    The internal CA's certificates live for hours, and it renews them itself.
    """
    query = select(Route).where(Route.tls == "acme", Route.certificate_until < now() + WARN_BEFORE)
    rows = {route.hostname: route for route in (await session.scalars(query.order_by(Route.id.desc()))).all()}
    facts = []
    for name, route in rows.items():
        if route.certificate_until is not None:
            payload = await names_of(session, route)
            payload |= {"hostnames": [name], "not_after": format_instant(route.certificate_until)}
            facts.append(Fact("CertificateExpiring", route.team_id, "route", route.id, payload))
    return facts
