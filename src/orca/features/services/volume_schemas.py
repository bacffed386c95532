"""Volumes: their mount paths, and the owners of their data."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from orca.features.services import rules
from orca.kit.fields import Changes, Identifier, Output, Strict
from orca.kit.pagination import PageRequest, Word

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


def _mounts_differ(mounts: list[VolumeMount]) -> list[VolumeMount]:
    if problem := rules.find_mount_problems((mount.name, mount.path) for mount in mounts):
        raise ValueError(problem)
    return mounts


Mounts = Annotated[list[VolumeMount], Field(max_length=20), AfterValidator(_mounts_differ)]


class VolumeFields(Strict):
    """A new volume (`name`), or one to attach again (`volume_id`), and its mount path in the container."""

    name: VolumeName | None = None
    volume_id: Identifier | None = None
    path: MountPath
    owner: VolumeOwner | None = Field(None, description="`uid` or `uid:gid`; empty: the user that runs.")
    mode: VolumeMode | None = Field(None, description="Permissions such as `0750`; empty: as the image has it.")

    @model_validator(mode="after")
    def _new_or_old(self) -> Self:
        if (self.name is None) == (self.volume_id is None):
            raise ValueError("give a name for a new volume, or the volume_id of a detached one")
        return self


class VolumeChanges(Changes):
    """What to change; omitted fields stay. The next deployment sets the owner of the existing data."""

    owner: VolumeOwner | None = None
    mode: VolumeMode | None = None


class VolumeFilter(PageRequest):
    """Filter of a list of a project's volumes."""

    service_id: Identifier | None = None
    name: Word | None = None
    state: Literal["attached", "detached"] | None = None


class VolumeOut(Output):
    """A volume. With no service it is detached: its data is kept until it is destroyed on purpose."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    project_id: str
    service_id: str | None
    name: str
    path: str
    owner: str
    mode: str
    created_at: datetime
    detached_at: datetime | None
    destroying_since: datetime | None
