"""Uploaded certificates, and the periodic check for certificates that are about to expire."""

import json
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import BadInput, Conflict, DeadlineExceeded
from orca.events import Event, Fact, record
from orca.features.routing.events import names_of
from orca.features.routing.models import Certificate, Route
from orca.features.routing.queries import CERTIFICATE_KEY
from orca.features.routing.rules.certificates import WARN_BEFORE, certifies
from orca.features.routing.schemas import CertificateIn, CertificateReplacement
from orca.features.secrets.actions import delete_secrets, put_secret
from orca.kit.clock import format_instant
from orca.resources import Resources
from orca.sdk.connectors import Command, Connector
from orca.web.guard import Scope

if TYPE_CHECKING:
    from orca.features.routing.rules.uploads import ParsedCertificate

_TELL_EVERY = timedelta(days=1)
_MOST_NAMED = 5
_UNLOCK_SECONDS = 20
_TOO_SLOW = (
    "it takes too long to read: write it anew with `openssl pkey -in KEY -out KEY`, or make a smaller key "
    "(RSA with 2048 to 4096 bits, or P-256)"
)
Upload = TypeVar("Upload", CertificateIn, CertificateReplacement)


async def add_certificate(
    session: AsyncSession, resources: Resources, scope: Scope, given: CertificateIn
) -> Certificate:
    """Store a certificate and its sealed key. Raises BadInput that names which of the two is wrong and why."""
    parsed = _parse(given)
    row = Certificate(
        team_id=scope.team_id, name=given.name, hostnames=list(parsed.hostnames), chain=parsed.chain,
        issuer=parsed.issuer, not_after=parsed.not_after,
    )  # fmt: skip
    session.add(row)
    await session.flush()
    await _put_key(session, resources, row, parsed)
    await record(session, _fact("CertificateUploaded", row))
    return row


async def replace_certificate(
    session: AsyncSession, resources: Resources, row: Certificate, given: CertificateReplacement
) -> Certificate:
    """Replace this certificate for all names that use it; `apply_routes` then serves the new one.

    Raises BadInput like an upload, and when a name that uses it would be left without a certificate.
    """
    parsed = _parse(given)
    users = select(Route.hostname).where(Route.certificate_id == row.id).distinct().order_by(Route.hostname)
    left_out = [name for name in await session.scalars(users) if not certifies(list(parsed.hostnames), name)]
    if left_out:
        names = ", ".join(left_out[:_MOST_NAMED])
        message = f"it is not for {names}, which the present one serves"
        raise BadInput(f"certificate: {message}", fields={"certificate": message})
    row.hostnames, row.chain = list(parsed.hostnames), parsed.chain
    row.issuer, row.not_after = parsed.issuer, parsed.not_after
    await _put_key(session, resources, row, parsed)
    await record(session, _fact("CertificateReplaced", row))
    return row


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


def _parse(given: CertificateIn | CertificateReplacement) -> "ParsedCertificate":
    from orca.features.routing.rules.uploads import Unusable, parse_certificate  # noqa: PLC0415 - megabytes that a start does without

    key, password = given.private_key.get_secret_value(), given.password.get_secret_value()
    try:
        return parse_certificate(given.certificate, key, now(), password, is_validated=True)
    except Unusable as error:
        raise BadInput(f"{error.field}: {error}", fields={error.field: str(error)}) from error


async def _put_key(session: AsyncSession, resources: Resources, row: Certificate, parsed: "ParsedCertificate") -> None:
    owner, box = ("certificate", row.id), resources.secret_box
    value = parsed.private_key
    await put_secret(session, box, team_id=row.team_id, owner=owner, name=CERTIFICATE_KEY, value=value)


async def delete_certificate(session: AsyncSession, certificate: Certificate) -> None:
    """Delete a certificate and its key. Raises Conflict while routes use it."""
    query = select(Route.hostname).where(Route.certificate_id == certificate.id).distinct().order_by(Route.hostname)
    users = (await session.scalars(query)).all()
    if users:
        names = ", ".join(users[:_MOST_NAMED]) + (" and others" if len(users) > _MOST_NAMED else "")
        raise Conflict(f"this certificate is used by {names}", hint="Give those routes another certificate first.")
    await record(session, _fact("CertificateDeleted", certificate))
    await delete_secrets(session, ("certificate", certificate.id))
    await session.delete(certificate)
    await session.flush()


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
    return [_fact("CertificateExpiring", row) for row in (await session.scalars(query)).all()]


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


def _fact(name: str, row: Certificate) -> Fact:
    payload = {"name": row.name, "hostnames": row.hostnames, "not_after": format_instant(row.not_after)}
    return Fact(name, row.team_id, "certificate", row.id, payload)
