"""The page of what this database does not know."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request, Response

from orca.errors import OrcaError
from orca.features.orphans import operations, queries
from orca.features.orphans.schemas import Decision, Orphan
from orca.web.answers import Redirect
from orca.web.forms import Filled, Form, fill
from orca.web.guard import CurrentResources, Router, guard
from orca.web.redirects import see_other
from orca.web.render import render

router = Router(include_in_schema=False)
_PATH = "/orphans"


@dataclass(frozen=True, slots=True)
class OrphansPage:
    """Orphans, and why the last decision was refused."""

    items: Sequence[Orphan]
    problems: Sequence[str]
    refusal: OrcaError | None = None


async def _draw(request: Request, resources: CurrentResources, refusal: OrcaError | None = None) -> Response:
    found = await queries.list_orphans(resources)
    page = OrphansPage(found.items, found.problems, refusal)
    return render(request, "orphans/orphans.html", page, status=refusal.status if refusal else 200)


@router.get(_PATH)
@guard("instance.admin", page=True)
async def show_orphans(request: Request, resources: CurrentResources) -> Response:
    """What is on engine and proxy and in no row."""
    return await _draw(request, resources)


@router.post("/orphans/adopt")
@guard("instance.admin", rate="write", audit="OrphanAdopted", page=True)
async def adopt_orphan(request: Request, resources: CurrentResources, form: Form) -> Response:
    """Take it over."""
    return await _decide(request, resources, fill(Decision, dict(form), form), is_adopted=True)


@router.post("/orphans/remove")
@guard("instance.admin", rate="write", audit="OrphanRemoved", page=True)
async def remove_orphan(request: Request, resources: CurrentResources, form: Form) -> Response:
    """Put its end on record."""
    return await _decide(request, resources, fill(Decision, dict(form), form), is_adopted=False)


async def _decide(
    request: Request, resources: CurrentResources, filled: Filled[Decision], *, is_adopted: bool
) -> Response:
    if filled.model is None:
        return await _draw(request, resources)
    try:
        orphan = await (operations.adopt if is_adopted else operations.remove)(resources, filled.model)
    except OrcaError as error:
        return await _draw(request, resources, error)
    done = Redirect(_PATH, f"{orphan.name} is {'adopted' if is_adopted else 'removed'}")
    return see_other(request, done.path, said=done.said)
