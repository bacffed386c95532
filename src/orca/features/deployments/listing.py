"""The list of a service's deployments, filtered and cut into pages by the database."""

from typing import Final

from sqlalchemy import String, cast, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db.pages import read_page
from orca.features.deployments.history import DeploymentLine, list_deployment_lines
from orca.features.deployments.models import Deployment
from orca.features.deployments.rules import ACTIVE
from orca.kit.pagination import PageRequest
from orca.web.guard import Scope
from orca.web.lists import Column, Listing, ListQuery, ListSpec, StateFilter, listed

ROWS: Final = 50
_STATES: Final[tuple[StateFilter, ...]] = (
    ("failed", "Failed", frozenset({"failed"})),
    ("succeeded", "Succeeded", frozenset({"succeeded"})),
    ("active", "Under way", ACTIVE),
    ("ended", "Cancelled or superseded", frozenset({"cancelled", "superseded"})),
)
_SPEC: Final[ListSpec[DeploymentLine]] = ListSpec(
    name="deployments", states=_STATES,
    columns=(
        Column("name", "Deployment"), Column("state", "State"), Column("what", "What"),
        Column("by", "By", optional=True), Column("when", "When", optional=True),
    ),
)  # fmt: skip


async def list_deployment_rows(
    session: AsyncSession, scope: Scope, service_id: str, asked: ListQuery
) -> Listing[DeploymentLine]:
    """Return the page that is asked for, newest first."""
    found = select(Deployment).where(Deployment.team_id == scope.team_id, Deployment.service_id == service_id)
    if asked.q:
        columns = (Deployment.requested_by, Deployment.reason, Deployment.kind, cast(Deployment.number, String))
        text = asked.q.removeprefix("#")
        found = found.where(or_(*(column.icontains(text, autoescape=True) for column in columns)))
    by_state = found.with_only_columns(Deployment.state, func.count()).group_by(Deployment.state)
    counts: dict[str, int] = dict((await session.execute(by_state)).all())
    wanted = {key: states for key, _, states in _STATES}.get(asked.state)
    matching = found if wanted is None else found.where(Deployment.state.in_(wanted))
    request = PageRequest.model_construct(limit=ROWS, cursor=asked.after or None)
    page = await read_page(session, matching, Deployment, request, by=Deployment.number)
    lines = await list_deployment_lines(session, page.items)
    return listed(lines, asked, _SPEC, f"/services/{service_id}/deployments", counts, page.next_cursor or "")
