"""REST doors of routes, certificates and the proxy."""

from typing import Annotated

from fastapi import Query, Response

from orca.db import ReadSession, WriteSession, now
from orca.errors import NotFound, ProviderError
from orca.features.routing import actions, operations, queries
from orca.features.routing.filters import CertificateFilter, DnsCredentialFilter, RouteFilter
from orca.features.routing.models import Certificate, DnsCredential
from orca.features.routing.rules.dns_providers import PROVIDERS
from orca.features.routing.schemas.certificates import (
    CertificateIn,
    CertificateList,
    CertificateOut,
    CertificateReplacement,
    ManagedCertificateOut,
)
from orca.features.routing.schemas.checks import CheckOut, FindingOut, ProxyOut, RecordsOut
from orca.features.routing.schemas.dns import DnsCredentialChanges, DnsCredentialIn, DnsCredentialOut, DnsProviderOut
from orca.features.routing.schemas.routes import RouteIn, RouteOut, RoutePatch
from orca.features.routing.steps.dns_records import check_zones
from orca.features.services.queries import get_service
from orca.kit.pagination import Page
from orca.kit.text import join
from orca.systems import LOCAL
from orca.web.guard import CurrentResources, CurrentScope, Router, guard


class PemResponse(Response):
    """A certificate to save."""

    media_type = "application/x-pem-file"


router = Router(prefix="/api/v1", tags=["routing"])


@router.get("/services/{service_id}/routes", response_model=Page[RouteOut])
@guard("route.read", tenant="service_id")
async def list_routes(
    service_id: str,
    session: ReadSession,
    scope: CurrentScope,
    resources: CurrentResources,
    wanted: Annotated[RouteFilter, Query()],
) -> Page[RouteOut]:
    """The hostnames of a service, newest first."""
    await get_service(session, scope, service_id)
    page = await queries.list_routes(session, scope, service_id, wanted)
    items = [RouteOut.of(row, resources.settings.proxy) for row in page.items]
    return Page[RouteOut](items=items, next_cursor=page.next_cursor)


@router.post("/services/{service_id}/routes", status_code=201, response_model=RouteOut)
@guard("route.create", tenant="service_id", rate="write", audit="RouteCreated", seconds=180)
async def create_route(service_id: str, body: RouteIn, scope: CurrentScope, resources: CurrentResources) -> RouteOut:
    """Create a route for a service. It is served when this returns; if it is refused, nothing is stored."""
    route = await operations.publish_route(resources, scope, service_id, body)
    return RouteOut.of(route, resources.settings.proxy)


@router.get("/routes/{route_id}", response_model=RouteOut)
@guard("route.read", tenant="route_id")
async def get_route(route_id: str, session: ReadSession, scope: CurrentScope, resources: CurrentResources) -> RouteOut:
    """One hostname of a service."""
    return RouteOut.of(await queries.get_route(session, scope, route_id), resources.settings.proxy)


@router.patch("/routes/{route_id}", response_model=RouteOut)
@guard("route.update", tenant="route_id", rate="write", audit="RouteUpdated", seconds=180)
async def update_route(route_id: str, body: RoutePatch, scope: CurrentScope, resources: CurrentResources) -> RouteOut:
    """Change a route. When the proxy refuses the change, everything stays as it was."""
    route = await operations.republish_route(resources, scope, route_id, body)
    return RouteOut.of(route, resources.settings.proxy)


@router.delete("/routes/{route_id}", status_code=204)
@guard("route.delete", tenant="route_id", rate="write", audit="RouteDeleted", seconds=180)
async def delete_route(route_id: str, scope: CurrentScope, resources: CurrentResources) -> Response:
    """Delete a route of a service."""
    await operations.retract_route(resources, scope, route_id)
    return Response(status_code=204)


@router.post("/routes/{route_id}/check", response_model=CheckOut)
@guard("route.update", tenant="route_id", rate="write", seconds=180)
async def check_route(
    route_id: str, scope: CurrentScope, resources: CurrentResources, *, retry: bool = False
) -> CheckOut:
    """Check DNS, reachability and certificate of a hostname now, and order a certificate that is waiting.

    After a failed order there is a growing pause; `retry` orders before it is over.
    """
    findings = await operations.check_route(resources, scope, route_id, retry=retry)
    found = [FindingOut.model_validate(finding) for finding in findings]
    return CheckOut(ok=all(finding.ok for finding in found), findings=found, checked_at=now())


@router.get("/routes/{route_id}/records", response_model=RecordsOut, summary="List the DNS records of a hostname")
@guard("route.read", tenant="route_id")
async def list_records(route_id: str, scope: CurrentScope, resources: CurrentResources) -> operations.Records:
    """List the records to enter at the DNS provider, compared with what the DNS answers now.

    The addresses are those of `ORC_PROXY_PUBLIC_ADDRESSES`, or those that the machine itself has.
    """
    return await operations.read_records(resources, scope, route_id)


@router.get("/certificates", response_model=CertificateList)
@guard("certificate.read")
async def list_certificates(
    session: ReadSession, scope: CurrentScope, wanted: Annotated[CertificateFilter, Query()]
) -> CertificateList:
    """Uploaded certificates, newest first; with the first page also those that Orca orders and renews."""
    page = await queries.list_certificates(session, scope, wanted)
    with_managed = wanted.cursor is None and wanted.name is None
    hostnames = await queries.list_acme_hostnames(session, scope) if with_managed else set()
    items = [CertificateOut.model_validate(row) for row in page.items]
    held = sorted(await queries.list_ordered(session, scope.team_id, hostnames), key=lambda order: order.hostname)
    held = [certificate for certificate in held if wanted.fits(certificate.hostname, certificate.not_after)]
    managed = [ManagedCertificateOut.model_validate(certificate) for certificate in held]
    return CertificateList(items=items, next_cursor=page.next_cursor, managed=managed)


@router.post("/certificates", status_code=201, response_model=CertificateOut)
@guard("certificate.create", rate="write", audit="CertificateUploaded")
async def create_certificate(
    body: CertificateIn, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> Certificate:
    """Upload a certificate with its key; routes refer to it by its id."""
    plain = await operations.unlock_upload(await resources.systems.connector(LOCAL), body)
    return await actions.add_certificate(session, resources, scope, plain)


@router.put("/certificates/{certificate_id}", response_model=CertificateOut)
@guard("certificate.create", tenant="certificate_id", rate="write", audit="CertificateReplaced", seconds=180)
async def replace_certificate(
    certificate_id: str, body: CertificateReplacement, scope: CurrentScope, resources: CurrentResources
) -> Certificate:
    """Replace this certificate: all names that use it serve the new one when this returns."""
    plain = await operations.unlock_upload(await resources.systems.connector(LOCAL), body)
    async with resources.db.write(scope.team_id) as session:
        row = await queries.get_certificate(session, scope, certificate_id)
        row = await actions.replace_certificate(session, resources, row, plain)
    await operations.apply_routes(resources)
    return row


@router.delete("/certificates/{certificate_id}", status_code=204)
@guard("certificate.delete", tenant="certificate_id", rate="write", audit="CertificateDeleted")
async def delete_certificate(certificate_id: str, session: WriteSession, scope: CurrentScope) -> Response:
    """Remove an uploaded certificate that no route uses."""
    await actions.delete_certificate(session, await queries.get_certificate(session, scope, certificate_id))
    return Response(status_code=204)


@router.get("/dns-providers", response_model=list[DnsProviderOut])
@guard("dns.read")
async def list_dns_providers() -> list[DnsProviderOut]:
    """List the DNS providers at which names can be proven, with the fields that each needs."""
    return [DnsProviderOut.model_validate(provider) for provider in PROVIDERS.values()]


@router.get("/dns-credentials", response_model=Page[DnsCredentialOut])
@guard("dns.read")
async def list_dns_credentials(
    session: ReadSession, scope: CurrentScope, wanted: Annotated[DnsCredentialFilter, Query()]
) -> Page[DnsCredential]:
    """List DNS credentials, newest first; their fields are never returned."""
    return await queries.list_dns_credentials(session, scope, wanted)


@router.post("/dns-credentials", status_code=201, response_model=DnsCredentialOut)
@guard("dns.create", rate="write", audit="DnsCredentialCreated")
async def create_dns_credential(
    body: DnsCredentialIn, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> DnsCredential:
    """Store a DNS credential, so that Orca proves names of these zones by DNS.

    Needed for certificates of wildcards, and of names that do not lead here.
    """
    return await actions.create_dns_credential(session, resources.secret_box, scope, body)


@router.get("/dns-credentials/{dns_credential_id}", response_model=DnsCredentialOut)
@guard("dns.read", tenant="dns_credential_id")
async def get_dns_credential(dns_credential_id: str, session: ReadSession, scope: CurrentScope) -> DnsCredential:
    """Return a DNS credential, without its fields."""
    return await queries.get_dns_credential(session, scope, dns_credential_id)


@router.patch("/dns-credentials/{dns_credential_id}", response_model=DnsCredentialOut)
@guard("dns.update", tenant="dns_credential_id", rate="write", audit="DnsCredentialUpdated")
async def update_dns_credential(
    dns_credential_id: str,
    body: DnsCredentialChanges,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
) -> DnsCredential:
    """Change name, zones, or some of the fields."""
    return await actions.update_dns_credential(session, resources.secret_box, scope, dns_credential_id, body)


@router.post("/dns-credentials/{dns_credential_id}/check", response_model=CheckOut)
@guard("dns.update", tenant="dns_credential_id", rate="write", seconds=180)
async def check_dns_credential(dns_credential_id: str, scope: CurrentScope, resources: CurrentResources) -> CheckOut:
    """Find each zone and sign in at its provider; nothing is changed there."""
    found = [FindingOut.model_validate(zone) for zone in await check_zones(resources, scope, dns_credential_id)]
    return CheckOut(ok=all(finding.ok for finding in found), findings=found, checked_at=now())


@router.delete("/dns-credentials/{dns_credential_id}", status_code=204)
@guard("dns.delete", tenant="dns_credential_id", rate="write", audit="DnsCredentialDeleted")
async def delete_dns_credential(dns_credential_id: str, session: WriteSession, scope: CurrentScope) -> Response:
    """Delete a DNS credential. Refused while a wildcard needs it, or proofs made with it still exist."""
    await actions.delete_dns_credential(session, scope, dns_credential_id)
    return Response(status_code=204)


@router.get("/proxy", response_model=ProxyOut)
@guard("proxy.read")
async def get_proxy(resources: CurrentResources) -> ProxyOut:
    """Return the state of the proxy now. What cannot be observed is `unknown`, never guessed."""
    settings = resources.settings.proxy
    place = {"http_port": settings.http_port, "https_port": settings.https_port, "addresses": list(settings.bind)}
    try:
        state = await (await resources.systems.proxy(LOCAL)).inspect()
    except ProviderError as error:
        return ProxyOut(state="unknown", problem=join(error.message, error.hint), **place)
    if not state.running:
        return ProxyOut(state="stopped", **place)
    return ProxyOut(state="running", version=state.version, drifted=state.drifted, **place)


@router.get("/proxy/ca", response_class=PemResponse)
@guard("route.read")
async def get_internal_ca(resources: CurrentResources) -> Response:
    """The root certificate of Orca's internal CA in PEM, to be trusted by browsers of local names."""
    root = await (await resources.systems.proxy(LOCAL)).internal_ca()
    if root is None:
        raise NotFound("the internal CA has no certificate yet", hint="It is made when the proxy starts.")
    headers = {"Content-Disposition": 'attachment; filename="orca-internal-ca.pem"'}
    return PemResponse(root, headers=headers)
