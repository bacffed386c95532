"""The page of a service's hostnames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query, Request, Response

from orca.db import ReadSession, now
from orca.features.projects.models import Project
from orca.features.projects.queries import get_project
from orca.features.routing import operations, queries
from orca.features.routing.forms import edit_data, edit_values
from orca.features.routing.pages.certificates import MAX_PAGE, CertificateExpiry
from orca.features.routing.queries import ExpiringCertificate, NumberedPage
from orca.features.routing.rules.certificates import WARN_BEFORE, certifies
from orca.features.routing.rules.records import is_in_public_dns
from orca.features.routing.schemas.routes import RouteIn, RouteOut, RoutePatch
from orca.features.services.models import Service
from orca.features.services.queries import get_service
from orca.features.services.service_status import ServiceStatus, load_header
from orca.kit.text import join
from orca.web.answers import Redirect, submit_apart
from orca.web.forms import Filled, Form, fill
from orca.web.guard import CurrentResources, CurrentScope, Router, guard
from orca.web.redirects import see_other
from orca.web.render import render

router = Router(include_in_schema=False)
_LOOKS = {
    "unreachable": ("warning", "Does not lead here"),
    "awaiting_certificate": ("warning", "Waiting for a certificate"),
    "broken": ("failed", "Broken"),
}
_CERTIFICATES = {"off": "None", "internal": "Internal CA", "acme": "Public", "custom": "Own"}


@dataclass(frozen=True, slots=True)
class HostnameRow:
    """A hostname, and when its certificate ends; None for a certificate whose end needs no attention."""

    route: RouteOut
    until: datetime | None

    @property
    def place(self) -> str:
        """The hostname and, if there is one, the path."""
        return self.route.hostname + self.route.path_prefix.rstrip("/")

    @property
    def dated(self) -> CertificateExpiry | None:
        """The end of the certificate with its judgement."""
        return CertificateExpiry(self.until) if self.until is not None else None

    @property
    def look(self) -> tuple[str, str]:
        """The state that sets the colour, and the text about what a visitor finds."""
        if self.route.condition == "live" and self.route.problem:
            return "warning", "Live"
        return _LOOKS.get(self.route.condition, (self.route.condition, self.route.condition.capitalize()))

    @property
    def certificate(self) -> str:
        """The issuer or kind of the certificate that visitors see."""
        if self.route.tls == "acme" and self.until is None:
            return "Awaited"
        return _CERTIFICATES[self.route.tls]

    @property
    def note(self) -> str:
        """The problem, or what to do about a hostname that waits, in whole sentences."""
        if self.route.problem:
            return join(self.route.problem)
        if self.route.condition != "awaiting_certificate":
            return ""
        if self.route.acme_ready_at is not None:
            return "It was ordered and is here within seconds, rarely minutes."
        return f"Make the DNS record of {self.route.hostname} that stands below; it is looked at in a moment."

    @property
    def is_waiting(self) -> bool:
        """Whether the name does not lead here yet, so that its DNS records are wanted."""
        return self.route.condition in {"unreachable", "awaiting_certificate"}

    @property
    def has_records(self) -> bool:
        """Whether the public DNS can have the name."""
        return is_in_public_dns(self.route.hostname)

    @property
    def is_paused(self) -> bool:
        """Whether the next attempt is delayed because the last one failed."""
        return self.route.state == "broken" or (self.route.order_failures > 0 and self.route.acme_check_at is not None)


@dataclass(frozen=True, slots=True)
class HostnameSearch:
    """The search text for hostnames, and the shown page number."""

    q: Annotated[str, Query(max_length=253)] = ""
    page: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 1


@dataclass(frozen=True, slots=True)
class DomainsPage:
    """The page of a service's hostnames."""

    service: Service
    project: Project
    status: ServiceStatus
    routes: NumberedPage[HostnameRow]
    q: str
    """The search text."""
    ending: Sequence[tuple[ExpiringCertificate, CertificateExpiry]]
    certificates: list[tuple[str, str]]
    form: Filled[RouteIn] = field(default_factory=Filled)
    tab: str = "domains"


@dataclass(frozen=True, slots=True)
class EditPage:
    """The page that edits one hostname."""

    service: Service
    project: Project
    shown: HostnameRow
    users: Sequence[str]
    certificates: list[tuple[str, str]]
    values: Mapping[str, str]
    form: Filled[RoutePatch]
    problems: Mapping[str, str]
    """Field of the form -> the first problem with it."""


async def _page(
    request: Request,
    session: ReadSession,
    scope: CurrentScope,
    service_id: str,
    form: Filled[RouteIn],
    sought: HostnameSearch = HostnameSearch(),
) -> DomainsPage:
    head = await load_header(request, session, scope, service_id)
    found = await queries.search_routes(session, scope, service_id, sought.q.strip(), sought.page)
    used = {row.certificate_id for row in found.items if row.certificate_id}
    ends = await queries.list_certificate_ends(session, used)
    ending = await queries.list_ending(session, scope, service_id, now() + WARN_BEFORE)
    proxy = request.app.state.settings.proxy
    shown = [
        HostnameRow(RouteOut.of(row, proxy), row.certificate_until or ends.get(row.certificate_id or ""))
        for row in found.items
    ]
    return DomainsPage(
        *head, found.showing(shown), sought.q,
        [(certificate, CertificateExpiry(certificate.not_after)) for certificate in ending],
        [(key, name) for key, name, _ in await queries.list_certificate_choices(session, scope.team_id)], form,
    )  # fmt: skip


@router.get("/services/{service_id}/domains")
@guard("route.read", tenant="service_id", page=True)
async def show_domains(
    service_id: str,
    request: Request,
    session: ReadSession,
    scope: CurrentScope,
    sought: Annotated[HostnameSearch, Depends()],
) -> Response:
    """Show the hostnames of a service, their certificates and their problems."""
    shown = await _page(request, session, scope, service_id, Filled(), sought)
    return render(request, "routing/domains.html", shown)


@router.post("/services/{service_id}/domains")
@guard("route.create", tenant="service_id", rate="write", audit="RouteCreated", page=True, seconds=180)
async def add_domain(
    service_id: str, request: Request, scope: CurrentScope, resources: CurrentResources, form: Form
) -> Response:
    """Create a route; it is served when this redirects, or nothing is stored."""
    names = ("hostname", "path_prefix", "port", "tls", "certificate_id", "redirect_to")
    filled = fill(RouteIn, {name: form[name] for name in names if form.get(name)}, form)

    async def publish(fields: RouteIn) -> Redirect:
        await operations.publish_route(resources, scope, service_id, fields)
        return Redirect(f"/services/{service_id}/domains")

    async def draw(again: Filled[RouteIn]) -> Response:
        async with resources.db.read(scope.team_id, scope.reach) as session:
            page = await _page(request, session, scope, service_id, again)
        return render(request, "routing/domains.html", page, status=422)

    return await submit_apart(request, filled, publish, draw)


@router.get("/routes/{route_id}/edit")
@guard("route.update", tenant="route_id", page=True)
async def edit_domain(
    route_id: str, request: Request, session: ReadSession, scope: CurrentScope, resources: CurrentResources
) -> Response:
    """Show the form with all settings of a hostname."""
    return await _draw_edit(request, session, scope, resources, route_id)


@router.post("/routes/{route_id}/edit")
@guard("route.update", tenant="route_id", rate="write", audit="RouteUpdated", page=True, seconds=180)
async def save_domain(
    route_id: str, request: Request, scope: CurrentScope, resources: CurrentResources, form: Form
) -> Response:
    """Change a route; the change is served when this redirects, or nothing is changed."""
    async with resources.db.read(scope.team_id, scope.reach) as session:
        route = RouteOut.of(await queries.get_route(session, scope, route_id), resources.settings.proxy)

    async def republish(changes: RoutePatch) -> Redirect:
        await operations.republish_route(resources, scope, route_id, changes)
        return Redirect(f"/services/{route.service_id}/domains")

    async def draw(again: Filled[RoutePatch]) -> Response:
        async with resources.db.read(scope.team_id, scope.reach) as session:
            return await _draw_edit(request, session, scope, resources, route_id, again)

    return await submit_apart(request, fill(RoutePatch, edit_data(route, form), form), republish, draw)


async def _draw_edit(
    request: Request,
    session: ReadSession,
    scope: CurrentScope,
    resources: CurrentResources,
    route_id: str,
    form: Filled[RoutePatch] | None = None,
) -> Response:
    row = await queries.get_route(session, scope, route_id)
    route = RouteOut.of(row, resources.settings.proxy)
    service = await get_service(session, scope, row.service_id)
    fitting = [
        (key, name)
        for key, name, hostnames in await queries.list_certificate_choices(session, scope.team_id)
        if key == row.certificate_id or certifies(hostnames, row.hostname)
    ]
    form = form or Filled()
    problems = {place.removeprefix("options.").split(".")[0]: text for place, text in reversed([*form.errors.items()])}
    page = EditPage(
        service, await get_project(session, scope, service.project_id), HostnameRow(route, None),
        route.options.basic_auth, fitting, form.values or edit_values(route), form, problems,
    )  # fmt: skip
    return render(request, "routing/edit.html", page, status=form.status)


@router.post("/routes/{route_id}/delete")
@guard("route.delete", tenant="route_id", rate="write", audit="RouteDeleted", page=True, seconds=180)
async def remove_domain(route_id: str, request: Request, scope: CurrentScope, resources: CurrentResources) -> Response:
    """Delete the route of a hostname."""
    async with resources.db.read(scope.team_id, scope.reach) as session:
        service_id = (await queries.get_route(session, scope, route_id)).service_id
    await operations.retract_route(resources, scope, route_id)
    return see_other(request, f"/services/{service_id}/domains")


@dataclass(frozen=True, slots=True)
class RecordsFragment:
    """The DNS records of one hostname."""

    found: operations.Records


@router.get("/routes/{route_id}/records")
@guard("route.read", tenant="route_id", page=True)
async def show_records(route_id: str, request: Request, scope: CurrentScope, resources: CurrentResources) -> Response:
    """Return the DNS records of a hostname as a fragment, with what the DNS answers now."""
    found = await operations.read_records(resources, scope, route_id)
    return render(request, "routing/_records.html", RecordsFragment(found))


@router.post("/routes/{route_id}/check")
@guard("route.update", tenant="route_id", rate="write", page=True, seconds=180)
async def check_domain(
    route_id: str, request: Request, scope: CurrentScope, resources: CurrentResources, *, retry: bool = False
) -> Response:
    """Check DNS, reachability and certificate again; the page then shows the results."""
    async with resources.db.read(scope.team_id, scope.reach) as session:
        service_id = (await queries.get_route(session, scope, route_id)).service_id
    await operations.check_route(resources, scope, route_id, retry=retry)
    return see_other(request, f"/services/{service_id}/domains")
