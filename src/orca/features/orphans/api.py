"""REST doors of orphans."""

from typing import Annotated

from fastapi import Query

from orca.features.orphans import operations, queries
from orca.features.orphans.schemas import Decision, Kind, Orphan, OrphansOut
from orca.kit.fields import Identifier
from orca.web.guard import CurrentResources, Router, guard

router = Router(prefix="/api/v1/orphans", tags=["instance"])


@router.get("", summary="List what this database does not know")
@guard("instance.admin")
async def list_orphans(
    resources: CurrentResources,
    kind: Annotated[Kind | None, Query()] = None,
    service_id: Annotated[Identifier | None, Query()] = None,
) -> OrphansOut:
    """Containers, routes and volumes of this instance that are in no row. They stay until they are decided on."""
    found = await queries.list_orphans(resources)
    fitting = [item for item in found.items if kind in {None, item.kind} and service_id in {None, item.service_id}]
    return OrphansOut(items=fitting, problems=found.problems)


@router.post("/adopt", summary="Take an orphan over")
@guard("instance.admin", rate="write", audit="OrphanAdopted")
async def adopt_orphan(decision: Decision, resources: CurrentResources) -> Orphan:
    """It becomes the live release, or a route, of its service; what runs is not touched."""
    return await operations.adopt(resources, decision)


@router.post("/remove", summary="Remove an orphan")
@guard("instance.admin", rate="write", audit="OrphanRemoved")
async def remove_orphan(decision: Decision, resources: CurrentResources) -> Orphan:
    """Its containers go within a minute, a route at once. Volumes are never removed."""
    return await operations.remove(resources, decision)
