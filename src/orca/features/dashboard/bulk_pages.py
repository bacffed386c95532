"""What is done to several services at once, from a list: to each of them under the rights of who asks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final

from fastapi import Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import FormData

from orca.db import WriteSession
from orca.errors import BadInput, Forbidden, NotFound, OrcaError
from orca.events import origin
from orca.features.deployments import rules
from orca.features.deployments.actions.start import DeploymentRequest as Wanted
from orca.features.deployments.actions.start import start_deployment
from orca.features.services.models import Service
from orca.features.services.queries import find_service_scope, get_service
from orca.kit.text import join, shorten
from orca.resources import Resources
from orca.web.guard import (
    SIGNED_IN,
    CurrentResources,
    CurrentScope,
    CurrentSubject,
    Router,
    Scope,
    Subject,
    guard,
)
from orca.web.redirects import local_path, see_other
from orca.web.rights import ObjectScope

router = Router(include_in_schema=False)
MOST = 200
_PERMISSIONS: Final[dict[str, tuple[rules.Kind, str]]] = {
    "deploy": ("deploy", "service.deploy"),
    "restart": ("restart", "service.operate"),
    "stop": ("stop", "service.operate"),
}
_TOLD = 5
"""So many refusals are named in the message; the list shows the others by their states."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The services that were chosen in a list, and the page to return to."""

    ids: Sequence[str]
    verb: str
    back: str


async def _read_chosen(request: Request) -> Chosen:
    form: FormData = await request.form(max_fields=MOST + 10, max_files=0)
    ids = [str(value) for value in form.getlist("id")]
    return Chosen(list(dict.fromkeys(ids)), str(form.get("verb", "")), local_path(str(form.get("back", "/"))))


@router.post("/bulk/services")
@guard(SIGNED_IN, rate="write", audit="DeploymentQueued", page=True)
async def act_on_services(
    request: Request, session: WriteSession, scope: CurrentScope, resources: CurrentResources, subject: CurrentSubject,
    chosen: Annotated[Chosen, Depends(_read_chosen)],
) -> Response:  # fmt: skip
    """Deploy, restart or stop the chosen services; one that cannot be does not keep the others from it."""
    if chosen.verb not in _PERMISSIONS or not 0 < len(chosen.ids) <= MOST:
        raise BadInput(f"Choose up to {MOST} services, and what to do with them.", hint="Go back to the list.")
    kind, permission = _PERMISSIONS[chosen.verb]
    refused: list[str] = []
    for service_id in chosen.ids:
        name = "A service"
        try:
            service = await _get_readable(session, scope.team_id, subject, service_id)
            name = service.name
            await _begin(session, resources, subject, service, kind, permission)
        except OrcaError as error:
            refused.append(f"{name}: {shorten(join(error.message, error.hint), 200)}")
    done = len(chosen.ids) - len(refused)
    said = f"{chosen.verb.capitalize()}: begun for {done} of {len(chosen.ids)}"
    more = f" And {len(refused) - _TOLD} more." if len(refused) > _TOLD else ""
    tone = "good" if not refused else "warn" if done else "bad"
    return see_other(request, chosen.back, said=said, hint=" ".join(refused[:_TOLD]) + more, tone=tone)


async def _get_readable(session: AsyncSession, team_id: str, subject: Subject, service_id: str) -> Service:
    """Return a service that the subject may see. Raises NotFound, as for one that does not exist."""
    belongs = await find_service_scope(session, service_id)
    if belongs is None or belongs.team_id != team_id or not subject.can("service.read", belongs):
        raise NotFound("there is no service with this id")
    return await get_service(session, Scope(team_id), service_id)


async def _begin(
    session: AsyncSession, resources: Resources, subject: Subject, service: Service, kind: rules.Kind, permission: str
) -> None:
    """Queue the deployment with the permissions that the subject has for this very service."""
    belongs = ObjectScope(service.team_id, service.project_id, service.environment_id, service.system_id)
    if not subject.can(permission, belongs):
        raise Forbidden(f"This needs the permission {permission}, which {subject.actor} does not have here.")
    token = origin.set(replace(origin.get(), permissions=subject.permissions_in(belongs)))
    try:
        async with session.begin_nested():
            await start_deployment(session, resources, service, Wanted(kind=kind, trigger="page"))
    finally:
        origin.reset(token)
