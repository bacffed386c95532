"""Deployments, releases and their parts, as the API shows and takes them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SkipValidation, StringConstraints

from orca.features.deployments.rules import Action, Kind, ServiceState, State, Trigger
from orca.features.services.schemas.services import ServiceFilter, ServiceOut
from orca.features.services.schemas.settings import Argument
from orca.kit.fields import Identifier, Output, Strict
from orca.kit.pagination import RecentPage, Word
from orca.sdk.workloads import ProcessState


class Out(Output):
    """Read from a row. `SkipValidation`: a value stored by another version is returned as it is, without an error."""

    model_config = ConfigDict(from_attributes=True)


class ReleaseFilter(RecentPage):
    """Filter of a list of releases."""

    commit: Word | None = Field(None, description="Only those of this commit, as a whole.")


class DeploymentFilter(RecentPage):
    """Filter of a list of deployments."""

    state: State | None = None
    kind: Kind | None = Field(None, description="`build` for images that were only made.")
    trigger: Trigger | None = None


class TeamDeploymentFilter(DeploymentFilter):
    """Filter of a list of deployments of all services."""

    service_id: Identifier | None = None
    project_id: Identifier | None = None


class StepOut(Out):
    """One step."""

    name: str
    state: SkipValidation[Literal["waiting", "running", "succeeded", "failed", "cancelled", "skipped"]]
    detail: str
    started_at: datetime | None
    finished_at: datetime | None


class Remedy(Output):
    """A change of a setting that would solve the problem."""

    action: Literal["set-port", "own-volume"] = Field(description="What is changed; then the service is deployed.")
    label: str = Field(description="For people.")
    command: str = Field(description="The same with the command line.")
    port: int | None = None
    volume: str = ""
    owner: str = ""


class NextStep(Output):
    """Something that a hint tells people to do, for programs."""

    action: SkipValidation[Action] = Field(description="`change-setting` and `set-variable` name which one.")
    label: str = Field(description="For people.")
    setting: str = Field("", description="Of the service, as `orca.yaml` names it: `health.path`.")
    variable: str = ""


class DeploymentOut(Out):
    """One attempt to make a release live."""

    id: str
    service_id: str
    number: int
    kind: Kind
    state: State
    trigger: SkipValidation[Trigger]
    requested_by: str
    build_id: str | None
    release_id: str | None
    code: str = Field(description="Stable reason code when it failed; see the troubleshooting page.")
    reason: str
    hint: str
    warnings: list[str]
    remedies: list[Remedy] = Field([], description="What would mend it: `POST …/remedies/{number}`, counted from 0.")
    next_steps: list[NextStep] = Field([], description="What `hint` says, for programs.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    log_removed_at: datetime | None = Field(None, description="When its log had been kept for `ORC_KEEP_LOG_DAYS`.")


class DeploymentDetail(DeploymentOut):
    """A deployment with its steps."""

    steps: list[StepOut]
    expected_seconds: float | None = Field(
        None, description="How long the last successful ones took; null when there are none, and once it has ended."
    )
    waits_for: str = Field("", description="Why it does not begin, or does not go on, at present.")
    commit: str = ""
    commit_message: str = ""
    dockerfile: str = ""
    image: str = ""


class MakerOut(Out):
    """The deployment that made a release."""

    id: str
    number: int
    kind: str = Field(description="`deploy`; `scale` and `rollback` made releases before scaling kept the live one.")


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


class ComparedRelease(Out):
    """A release that is compared with another one."""

    id: str
    number: int
    image: str
    commit: str
    commit_message: str
    created_at: datetime


class VariableChange(Output):
    """A variable that differs, without its value."""

    key: str
    change: Literal["added", "removed", "changed"]


class ChangesOut(Output):
    """What would change in what runs."""

    live: ComparedRelease | None = Field(description="The live release; null when there is none.")
    target: ComparedRelease | None = Field(description="The release to go back to; null for stored settings.")
    changes: list[str] = Field(description="For people, without values of variables.")
    variables: list[VariableChange]
    revision: str = Field("", description="Of what waits for the next deployment; a discard names it.")


class DiscardIn(Strict):
    """What is to be discarded."""

    revision: str = Field(max_length=32, description="Of the changes that were seen; others are not discarded.")


class ContainerOut(Out):
    """One replica as the engine reports it now."""

    name: str
    replica: int
    release: int | None
    state: SkipValidation[ProcessState]
    address: str | None
    restarts: int
    exit_code: int | None
    out_of_memory: bool
    started_at: datetime | None


class ServiceStatusOut(Output):
    """The state of a service as it was observed now."""

    service_id: str
    state: SkipValidation[ServiceState] = Field(
        description="`empty`: nothing was deployed yet; `unknown`: its engine cannot be reached."
    )
    reason: str = Field(description="Why, where the state does not say it all.")
    since: datetime | None = Field(description="Since when, as far as it is known.")
    release: int | None = Field(description="The number of the live release.")
    running: int | None = Field(description="How many replicas run; null while the engine cannot be reached.")
    replicas: int = Field(description="How many should run.")
    deployment_id: str | None = Field(description="The deployment that has not ended, or else the newest one.")
    urls: list[str] = Field(description="Where it can be reached.")


class ListedService(ServiceOut):
    """A service with its project and its status."""

    project: str = Field(description="The slug of its project.")
    status: ServiceStatusOut


class TeamServiceFilter(ServiceFilter):
    """Filter of a list of the services of all projects."""

    project_id: Identifier | None = None


class BuildIn(Strict):
    """What to build; without fields, the service's current source is built."""

    commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{7,64}$")] | None = None
    upload_id: str | None = Field(None, max_length=36)


class DeployIn(BuildIn):
    """What to deploy. With `build_id` the image of an earlier build is used and nothing is built."""

    build_id: str | None = Field(None, max_length=36)


class RollbackIn(Strict):
    """Which release to go back to; by default the one before the live one."""

    release: int | None = Field(None, ge=1, description="Number of the release.")


class LogLineQuery(BaseModel):
    """A page of the lines of a log: its end, or what is before, after or around a line."""

    model_config = ConfigDict(extra="forbid")

    grep: str = Field("", max_length=200, description="Part of the text, without regard to case.")
    before: int | None = Field(None, ge=0, lt=10**18, description="Only lines before the one of this id.")
    after: int | None = Field(None, ge=-1, lt=10**18, description="Only lines after the one of this id.")
    around: int | None = Field(None, ge=0, lt=10**18, description="Lines before and after the one of this id.")
    limit: int = Field(200, ge=1, le=1000, description="How many lines a page holds.")


class LogLineOut(Out):
    """One line of the log of a deployment."""

    id: int = Field(description="Its offset in characters.")
    step: str
    text: str = Field(description="Without control sequences other than colours.")
    at: datetime = Field(description="When it was stored, together with lines beside it.")
    level: Literal["none", "warn", "error"] = Field(description="Of Orca's own lines.")


class LogLinesOut(Output):
    """Lines in order."""

    items: list[LogLineOut]
    older: int | None = Field(description="Value of `before` for the page of older lines; null when there are none.")
    newer: int | None = Field(description="Value of `after` for what is or will be newer.")
    total: int | None = Field(description="How many lines match `grep` in all; null without it.")


class ScaleIn(Strict):
    """How many replicas should run."""

    replicas: int = Field(ge=0, le=50)


class RunIn(Strict):
    """A command to run once in a fresh container of the live release."""

    command: list[Argument] = Field(min_length=1, max_length=100)
    timeout: float = Field(3600, ge=1, le=86400, description="Seconds after which it is killed.")
