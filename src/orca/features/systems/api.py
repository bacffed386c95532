"""REST doors of systems, for administrators of the instance."""

from orca.features.systems import queries
from orca.features.systems.schemas import SystemOut, SystemsOut
from orca.web.guard import CurrentResources, Router, guard

router = Router(prefix="/api/v1/systems", tags=["instance"])


@router.get("", summary="List systems")
@guard("instance.admin")
async def list_systems(resources: CurrentResources) -> SystemsOut:
    """Look at all systems, and say of each whether it answers. One that does not answer holds up none of the others."""
    return SystemsOut(
        items=await queries.view_systems(resources), unused_providers=queries.list_unused_providers(resources)
    )


@router.get("/{system_id}", summary="Show a system")
@guard("instance.admin")
async def show_system(system_id: str, resources: CurrentResources) -> SystemOut:
    """Look at one system: its engine, its addresses and its disks."""
    return await queries.view_system(resources, system_id)
