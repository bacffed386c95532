"""Volumes: where they are seen, and whose their data is."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from orca.features.services import rules
from orca.kit.fields import Identifier, Strict

MountPath = Annotated[str, StringConstraints(max_length=255), AfterValidator(rules.check_mount_path)]
VolumeName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
VolumeOwner = Annotated[str, StringConstraints(pattern=r"^(?:[0-9]{1,9}(?::[0-9]{1,9})?)?$")]
VolumeMode = Annotated[str, StringConstraints(pattern=r"^(?:[0-7]{3,4})?$")]


class VolumeMount(Strict):
    """A volume that Orca owns, and where it is seen inside the container."""

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
    """A new volume (`name`), or one to attach again (`volume_id`), and where it is seen in the container."""

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


class VolumeChanges(Strict):
    """What to change; the rest stays. With the next deployment the data is given to a named owner."""

    owner: VolumeOwner | None = None
    mode: VolumeMode | None = None


class VolumeOut(BaseModel):
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
