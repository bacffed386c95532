"""The API's models of services."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AliasChoices, ConfigDict, Field, StringConstraints, field_validator

from orca.features.projects.schemas import SLUG
from orca.features.services import rules
from orca.features.services.rules import Kind
from orca.features.services.schemas.settings import BuildOptions, ServiceSettings, kind_alias
from orca.features.services.schemas.variables import Value, VariableKey
from orca.features.services.schemas.volumes import Mounts
from orca.features.sources.schemas import Source
from orca.kit.fields import Changes, Identifier, Name, Slug, Strict
from orca.kit.pagination import NamedPage, Word
from orca.systems import LOCAL

SystemId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,35}$")]


class ServiceFields(ServiceSettings):
    """The fields of a new service."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    name: Name
    slug: Slug | None = Field(None, description=SLUG)
    kind: Kind = Field("web", validation_alias=AliasChoices("kind", "type"))
    source: Source = Field(validation_alias=AliasChoices("source", "build_source"))
    build: BuildOptions = BuildOptions()
    system: SystemId = Field(LOCAL, description="The system that it runs on.")
    environment: Identifier | Slug | None = Field(
        None, description="The environment of the project in which it lives, by id or slug; `production` by default."
    )
    volumes: Mounts = Field([])
    variables: dict[VariableKey, Value] = Field({}, max_length=rules.MAX_VARIABLES)
    deploy: bool = Field(False, description="Deploy it at once; `deployment_id` of the answer is followed then.")

    _kind_alias = field_validator("kind", mode="before")(kind_alias)


class ServiceChanges(Changes, ServiceSettings):
    """What to change. Omitted settings stay; each setting in the request replaces the stored one as a whole."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    version: int | None = Field(None, description="The version this change starts from; an older one is refused.")
    name: Name | None = None
    kind: Kind | None = Field(None, validation_alias=AliasChoices("kind", "type"))
    source: Source | None = Field(None, validation_alias=AliasChoices("source", "build_source"))
    build: BuildOptions | None = None
    system: SystemId | None = Field(None, description="The system that it runs on from the next deployment on.")

    _kind_alias = field_validator("kind", mode="before")(kind_alias)


class ServiceOut(ServiceSettings):
    """A service."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    project_id: str
    environment_id: str
    name: str
    slug: str
    kind: Kind
    source: Source
    build: BuildOptions
    system: str = Field(description="The system that it runs on from the next deployment on.")
    privileges: list[str] = Field(description="What it was granted beyond its containers.")
    desired_state: Literal["running", "stopped"]
    version: int
    created_at: datetime
    updated_at: datetime


class DeployingService(ServiceOut):
    """A service that was created with its first deployment."""

    deployment_id: Identifier


class ServiceFilter(NamedPage):
    """Filter of a list of a project's services."""

    slug: Word | None = None
    kind: Kind | None = None
    desired_state: Literal["running", "stopped"] | None = None
    environment_id: Identifier | None = None


class Confirmation(Strict):
    """The name of the object to destroy, typed by the user."""

    confirm: str = Field(max_length=255)
