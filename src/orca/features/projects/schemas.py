"""Projects, as the API writes them."""

from datetime import datetime

from pydantic import ConfigDict, Field, computed_field

from orca.features.projects.rules import network_of
from orca.kit.fields import Changes, Name, Output, Slug, Strict
from orca.kit.pagination import NamedPage, Word

SLUG = "Spelled from the name when it is not given, such as vitrina from Витрина. Must be given for ideographs."


class ProjectFilter(NamedPage):
    """Filter of a list of projects."""

    slug: Word | None = None
    name: Word | None = Field(None, description="As a whole, with its capitals.")


class ProjectFields(Strict):
    """The fields of a new project."""

    name: Name
    slug: Slug | None = Field(None, description=SLUG)
    description: str = Field("", max_length=500)


class ProjectChanges(Changes):
    """What to change; omitted fields stay."""

    name: Name | None = None
    description: str | None = Field(None, max_length=500)


class ProjectOut(Output):
    """A project."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    slug: str
    description: str
    created_at: datetime


class EnvironmentFields(Strict):
    """The fields of a new environment."""

    name: Name
    slug: Slug | None = Field(None, description=f"{SLUG} It ends the slugs of services that are made in it.")


class EnvironmentChanges(Changes):
    """What to change; omitted fields stay."""

    name: Name | None = None


class EnvironmentOut(Output):
    """An environment of a project."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    project_id: str
    name: str
    slug: str
    created_at: datetime

    @computed_field(description="Its network: only its services are in it, and those that were granted it.")  # type: ignore[prop-decorator]
    @property
    def network(self) -> str:
        """The name of its network on engines, and in `runtime.networks` of services of other environments."""
        return network_of(self.id)
