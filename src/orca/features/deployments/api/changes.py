"""REST doors of comparisons: what a deployment or a rollback would change in what runs."""

from typing import Annotated

from fastapi import Query

from orca.db import ReadSession, WriteSession
from orca.errors import Conflict, NotFound
from orca.features.deployments import queries
from orca.features.deployments.actions.discard import discard_changes
from orca.features.deployments.models import Release
from orca.features.deployments.schemas import ChangesOut, ComparedRelease, DiscardIn, VariableChange
from orca.features.deployments.service_status import ReleaseDifference, read_rollback, read_waiting
from orca.features.services.queries import get_service
from orca.web.guard import CurrentResources, CurrentScope, Router, guard

router = Router(prefix="/api/v1", tags=["deployments"])


@router.get("/services/{service_id}/changes", summary="What the next deployment changes")
@guard("service.read", tenant="service_id")
async def read_waiting_changes(service_id: str, session: ReadSession, scope: CurrentScope) -> ChangesOut:
    """Compare the stored settings with the live release: what the next deployment will change."""
    return _out(await read_waiting(session, await get_service(session, scope, service_id)))


@router.post("/services/{service_id}/changes/discard", summary="Discard what waits for the next deployment")
@guard("service.update", tenant="service_id", rate="write", audit="ServiceChangesDiscarded")
async def discard_waiting_changes(
    service_id: str, body: DiscardIn, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> ChangesOut:
    """Return settings and the service's own variables to those of the live release; answers with what still differs.

    Volumes, privileges and variables of the project stay. Changes of variables need `variable.write`, too.
    """
    await discard_changes(session, resources, scope, service_id, body.revision)
    return _out(await read_waiting(session, await get_service(session, scope, service_id)))


@router.get("/services/{service_id}/rollback", summary="What a rollback would change")
@guard("service.read", tenant="service_id")
async def read_rollback_changes(
    service_id: str,
    session: ReadSession,
    scope: CurrentScope,
    release: Annotated[int | None, Query(ge=1, description="Its number; by default the one before.")] = None,
) -> ChangesOut:
    """Compare the release that a rollback would go back to with the live one."""
    service = await get_service(session, scope, service_id)
    target = await queries.find_rollback_release(session, service_id, release)
    if target is None and release is None:
        raise Conflict("there is no earlier release to go back to", hint="`orc releases` lists what there is.")
    if target is None:
        raise NotFound("there is no release to go back to", hint="`orc releases` lists what there is.")
    return _out(await read_rollback(session, service, target))


def _out(found: ReleaseDifference) -> ChangesOut:
    variables = [VariableChange(key=key, change=change) for key, change in found.variables.items()]
    return ChangesOut(
        live=_release(found.live),
        target=_release(found.target),
        changes=found.lines,
        variables=variables,
        revision=found.revision,
    )


def _release(row: Release | None) -> ComparedRelease | None:
    return None if row is None else ComparedRelease.model_validate(row)
