"""The page of a service's hostnames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from orca.db import ReadSession, now
from orca.errors import OrcaError
from orca.features.routing import actions, queries
from orca.features.routing.forms import edit_data, edit_values
from orca.features.routing.models import Route
from orca.features.routing.rules.certificates import is_expiring
from orca.features.routing.schemas import RouteIn, RouteOut, RoutePatch
from orca.features.services.models import Project, Service
from orca.features.services.queries import get_project, get_service
from orca.features.services.standing import Standing, read_head
from orca.kit.text import join
from orca.web.forms import Filled, Form, fill
from orca.web.guard import CurrentResources, CurrentScope, Router, guard
from orca.web.render import render

router = Router(include_in_schema=False)
SEE_OTHER = 303
_LOOKS = {
    "unreachable": ("warning", "Does not lead here"),
    "awaiting_certificate": ("warning", "Waiting for a certificate"),
    "broken": ("failed", "Broken"),
}
_CERTIFICATES = {"off": "None", "internal": "Internal CA", "acme": "Public", "custom": "Own"}


@dataclass(frozen=True, slots=True)
class Shown:
    """A hostname, and until when its certificate counts; None for what needs no watching."""

    route: RouteOut
    until: datetime | None

    @property
    def place(self) -> str:
        """Hostname and, if it has one, path."""
        return self.route.hostname + self.route.path_prefix.rstrip("/")

    @property
    def is_expiring(self) -> bool:
        """Whether somebody should do something about it."""
        return self.until is not None and is_expiring(self.until, now())

    @property
    def look(self) -> tuple[str, str]:
        """State whose tone fits, and the words for what a visitor finds."""
        if self.route.condition == "live" and self.route.problem:
            return "warning", "Live"
        return _LOOKS.get(self.route.condition, (self.route.condition, self.route.condition.capitalize()))

    @property
    def certificate(self) -> str:
        """Whose certificate visitors see."""
        if self.route.tls == "acme" and self.until is None:
            return "Awaited"
        return _CERTIFICATES[self.route.tls]

    @property
    def note(self) -> str:
        """What is wrong, or what to do about a hostname that waits, in whole sentences."""
        if self.route.problem:
            return join(self.route.problem)
        if self.route.condition != "awaiting_certificate":
            return ""
        if self.route.acme_ready_at is not None:
            return "It was ordered and is here within seconds, rarely minutes."
        return f"Point an A record for {self.route.hostname} to this machine; where it leads is looked at in a moment."

    @property
    def is_paused(self) -> bool:
        """Whether the next try waits because the last one failed."""
        return self.route.state == "broken" or (self.route.order_failures > 0 and self.route.acme_check_at is not None)


@dataclass(frozen=True, slots=True)
class DomainsPage:
    """Where a service answers."""

    service: Service
    project: Project
    standing: Standing
    routes: Sequence[Shown]
    certificates: list[tuple[str, str]]
    form: Filled[RouteIn] = field(default_factory=Filled)
    tab: str = "domains"


@dataclass(frozen=True, slots=True)
class EditPage:
    """How one hostname is served, to be changed."""

    service: Service
    project: Project
    shown: Shown
    users: Sequence[str]
    certificates: list[tuple[str, str]]
    values: Mapping[str, str]
    form: Filled[RoutePatch]
    problems: Mapping[str, str]
    """Field of the form -> the first thing that is wrong with it."""


async def _page(
    session: ReadSession, scope: CurrentScope, resources: CurrentResources, service_id: str, form: Filled[RouteIn]
) -> DomainsPage:
    head = await read_head(session, scope, service_id)
    rows: Sequence[Route] = (await queries.list_routes(session, scope, service_id, limit=200)).items
    certificates = (await queries.list_certificates(session, scope, limit=200)).items
    ends = {each.id: each.not_after for each in certificates}
    return DomainsPage(
        *head,
        [
            Shown(
                RouteOut.of(row, resources.settings.proxy), row.certificate_until or ends.get(row.certificate_id or "")
            )
            for row in sorted(rows, key=lambda row: (row.hostname, row.path_prefix))
        ],
        [(each.id, each.name) for each in certificates],
        form,
    )


@router.get("/services/{service_id}/domains")
@guard("route.read", tenant="service_id", page=True)
async def show_domains(
    service_id: str, request: Request, session: ReadSession, scope: CurrentScope, resources: CurrentResources
) -> Response:
    """Its hostnames, their certificates, and what is wrong with them."""
    return render(request, "routing/domains.html", await _page(session, scope, resources, service_id, Filled()))


@router.post("/services/{service_id}/domains")
@guard("route.create", tenant="service_id", rate="write", audit="RouteCreated", page=True, seconds=180)
async def add_domain(
    service_id: str, request: Request, scope: CurrentScope, resources: CurrentResources, form: Form
) -> Response:
    """It answers when this redirects, or nothing was saved."""
    names = ("hostname", "path_prefix", "port", "tls", "certificate_id", "redirect_to")
    filled = fill(RouteIn, {name: form[name] for name in names if form.get(name)}, form)
    if filled.model is not None:
        try:
            await actions.publish_route(resources, scope, service_id, filled.model)
        except OrcaError as error:
            filled = filled.refused(error)
        else:
            return RedirectResponse(f"/services/{service_id}/domains", SEE_OTHER)
    async with resources.db.read() as session:
        page = await _page(session, scope, resources, service_id, filled)
    return render(request, "routing/domains.html", page, status=422)


@router.get("/routes/{route_id}/edit")
@guard("route.update", tenant="route_id", page=True)
async def edit_domain(
    route_id: str, request: Request, session: ReadSession, scope: CurrentScope, resources: CurrentResources
) -> Response:
    """Everything that can be said about a hostname."""
    return await _draw_edit(request, session, scope, resources, route_id)


@router.post("/routes/{route_id}/edit")
@guard("route.update", tenant="route_id", rate="write", audit="RouteUpdated", page=True, seconds=180)
async def save_domain(
    route_id: str, request: Request, scope: CurrentScope, resources: CurrentResources, form: Form
) -> Response:
    """It is served so when this redirects, or nothing was changed."""
    async with resources.db.read() as session:
        route = RouteOut.of(await queries.get_route(session, scope, route_id), resources.settings.proxy)
    filled = fill(RoutePatch, edit_data(route, form), form)
    if filled.model is not None:
        try:
            await actions.republish_route(resources, scope, route_id, filled.model)
        except OrcaError as error:
            filled = filled.refused(error)
        else:
            return RedirectResponse(f"/services/{route.service_id}/domains", SEE_OTHER)
    async with resources.db.read() as session:
        return await _draw_edit(request, session, scope, resources, route_id, filled)


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
    certificates = (await queries.list_certificates(session, scope, limit=200)).items
    form = form or Filled()
    problems = {place.removeprefix("options.").split(".")[0]: text for place, text in reversed([*form.errors.items()])}
    page = EditPage(
        service, await get_project(session, scope, service.project_id), Shown(route, None), route.options.basic_auth,
        [(each.id, each.name) for each in certificates], form.values or edit_values(route), form, problems,
    )  # fmt: skip
    return render(request, "routing/edit.html", page, status=form.status)


@router.post("/routes/{route_id}/delete")
@guard("route.delete", tenant="route_id", rate="write", audit="RouteDeleted", page=True, seconds=180)
async def remove_domain(route_id: str, scope: CurrentScope, resources: CurrentResources) -> Response:
    """The hostname answers no more."""
    async with resources.db.read() as session:
        service_id = (await queries.get_route(session, scope, route_id)).service_id
    await actions.retract_route(resources, scope, route_id)
    return RedirectResponse(f"/services/{service_id}/domains", SEE_OTHER)


@router.post("/routes/{route_id}/check")
@guard("route.update", tenant="route_id", rate="write", page=True, seconds=180)
async def check_domain(
    route_id: str, scope: CurrentScope, resources: CurrentResources, *, retry: bool = False
) -> Response:
    """Look at DNS, reachability and certificate again; the page then shows what was found."""
    async with resources.db.read() as session:
        service_id = (await queries.get_route(session, scope, route_id)).service_id
    await actions.check_route(resources, scope, route_id, retry=retry)
    return RedirectResponse(f"/services/{service_id}/domains", SEE_OTHER)
