"""What the doors of systems answer."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from orca.kit.fields import Output


class Disk(Output):
    """The file system that a path of a system is on."""

    path: str
    total_bytes: int
    free_bytes: int


class SystemOut(Output):
    """A machine that Orca manages, and what was seen of it when it was last looked at."""

    id: str
    name: str
    connector: str = Field(description="The provider by which Orca reaches it.")
    engine: str = Field(description="The provider of what runs workloads there.")
    proxy: str = Field(description="The provider of what serves hostnames there.")
    state: Literal["reachable", "unreachable"] = Field(description="Whether connector and engine answered.")
    reason: str = Field(description="Why it is not reachable, and what to do; else empty.")
    problems: list[str] = Field(
        description="Why providers of it cannot be used, such as one that is not installed, and what to do."
    )
    since: datetime = Field(description="Since when the process that answers has seen it in this state.")
    checked_at: datetime = Field(description="When it was last looked at; at most a few seconds ago.")
    engine_version: str = Field(description="Empty while the engine does not answer, as are the next three.")
    architecture: str
    cpus: int | None
    memory_bytes: int | None
    addresses: list[str] = Field(description="IP addresses of its interfaces, as its connector lists them.")
    disks: list[Disk] = Field(description="Of the engine's data and, on `local`, of Orca's own.")


class UnusedProvider(Output):
    """A provider that is installed, but that Orca does not use."""

    family: str = Field(description="`engines`, `containers`, `proxies`, `builders` or `connectors`.")
    name: str
    package: str = Field(description="The package that it is from, with its version.")
    reason: str = Field(description="What is wrong with it.")
    remedy: str = Field(description="What to do.")


class SystemsOut(Output):
    """All systems, `local` first."""

    items: list[SystemOut]
    unused_providers: list[UnusedProvider]
