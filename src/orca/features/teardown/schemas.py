"""The deletion of a project with all in it, as the API shows and takes it."""

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from orca.kit.fields import Output, Strict


class DeletionIn(Strict):
    """What is to be deleted with the project."""

    confirm: str = Field(max_length=100, description="The slug of the project.")
    volumes: Literal["keep", "delete"] = Field(
        "keep",
        description="Whether the data in its volumes is destroyed. As long as it has any, the project stays.",
    )


class GoingService(Output):
    """A service that goes with its project."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    slug: str


class GoingVolume(Output):
    """A volume of the project."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    path: str = Field(description="Where it is mounted, or was mounted last.")


class DeletionOut(Output):
    """What a project still has, and whether it is being deleted."""

    state: Literal["none", "running", "failed"]
    since: datetime | None = Field(None, description="When it was asked for.")
    problem: str = Field("", description="Why it failed the last time; it can be asked for again.")
    services: list[GoingService] = Field(description="200 of them at most.")
    volumes: list[GoingVolume] = Field(description="200 of them at most.")
    domains: list[str] = Field(description="Hostnames that go with the services, 200 of them at most.")
    deployments: int = Field(description="Number of deployments whose history goes with the services.")
    variables: int = Field(description="Number of variables of the project and its services.")
    removing: int = Field(description="Number of services whose containers are still being removed.")
