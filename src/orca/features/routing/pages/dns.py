"""Pages of DNS credentials: the form to add one is on the page of certificates, and each has a page of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession
from orca.errors import OrcaError
from orca.features.routing import actions, queries
from orca.features.routing.models import DnsCredential
from orca.features.routing.operations.reach import ReachCheck
from orca.features.routing.pages.certificates import draw_list
from orca.features.routing.rules.dns_providers import PROVIDERS, Provider
from orca.features.routing.schemas.dns import DnsCredentialChanges, DnsCredentialIn
from orca.features.routing.steps.dns_records import check_zones
from orca.web.answers import Redirect, attempt, submit
from orca.web.forms import Filled, Form, fill
from orca.web.guard import CurrentResources, CurrentScope, Router, guard
from orca.web.render import render

router = Router(include_in_schema=False)
DNS = "dns_"
"""Prefix of the field names of this form on the page of certificates, where ids must be unique."""


@dataclass(frozen=True, slots=True)
class DnsPage:
    """One DNS credential, without its secrets."""

    credential: DnsCredential
    provider: Provider
    form: Filled[DnsCredentialChanges] = field(default_factory=Filled)
    refusal: OrcaError | None = None
    findings: Sequence[ReachCheck] = ()
    """The results of a check, if one was made."""


@router.post("/dns")
@guard("dns.create", rate="write", audit="DnsCredentialCreated", page=True)
async def add_dns_credential(
    request: Request, session: WriteSession, scope: CurrentScope, resources: CurrentResources, form: Form
) -> Response:
    """Store a DNS credential and redirect to its page, which offers a check."""
    provider = PROVIDERS.get(form.get("dns_provider", ""))
    data = {
        "name": form.get("dns_name", ""), "provider": form.get("dns_provider", ""),
        "zones": _words(form.get("dns_zones", "")), "fields": _fields(form, provider) if provider else {},
    }  # fmt: skip

    async def save(given: DnsCredentialIn) -> Redirect:
        row = await actions.create_dns_credential(session, resources.secret_box, scope, given)
        return Redirect(f"/dns/{row.id}", f"{row.name} is stored", "Try it here.")

    async def draw(again: Filled[DnsCredentialIn]) -> Response:
        errors = {_place(name, provider): text for name, text in again.errors.items()}
        return await draw_list(request, session, scope, dns_form=Filled(form, errors))

    return await submit(request, session, fill(DnsCredentialIn, data, form), save, draw)


@router.get("/dns/{dns_credential_id}")
@guard("dns.read", tenant="dns_credential_id", page=True)
async def show_dns_credential(
    dns_credential_id: str, request: Request, session: ReadSession, scope: CurrentScope
) -> Response:
    """Show a DNS credential; its secrets are never shown."""
    return await _draw(request, session, scope, dns_credential_id)


@router.post("/dns/{dns_credential_id}")
@guard("dns.update", tenant="dns_credential_id", rate="write", audit="DnsCredentialUpdated", page=True)
async def change_dns_credential(
    dns_credential_id: str,
    request: Request,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    form: Form,
) -> Response:
    """Change a DNS credential; empty fields keep their stored value."""
    provider = PROVIDERS[(await queries.get_dns_credential(session, scope, dns_credential_id)).provider]
    data: dict[str, Any] = {"name": form.get("dns_name", ""), "zones": _words(form.get("dns_zones", ""))}
    fields = _fields(form, provider)

    async def save(changes: DnsCredentialChanges) -> Redirect:
        await actions.update_dns_credential(session, resources.secret_box, scope, dns_credential_id, changes)
        return Redirect(f"/dns/{dns_credential_id}", "Saved")

    async def draw(again: Filled[DnsCredentialChanges]) -> Response:
        errors = {_place(name, provider): text for name, text in again.errors.items()}
        return await _draw(request, session, scope, dns_credential_id, form=Filled(form, errors))

    filled = fill(DnsCredentialChanges, data | ({"fields": fields} if fields else {}), form)
    return await submit(request, session, filled, save, draw)


@router.post("/dns/{dns_credential_id}/check")
@guard("dns.update", tenant="dns_credential_id", rate="write", page=True, seconds=180)
async def try_dns_credential(
    dns_credential_id: str, request: Request, scope: CurrentScope, resources: CurrentResources
) -> Response:
    """Find each zone and sign in at the provider; the page then shows the results."""
    findings = await check_zones(resources, scope, dns_credential_id)
    async with resources.db.read(scope.team_id, scope.reach) as session:
        return await _draw(request, session, scope, dns_credential_id, findings=findings)


@router.post("/dns/{dns_credential_id}/delete")
@guard("dns.delete", tenant="dns_credential_id", rate="write", audit="DnsCredentialDeleted", page=True)
async def remove_dns_credential(
    dns_credential_id: str, request: Request, session: WriteSession, scope: CurrentScope
) -> Response:
    """Delete the credential; refused while a wildcard needs it or its proofs still exist, which the page then lists."""
    deletion = actions.delete_dns_credential(session, scope, dns_credential_id)
    done = Redirect("/certificates", "The DNS credential is deleted")
    return await attempt(request, session, deletion, done, partial(_draw, request, session, scope, dns_credential_id))


async def _draw(
    request: Request, session: AsyncSession, scope: CurrentScope, credential_id: str, **more: Any
) -> Response:
    row = await queries.get_dns_credential(session, scope, credential_id)
    page = DnsPage(row, PROVIDERS[row.provider], **more)
    status = page.refusal.status if page.refusal else page.form.status
    return render(request, "routing/dns.html", page, status=status)


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _fields(form: Mapping[str, str], provider: Provider) -> dict[str, str]:
    """Return the form's values for this provider: the form has the fields of every provider."""
    names = ((entry.name, f"{DNS}{provider.name}_{entry.name}") for entry in provider.fields)
    return {name: form[typed] for name, typed in names if form.get(typed)}


def _place(name: str, provider: Provider | None) -> str:
    """Return the form's name of the API field `name`."""
    if not name:
        return ""
    top, _, rest = name.partition(".")
    if provider is not None and (rest or top) in {entry.name for entry in provider.fields} and top != "name":
        return f"{DNS}{provider.name}_{rest or top}"
    return DNS + top
