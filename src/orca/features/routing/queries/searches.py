"""Lists of the panel: searched by a text, in numbered pages, with what needs attention first."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Select, String, func, or_, select, true
from sqlalchemy import cast as cast_column
from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.routing.models import Certificate, DnsCredential, OrderedCertificate, Route
from orca.web.guard import Scope

PAGE_SIZE = 50
T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class NumberedPage(Generic[T]):
    """One numbered page of a list."""

    items: Sequence[T]
    number: int
    total: int

    def showing(self, items: Sequence[U]) -> "NumberedPage[U]":
        """Return the same page with these items instead."""
        return NumberedPage(items, self.number, self.total)

    @property
    def previous(self) -> int | None:
        """The number of the previous page, or None."""
        return min(self.number - 1, -(-self.total // PAGE_SIZE)) if self.number > 1 else None

    @property
    def next(self) -> int | None:
        """The number of the next page, or None."""
        return self.number + 1 if self.number * PAGE_SIZE < self.total else None

    @property
    def note(self) -> str:
        """The range of items on this page, as text."""
        first = (self.number - 1) * PAGE_SIZE + 1
        return f"{first:,} to {first + len(self.items) - 1:,} of {self.total:,}" if self.items else ""


class OrderedName(NamedTuple):
    """An ordered certificate, and the service whose hostname it is for."""

    certificate: OrderedCertificate
    service_id: str


class ExpiringCertificate(NamedTuple):
    """A certificate that ends soon or has expired. `certificate_id` and `name` are set for an uploaded one."""

    hostname: str
    not_after: datetime
    certificate_id: str | None = None
    name: str = ""
    used_by: int = 1


async def search_routes(
    session: AsyncSession, scope: Scope, service_id: str, text: str = "", number: int = 1
) -> NumberedPage[Route]:
    """Return the hostnames of a service that contain a text."""
    query = select(Route).where(Route.team_id == scope.team_id, Route.service_id == service_id)
    query = query.where(_contains(text, Route.hostname))
    return await _read_page(session, query.order_by(Route.hostname, Route.path_prefix), number)


async def search_certificates(
    session: AsyncSession, scope: Scope, text: str = "", number: int = 1
) -> NumberedPage[Certificate]:
    """Return uploaded certificates whose name or a hostname contains a text, ordered by expiry."""
    query = select(Certificate).where(Certificate.team_id == scope.team_id)
    query = query.where(_contains(text, Certificate.name, cast_column(Certificate.hostnames, String)))
    return await _read_page(session, query.order_by(Certificate.not_after, Certificate.id), number)


async def search_ordered(
    session: AsyncSession, scope: Scope, text: str = "", number: int = 1
) -> NumberedPage[OrderedName]:
    """Return ordered certificates of hostnames that the team has, ordered by expiry."""
    is_its_own = (OrderedCertificate.hostname == Route.hostname) & (OrderedCertificate.team_id == Route.team_id)
    query = select(OrderedCertificate, func.min(Route.service_id)).join(Route, is_its_own)
    query = query.where(Route.team_id == scope.team_id, Route.tls == "acme").group_by(OrderedCertificate.id)
    query = query.where(_contains(text, OrderedCertificate.hostname))
    query = query.order_by(OrderedCertificate.not_after, OrderedCertificate.id)
    found = await _read_rows(session, query, number)
    return found.showing([OrderedName(certificate, service_id) for certificate, service_id in found.items])


async def search_dns_credentials(
    session: AsyncSession, scope: Scope, text: str = "", number: int = 1
) -> NumberedPage[DnsCredential]:
    """Return DNS credentials whose name or a zone contains a text."""
    query = select(DnsCredential).where(DnsCredential.team_id == scope.team_id)
    query = query.where(_contains(text, DnsCredential.name, cast_column(DnsCredential.zones, String)))
    return await _read_page(session, query.order_by(DnsCredential.name, DnsCredential.id), number)


async def list_certificate_choices(session: AsyncSession, team_id: str) -> Sequence[tuple[str, str, list[str]]]:
    """Return id, name and hostnames of all uploaded certificates of a team."""
    query = select(Certificate.id, Certificate.name, Certificate.hostnames).where(Certificate.team_id == team_id)
    rows = await session.execute(query.order_by(Certificate.name, Certificate.id))
    return [(row.id, row.name, row.hostnames) for row in rows]


async def list_certificate_ends(session: AsyncSession, ids: Collection[str]) -> dict[str, datetime]:
    """Return when these uploaded certificates end, by id."""
    rows = await session.execute(select(Certificate.id, Certificate.not_after).where(Certificate.id.in_(ids)))
    return {row.id: row.not_after for row in rows}


async def list_ending(
    session: AsyncSession, scope: Scope, service_id: str, before: datetime
) -> list[ExpiringCertificate]:
    """Return the certificates of a service's hostnames that end before a time, ordered by expiry."""
    own = Route.team_id == scope.team_id, Route.service_id == service_id
    columns = Certificate.id, Certificate.name, Certificate.not_after
    uploaded = (
        select(*columns, func.min(Route.hostname).label("hostname"), func.count(Route.hostname.distinct()).label("n"))
        .join(Route, Route.certificate_id == Certificate.id)
        .where(*own, Certificate.not_after < before)
        .group_by(*columns)
    )
    rows = (await session.execute(uploaded)).all()
    found = [ExpiringCertificate(row.hostname, row.not_after, row.id, row.name, row.n) for row in rows]
    ordered = select(Route.hostname, Route.certificate_until).where(
        *own, Route.tls == "acme", Route.certificate_until < before
    )
    found += [
        ExpiringCertificate(hostname, until) for hostname, until in await session.execute(ordered.distinct()) if until
    ]
    return sorted(found, key=lambda ending: (ending.not_after, ending.hostname))


def _contains(text: str, *columns: Any) -> ColumnElement[bool]:
    return or_(*(column.icontains(text, autoescape=True) for column in columns)) if text else true()


async def _read_page(session: AsyncSession, query: Select[Any], number: int) -> NumberedPage[Any]:
    """Read one page of a query of single objects."""
    found = await _read_rows(session, query, number)
    return found.showing([row[0] for row in found.items])


async def _read_rows(session: AsyncSession, query: Select[*tuple[Any, ...]], number: int) -> NumberedPage[Any]:
    """Read one page of the rows of a query, and count all of them."""
    total = await session.scalar(select(func.count()).select_from(query.order_by(None).subquery())) or 0
    rows = await session.execute(query.offset((number - 1) * PAGE_SIZE).limit(PAGE_SIZE))
    return NumberedPage(rows.all(), number, total)
