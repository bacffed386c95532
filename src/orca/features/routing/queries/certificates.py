"""Reads of certificates and DNS credentials."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import String, select
from sqlalchemy import cast as cast_column
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db.pages import read_page
from orca.errors import NotFound
from orca.features.routing.filters import CertificateFilter
from orca.features.routing.models import Certificate, DnsCredential, OrderedCertificate, Route
from orca.features.routing.rules.hostnames import MAX_HOSTNAME, is_within
from orca.kit.pagination import Page, PageRequest
from orca.web.guard import Scope
from orca.web.rights import ObjectScope, find_scope

_ALL_CERTIFICATES = CertificateFilter()
CERTIFICATE_KEY = "key"
ORDERED = "ordered_certificate"
"""Owner type of the keys of ordered certificates."""
PROOF = "_acme-challenge."
"""Prefix of the record that proves a name (RFC 8555, 8.4)."""
_NAMES_AT_ONCE = 500


async def get_certificate(session: AsyncSession, scope: Scope, certificate_id: str) -> Certificate:
    """Return an uploaded certificate of the scope's team."""
    row = await session.get(Certificate, certificate_id)
    if row is None or row.team_id != scope.team_id:
        raise NotFound("there is no certificate with this id")
    return row


class CertificateUser(NamedTuple):
    """A hostname that uses an uploaded certificate, and its service."""

    hostname: str
    service_id: str


async def list_certificate_users(
    session: AsyncSession, scope: Scope, ids: Collection[str]
) -> dict[str, list[CertificateUser]]:
    """Map certificate ids to the hostnames that use them."""
    query = select(Route.certificate_id, Route.hostname, Route.service_id).distinct()
    rows = await session.execute(
        query.where(Route.team_id == scope.team_id, Route.certificate_id.in_(ids)).order_by(Route.hostname)
    )
    found: dict[str, list[CertificateUser]] = defaultdict(list)
    for certificate_id, hostname, service_id in rows:
        found[str(certificate_id)].append(CertificateUser(hostname, service_id))
    return found


async def find_certificate_scope(session: AsyncSession, certificate_id: str) -> ObjectScope | None:
    """Return where a certificate belongs: to a team."""
    return await find_scope(session, select(Certificate.team_id).where(Certificate.id == certificate_id))


async def list_certificates(
    session: AsyncSession, scope: Scope, wanted: CertificateFilter = _ALL_CERTIFICATES
) -> Page[Certificate]:
    """List uploaded certificates, newest first."""
    query = select(Certificate).where(Certificate.team_id == scope.team_id)
    if wanted.hostname is not None:
        query = query.where(
            cast_column(Certificate.hostnames, String).contains(f'"{wanted.hostname}"', autoescape=True)
        )
    if wanted.expires_before is not None:
        query = query.where(Certificate.not_after < wanted.expires_before)
    others = wanted.model_copy(update={"hostname": None, "expires_before": None})
    return await read_page(session, query, Certificate, others)


async def get_dns_credential(session: AsyncSession, scope: Scope, credential_id: str) -> DnsCredential:
    """Return a DNS credential of the scope's team."""
    row = await session.get(DnsCredential, credential_id)
    if row is None or row.team_id != scope.team_id:
        raise NotFound("there is no DNS credential with this id")
    return row


async def find_dns_credential_scope(session: AsyncSession, dns_credential_id: str) -> ObjectScope | None:
    """Return where a DNS credential belongs: to a team."""
    return await find_scope(session, select(DnsCredential.team_id).where(DnsCredential.id == dns_credential_id))


async def list_dns_credentials(session: AsyncSession, scope: Scope, wanted: PageRequest) -> Page[DnsCredential]:
    """List DNS credentials, newest first."""
    query = select(DnsCredential).where(DnsCredential.team_id == scope.team_id)
    return await read_page(session, query, DnsCredential, wanted)


async def list_zone_credentials(session: AsyncSession, *team_ids: str) -> Sequence[DnsCredential]:
    """All DNS credentials of these teams."""
    query = select(DnsCredential).where(DnsCredential.team_id.in_(set(team_ids))).order_by(DnsCredential.id)
    return (await session.scalars(query)).all()


def credential_for(hostname: str, team_id: str, credentials: Iterable[DnsCredential]) -> DnsCredential | None:
    """Return the team's credential that proves a name: that of the longest matching zone.

    None when no zone matches, or when the name of the proof's record would be too long.
    """
    if len(PROOF + hostname.removeprefix("*.")) > MAX_HOSTNAME:
        return None
    fitting = [
        (len(zone), credential)
        for credential in credentials
        for zone in credential.zones
        if credential.team_id == team_id and is_within(hostname, [zone])
    ]
    return max(fitting, key=lambda found: found[0])[1] if fitting else None


async def list_acme_hostnames(session: AsyncSession, scope: Scope) -> set[str]:
    """Return the names of a team for which certificates are ordered."""
    query = select(Route.hostname).where(Route.team_id == scope.team_id, Route.tls == "acme")
    return set((await session.scalars(query)).all())


async def list_ordered(session: AsyncSession, team_id: str, hostnames: Collection[str]) -> list[OrderedCertificate]:
    """Return the ordered certificates of this team for these hostnames, in no particular order."""
    names = sorted(hostnames)
    found: list[OrderedCertificate] = []
    for start in range(0, len(names), _NAMES_AT_ONCE):
        some = names[start : start + _NAMES_AT_ONCE]
        query = select(OrderedCertificate).where(OrderedCertificate.hostname.in_(some))
        found += (await session.scalars(query.where(OrderedCertificate.team_id == team_id))).all()
    return found
