"""What the doors of orphans take and answer."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from orca.kit.fields import Output

Kind = Literal["deployment", "route", "volume", "history"]


class Orphan(Output):
    """Something that works, or holds data, and that this database does not know."""

    kind: Kind
    id: str
    name: str = Field(description="As people know it: a container, a hostname, a volume.")
    service_id: str | None = Field(None, description="The service that it belongs to, when this database has that.")
    service: str = Field("", description="The slug of that service.")
    detail: str = Field("", description="What else is known of it.")
    state: str = "unknown"
    can_adopt: bool = Field(False, description="Whether it can be taken over as part of its service.")
    can_remove: bool = True


class OrphansOut(Output):
    """Everything of this instance that this database cannot account for."""

    items: list[Orphan]
    problems: list[str] = Field(description="What could not be looked at.")


class Decision(BaseModel):
    """Which orphan is meant."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["deployment", "route", "history"]
    id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")
