"""REST door of the disk."""

from orca.features.disk import queries
from orca.features.disk.schemas import DiskOut
from orca.web.guard import CurrentResources, Router, guard

router = Router(prefix="/api/v1/disk", tags=["instance"])


@router.get("", summary="Show what is kept")
@guard("instance.admin")
async def show_disk(resources: CurrentResources) -> DiskOut:
    """What takes room on the disk and in the database, and for how long it is kept."""
    return await queries.view_disk(resources)
