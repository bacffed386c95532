"""The page of what is kept."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request, Response

from orca.features.disk import queries
from orca.features.disk.schemas import Kept
from orca.kit.amounts import show_bytes
from orca.web.guard import CurrentResources, Router, guard
from orca.web.render import render

router = Router(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class DiskPage:
    """What is kept, with sizes as people read them."""

    room: Sequence[tuple[str, str]]
    items: Sequence[tuple[Kept, str]]
    problems: Sequence[str]


@router.get("/disk")
@guard("instance.admin", page=True)
async def show_disk(request: Request, resources: CurrentResources) -> Response:
    """What takes room, and for how long it is kept."""
    found = await queries.view_disk(resources)
    room = (("Free", found.free_bytes), ("In all", found.total_bytes), ("Always kept free", found.reserve_bytes))
    page = DiskPage(
        [(label, show_bytes(size)) for label, size in room],
        [(item, "" if item.bytes is None else show_bytes(item.bytes)) for item in found.items],
        found.problems,
    )
    return render(request, "disk/disk.html", page)
