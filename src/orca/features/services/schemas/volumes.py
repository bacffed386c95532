"""Volumes: their mount paths, and the owners of their data."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from orca.features.services import rules
from orca.kit.fields import Changes, Identifier, Output, Strict
from orca.kit.pagination import NamedPage, Word

MountPath = Annotated[
    str,
    StringConstraints(max_length=255),
    AfterValidator(rules.check_mount_path),
    WithJsonSchema({"type": "string", "maxLength": 255, "pattern": rules.MOUNT_PATH}),
]
VolumeName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
VolumeOwner = Annotated[str, StringConstraints(pattern=r"^(?:[0-9]{1,9}(?::[0-9]{1,9})?)?$")]
VolumeMode = Annotated[str, StringConstraints(pattern=r"^(?:[0-7]{3,4})?$")]


class VolumeMount(Strict):
    """A volume that Orca owns, and its mount path inside the container."""

    name: VolumeName = Field(description="The volume of the project.")
    path: MountPath = Field(description="Where it is seen inside the container.")
    owner: VolumeOwner = Field(
        "", description="`uid` or `uid:gid` its data belongs to; default: an empty one gets the user that runs."
    )
    mode: VolumeMode = Field("", description="Permissions of the folder, such as `0750`; default: as the image has it.")
    read_only: bool = Field(default=False, description="Whether the container can read it, but not write to it.")


class NamedMount(VolumeMount):
    """A volume as `orca.yaml` or a new service asks for it."""

    shared: bool = Field(
        default=False,
        description="Whether it is the volume of this name of the environment, which other services may mount too. "
        "Without it the service has one of its own.",
    )


def _mounts_differ(mounts: list[NamedMount]) -> list[NamedMount]:
    if problem := rules.find_mount_problems((mount.name, mount.path) for mount in mounts):
        raise ValueError(problem)
    return mounts


Mounts = Annotated[list[NamedMount], Field(max_length=20), AfterValidator(_mounts_differ)]


class VolumeFields(Strict):
    """A new volume (`name`), or one of the environment (`volume_id`), and its mount path in the container."""

    name: VolumeName | None = Field(None, description="Of a new volume, which only this service mounts at first.")
    volume_id: Identifier | None = Field(None, description="Of one that is detached, or that other services mount.")
    path: MountPath
    read_only: bool = Field(default=False, description="Whether the container can read it, but not write to it.")
    owner: VolumeOwner | None = Field(None, description="`uid` or `uid:gid`; empty: the user that runs.")
    mode: VolumeMode | None = Field(None, description="Permissions such as `0750`; empty: as the image has it.")

    @model_validator(mode="after")
    def _new_or_old(self) -> Self:
        if (self.name is None) == (self.volume_id is None):
            raise ValueError("give a name for a new volume, or the volume_id of one that exists")
        return self


class VolumeChanges(Changes):
    """What to change; omitted fields stay. The next deployment sets the owner of the existing data."""

    owner: VolumeOwner | None = None
    mode: VolumeMode | None = None
    read_only: bool | None = Field(None, description="Whether this service can only read it.")


class VolumeFilter(NamedPage):
    """Filter of a list of a project's volumes."""

    service_id: Identifier | None = None
    name: Word | None = None
    state: Literal["attached", "detached"] | None = None


class MountOut(Output):
    """A service that mounts a volume."""

    service_id: str
    service: str = Field(description="Its slug.")
    name: str = Field(description="What the service calls the volume.")
    path: str = Field(description="Where it is seen inside the container.")
    read_only: bool


class VolumeOut(Output):
    """A volume. With no service it is detached: its data is kept until it is destroyed on purpose.

    Among the volumes of a service, `service_id`, `name`, `path` and `read_only` are of that service. Elsewhere they are
    of the first service in `mounts`, and `name` is the volume's own.
    """

    id: str
    project_id: str
    environment_id: str
    system: str = Field(description="Id of the system that has the data.")
    service_id: str | None
    name: str
    volume_name: str = Field(description="Its own name, which is unique in the environment.")
    path: str = Field(description="Of a detached volume: where it was mounted last.")
    read_only: bool
    mounts: list[MountOut] = Field(description="All services that mount it.")
    owner: str
    mode: str
    created_at: datetime
    detached_at: datetime | None
    destroying_since: datetime | None
