"""The pages of systems."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request, Response

from orca.features.systems import queries
from orca.features.systems.schemas import SystemOut, UnusedProvider
from orca.kit.amounts import show_bytes
from orca.web.guard import CurrentResources, Router, guard
from orca.web.render import render

router = Router(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Row:
    """A system, with sizes as people read them."""

    system: SystemOut
    disks: Sequence[tuple[str, str]]
    """Path, and how much of the disk is free."""
    memory: str

    @classmethod
    def of(cls, system: SystemOut) -> "Row":
        """Return the row of a system."""
        disks = [
            (disk.path, f"{show_bytes(disk.free_bytes)} of {show_bytes(disk.total_bytes)} free")
            for disk in system.disks
        ]
        return cls(system, disks, show_bytes(system.memory_bytes) if system.memory_bytes else "")


@dataclass(frozen=True, slots=True)
class SystemsPage:
    """All systems."""

    rows: Sequence[Row]
    unused: Sequence[UnusedProvider]


@dataclass(frozen=True, slots=True)
class SystemPage:
    """One system."""

    row: Row


@router.get("/systems")
@guard("instance.admin", page=True)
async def show_systems(request: Request, resources: CurrentResources) -> Response:
    """List the systems, and whether they answer."""
    rows = [Row.of(system) for system in await queries.view_systems(resources)]
    return render(request, "systems/systems.html", SystemsPage(rows, queries.list_unused_providers(resources)))


@router.get("/systems/{system_id}")
@guard("instance.admin", page=True)
async def show_system(system_id: str, request: Request, resources: CurrentResources) -> Response:
    """Show one system."""
    row = Row.of(await queries.view_system(resources, system_id))
    return render(request, "systems/system.html", SystemPage(row))
