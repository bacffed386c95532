"""Uploaded certificates, and the end of ordered ones."""

from typing import TYPE_CHECKING

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import all_teams, now
from orca.errors import BadInput, Conflict
from orca.events import Fact, record
from orca.features.routing.models import Certificate, OrderedCertificate, Route
from orca.features.routing.queries import CERTIFICATE_KEY, ORDERED
from orca.features.routing.rules.certificates import certifies
from orca.features.routing.schemas.certificates import CertificateIn, CertificateReplacement
from orca.features.secrets.actions import delete_secrets, put_secret
from orca.kit.clock import format_instant
from orca.resources import Resources
from orca.web.guard import Scope

if TYPE_CHECKING:
    from orca.features.routing.rules.uploads import ParsedCertificate

_MOST_NAMED = 5


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
    await record(session, certificate_fact("CertificateUploaded", row))
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
    await record(session, certificate_fact("CertificateReplaced", row))
    return row


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
    await record(session, certificate_fact("CertificateDeleted", certificate))
    await delete_secrets(session, ("certificate", certificate.id))
    await session.delete(certificate)
    await session.flush()


def certificate_fact(name: str, row: Certificate) -> Fact:
    """Return an event about an uploaded certificate."""
    payload = {"name": row.name, "hostnames": row.hostnames, "not_after": format_instant(row.not_after)}
    return Fact(name, row.team_id, "certificate", row.id, payload)


async def forget_ordered(session: AsyncSession, hostname: str, *, keeping: str | None = None) -> None:
    """Delete the ordered certificates of a hostname with their keys, except those of the team `keeping`."""
    query = select(OrderedCertificate.id).where(OrderedCertificate.hostname == hostname)
    if keeping is not None:
        query = query.where(OrderedCertificate.team_id != keeping)
    with all_teams(session):  # those of the team that had the name before
        for found in (await session.scalars(query)).all():
            await delete_secrets(session, (ORDERED, found))
            await session.execute(delete(OrderedCertificate).where(OrderedCertificate.id == found))
