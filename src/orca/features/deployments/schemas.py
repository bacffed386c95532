"""Deployments, releases and their parts, as the API shows and takes them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from orca.features.deployments.rules import Kind, State
from orca.features.services.schemas import Argument


class Out(BaseModel):
    """Read from a row."""

    model_config = ConfigDict(from_attributes=True)


class In(BaseModel):
    """Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class StepOut(Out):
    """One step: `waiting`, `running`, `succeeded`, `failed`, `cancelled` or `skipped`."""

    name: str
    state: str
    detail: str
    started_at: datetime | None
    finished_at: datetime | None


class Remedy(BaseModel):
    """A change that would mend what went wrong."""

    action: Literal["set-port", "own-volume"] = Field(description="What is changed; then the service is deployed.")
    label: str = Field(description="For people.")
    command: str = Field(description="The same with the command line.")
    port: int | None = None
    volume: str = ""
    owner: str = ""


class DeploymentOut(Out):
    """One attempt to make a release live."""

    id: str
    service_id: str
    number: int
    kind: Kind
    state: State
    trigger: str
    requested_by: str
    build_id: str | None
    release_id: str | None
    code: str = Field(description="Stable reason code when it failed; see the troubleshooting page.")
    reason: str
    hint: str
    warnings: list[str]
    remedies: list[Remedy] = Field([], description="What would mend it: `POST …/remedies/{number}`, counted from 0.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class DeploymentDetail(DeploymentOut):
    """A deployment with its steps."""

    steps: list[StepOut]
    waits_for: str = Field("", description="Why it does not begin, or does not go on, at present.")
    commit: str = ""
    commit_message: str = ""
    dockerfile: str = ""
    image: str = ""


class MakerOut(Out):
    """The deployment that made a release."""

    id: str
    number: int
    kind: str = Field(description="`deploy`; `scale` or `rollback` for a release that repeats one at another scale.")


class ReleaseOut(Out):
    """An image with frozen configuration."""

    id: str
    service_id: str
    number: int
    image: str
    commit: str
    commit_message: str
    created_at: datetime
    went_live_at: datetime | None = Field(
        description="When it first was healthy and had traffic; null for one that never was, so do not go back to it."
    )
    deployment: MakerOut | None = Field(None, description="What made it.")
    is_live: bool = False


class ContainerOut(Out):
    """One replica as it was observed just now."""

    name: str
    replica: int
    release: int | None
    state: str
    address: str | None
    restarts: int
    exit_code: int | None
    out_of_memory: bool
    started_at: datetime | None


class BuildIn(In):
    """What to build; nothing given builds the service's source as it is."""

    commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{7,64}$")] | None = None
    upload_id: str | None = Field(None, max_length=36)


class DeployIn(BuildIn):
    """What to deploy. With `build_id` the image of an earlier build is used and nothing is built."""

    build_id: str | None = Field(None, max_length=36)


class RollbackIn(In):
    """Which release to go back to; none given means the one before the live one."""

    release: int | None = Field(None, ge=1, description="Number of the release.")


class ScaleIn(In):
    """How many replicas should run."""

    replicas: int = Field(ge=0, le=50)


class RunIn(In):
    """A command to run once in a fresh container of the live release."""

    command: list[Argument] = Field(min_length=1, max_length=100)
    timeout: float = Field(3600, ge=1, le=86400, description="Seconds after which it is killed.")
