"""The pages of systems."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from orca.features.systems import queries
from orca.features.systems.schemas import SystemOut, UnusedProvider
from orca.kit.amounts import show_bytes
from orca.resources import Resources
from orca.web.guard import CurrentResources, Router, guard
from orca.web.lists import AskedOf, Column, Listing, ListQuery, ListSpec, arrange
from orca.web.live import Sources, stream_fragment
from orca.web.render import draw, render, render_list

router = Router(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class SystemRow:
    """A system, with sizes as people read them."""

    system: SystemOut
    disks: Sequence[tuple[str, str]]
    """Path, and how much of the disk is free."""
    memory: str

    @classmethod
    def of(cls, system: SystemOut) -> "SystemRow":
        """Return the row of a system."""
        disks = [
            (disk.path, f"{show_bytes(disk.free_bytes)} of {show_bytes(disk.total_bytes)} free")
            for disk in system.disks
        ]
        return cls(system, disks, show_bytes(system.memory_bytes) if system.memory_bytes else "")


@dataclass(frozen=True, slots=True)
class SystemsPage:
    """All systems."""

    listing: Listing[SystemRow]
    unused: Sequence[UnusedProvider]


_LOOK_AGAIN_SECONDS = 10.0
"""How often systems are asked while their page is open: once for all who look."""
_SPEC: ListSpec[SystemRow] = ListSpec(
    name="systems",
    columns=(
        Column("name", "System", sorts=True), Column("state", "State", sorts=True), Column("engine", "Engine"),
        Column("addresses", "Addresses", optional=True), Column("disk", "Disk", optional=True),
    ),
    text=lambda row: f"{row.system.name} {row.system.engine} {' '.join(row.system.addresses)}",
    keys={"name": lambda row: row.system.name.casefold(), "state": lambda row: row.system.state},
    usual_sort="name", identity=lambda row: row.system.id, state=lambda row: row.system.state,
    states=(
        ("unreachable", "Unreachable", frozenset({"unreachable"})),
        ("reachable", "Reachable", frozenset({"reachable"})),
    ),
)  # fmt: skip


async def _read_page(resources: Resources, asked: ListQuery) -> SystemsPage:
    rows = [SystemRow.of(system) for system in await queries.view_systems(resources)]
    listing = arrange(rows, asked, _SPEC, "/systems", live="/live/systems")
    return SystemsPage(listing, queries.list_unused_providers(resources))


@dataclass(frozen=True, slots=True)
class SystemPage:
    """One system."""

    row: SystemRow


@router.get("/systems")
@guard("instance.admin", page=True)
async def show_systems(request: Request, resources: CurrentResources, asked: AskedOf) -> Response:
    """List the systems, and whether they answer."""
    page = await _read_page(resources, asked)
    return render_list(request, "systems/systems.html", page, page.listing)


@router.get("/live/systems")
@guard("instance.admin", rate="stream", page=True)
async def follow_systems(request: Request, resources: CurrentResources, asked: AskedOf) -> StreamingResponse:
    """Stream the rows of the systems."""

    async def draw_now() -> tuple[str, bool]:
        return draw(request, "systems/_systems.html", await _read_page(resources, asked), shared=True), False

    sources = Sources(look_again=_LOOK_AGAIN_SECONDS, with_instance=True)
    return stream_fragment(request, draw_now, sources, shared=True)


@router.get("/systems/{system_id}")
@guard("instance.admin", page=True)
async def show_system(system_id: str, request: Request, resources: CurrentResources) -> Response:
    """Show one system."""
    row = SystemRow.of(await queries.view_system(resources, system_id))
    return render(request, "systems/system.html", SystemPage(row))
