"""Pages of uploaded certificates, of those that Orca orders, and of DNS credentials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import Depends, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession, now
from orca.errors import OrcaError
from orca.features.routing import actions, operations, queries
from orca.features.routing.models import Certificate, DnsCredential
from orca.features.routing.queries import CertificateUser, NumberedPage, OrderedName
from orca.features.routing.rules.certificates import is_expiring
from orca.features.routing.rules.dns_providers import PROVIDERS, Provider
from orca.features.routing.schemas.certificates import CertificateIn, CertificateReplacement
from orca.features.routing.schemas.dns import DnsCredentialIn
from orca.systems import LOCAL
from orca.web.answers import Redirect, attempt, submit, submit_apart
from orca.web.forms import Filled, Form, fill
from orca.web.guard import CurrentResources, CurrentScope, Router, guard
from orca.web.render import render

router = Router(include_in_schema=False)
MAX_PAGE = 100_000
_FILES = ("certificate", "private_key", "password")


@dataclass(frozen=True, slots=True)
class CertificateExpiry:
    """When a certificate ends, and whether it needs attention."""

    not_after: datetime

    @property
    def is_over(self) -> bool:
        """Whether it has expired, so that browsers refuse it."""
        return self.not_after <= now()

    @property
    def is_expiring(self) -> bool:
        """Whether it ends soon."""
        return is_expiring(self.not_after, now())


@dataclass(frozen=True, slots=True)
class CertificateSearch:
    """The search text for all lists of the page, and the shown page number of each."""

    q: Annotated[str, Query(max_length=253)] = ""
    uploaded: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 1
    ordered: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 1
    dns: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 1


@dataclass(frozen=True, slots=True)
class CertificatesPage:
    """All certificates, where they are served, and the forms to add one."""

    wanted: CertificateSearch
    uploaded: NumberedPage[tuple[Certificate, CertificateExpiry, Sequence[CertificateUser]]]
    ordered: NumberedPage[tuple[OrderedName, CertificateExpiry]]
    credentials: NumberedPage[DnsCredential]
    providers: Mapping[str, Provider]
    choices: Sequence[tuple[str, str]]
    """The providers as pairs of name and label."""
    form: Filled[CertificateIn] = field(default_factory=Filled)
    dns_form: Filled[DnsCredentialIn] = field(default_factory=Filled)


@dataclass(frozen=True, slots=True)
class CertificatePage:
    """One uploaded certificate, to be replaced or deleted."""

    certificate: Certificate
    dated: CertificateExpiry
    users: Sequence[CertificateUser]
    form: Filled[CertificateReplacement] = field(default_factory=Filled)
    refusal: OrcaError | None = None
    """Why it was not deleted."""


async def draw_list(
    request: Request,
    session: AsyncSession,
    scope: CurrentScope,
    form: Filled[CertificateIn] | None = None,
    dns_form: Filled[DnsCredentialIn] | None = None,
    wanted: CertificateSearch = CertificateSearch(),
) -> Response:
    """Render the list, with a form that was refused."""
    text = wanted.q.strip()
    uploaded = await queries.search_certificates(session, scope, text, wanted.uploaded)
    users = await queries.list_certificate_users(session, scope, [row.id for row in uploaded.items])
    ordered = await queries.search_ordered(session, scope, text, wanted.ordered)
    page = CertificatesPage(
        wanted,
        uploaded.showing([(row, CertificateExpiry(row.not_after), users.get(row.id, [])) for row in uploaded.items]),
        ordered.showing([(item, CertificateExpiry(item.certificate.not_after)) for item in ordered.items]),
        await queries.search_dns_credentials(session, scope, text, wanted.dns),
        PROVIDERS, [(provider.name, provider.label) for provider in PROVIDERS.values()],
        form or Filled(), dns_form or Filled(),
    )  # fmt: skip
    return render(request, "routing/certificates.html", page, status=max(page.form.status, page.dns_form.status))


@router.get("/certificates")
@guard("certificate.read", page=True)
async def show_certificates(
    request: Request, session: ReadSession, scope: CurrentScope, wanted: Annotated[CertificateSearch, Depends()]
) -> Response:
    """Show uploaded certificates, ordered ones, and DNS credentials."""
    return await draw_list(request, session, scope, wanted=wanted)


@router.post("/certificates")
@guard("certificate.create", rate="write", audit="CertificateUploaded", page=True)
async def upload_certificate(
    request: Request, session: WriteSession, scope: CurrentScope, resources: CurrentResources, form: Form
) -> Response:
    """Store an upload; one that could not be served is refused with the reason."""

    async def save(given: CertificateIn) -> Redirect:
        plain = await operations.unlock_upload(await resources.systems.connector(LOCAL), given)
        row = await actions.add_certificate(session, resources, scope, plain)
        return Redirect(
            f"/certificates/{row.id}", f"{row.name} is stored", "Choose it at a hostname, under Encryption."
        )

    filled = fill(CertificateIn, {"name": form.get("name", "")} | _files(form), form)
    return await submit(request, session, filled, save, partial(draw_list, request, session, scope))


@router.get("/certificates/{certificate_id}")
@guard("certificate.read", tenant="certificate_id", page=True)
async def show_certificate(
    certificate_id: str, request: Request, session: ReadSession, scope: CurrentScope
) -> Response:
    """Show a certificate; its key is never shown."""
    return await _draw_one(request, session, scope, certificate_id)


@router.post("/certificates/{certificate_id}")
@guard("certificate.create", tenant="certificate_id", rate="write", audit="CertificateReplaced", page=True, seconds=180)
async def put_certificate(
    certificate_id: str, request: Request, scope: CurrentScope, resources: CurrentResources, form: Form
) -> Response:
    """Replace the certificate; all names that use it serve the new one when this redirects."""

    async def put(given: CertificateReplacement) -> Redirect:
        plain = await operations.unlock_upload(await resources.systems.connector(LOCAL), given)
        async with resources.db.write(scope.team_id) as session:
            row = await queries.get_certificate(session, scope, certificate_id)
            await actions.replace_certificate(session, resources, row, plain)
        await operations.apply_routes(resources)
        return Redirect(f"/certificates/{certificate_id}", "Replaced for all names that use it")

    async def draw(again: Filled[CertificateReplacement]) -> Response:
        async with resources.db.read(scope.team_id, scope.reach) as session:
            return await _draw_one(request, session, scope, certificate_id, again)

    return await submit_apart(request, fill(CertificateReplacement, _files(form), form), put, draw)


@router.post("/certificates/{certificate_id}/delete")
@guard("certificate.delete", tenant="certificate_id", rate="write", audit="CertificateDeleted", page=True)
async def remove_certificate(
    certificate_id: str, request: Request, session: WriteSession, scope: CurrentScope
) -> Response:
    """Delete the certificate; refused while hostnames use it, which the page then lists."""
    deletion = actions.delete_certificate(session, await queries.get_certificate(session, scope, certificate_id))
    done = Redirect("/certificates", "The certificate is deleted")
    return await attempt(request, session, deletion, done, partial(_draw_one, request, session, scope, certificate_id))


async def _draw_one(
    request: Request,
    session: AsyncSession,
    scope: CurrentScope,
    certificate_id: str,
    form: Filled[CertificateReplacement] | None = None,
    refusal: OrcaError | None = None,
) -> Response:
    row = await queries.get_certificate(session, scope, certificate_id)
    users = (await queries.list_certificate_users(session, scope, [row.id])).get(row.id, [])
    page = CertificatePage(row, CertificateExpiry(row.not_after), users, form or Filled(), refusal)
    status = refusal.status if refusal else page.form.status
    return render(request, "routing/certificate.html", page, status=status)


def _files(form: Mapping[str, str]) -> dict[str, str]:
    return {name: form.get(name, "") for name in _FILES}
