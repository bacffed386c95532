"""The checklist of the overview: what a new team does first, as its features say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import Request
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.manifest import FirstStep
from orca.features.services.models import Service
from orca.web.guard import Scope, Subject

COOKIE: Final = "orca_checklist"
"""Set by the button that puts the checklist away (`put-away.js`)."""


@dataclass(frozen=True, slots=True)
class ChecklistEntry:
    """One thing to do, and where; without an address as long as there is no service to do it with."""

    label: str
    text: str
    action: str
    href: str
    is_done: bool


async def read_checklist(
    request: Request, session: AsyncSession, scope: Scope, subject: Subject, new_service: str
) -> list[ChecklistEntry]:
    """Return the entries that the subject may do; none once all are done or it was put away."""
    steps: Sequence[FirstStep] = request.app.state.first_steps
    wanted = [step for step in steps if subject.can(step.permission, subject.whole_team)]
    if not wanted or request.cookies.get(COOKIE) == "away":
        return []
    newest = select(Service.id).where(Service.team_id == scope.team_id, Service.deleted_at.is_(None))
    service = newest.order_by(Service.id.desc()).limit(1).scalar_subquery()
    service_id, *done = (await session.execute(select(service, *(step.is_done(scope) for step in wanted)))).one()
    entries = [
        ChecklistEntry(step.label, step.text, step.action, _address(step.href, service_id, new_service), bool(is_done))
        for step, is_done in zip(wanted, done, strict=True)
    ]
    return [] if all(entry.is_done for entry in entries) else entries


def _address(href: str, service_id: str | None, new_service: str) -> str:
    return (
        "" if service_id is None and "{service}" in href else href.format(service=service_id, new_service=new_service)
    )
