"""The API's models of push hooks and their deliveries."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from orca.features.triggers.pushes import Provider
from orca.features.triggers.rules import parse_patterns
from orca.kit.fields import Changes, Identifier, Output, Strict, without_nul
from orca.kit.pagination import PageRequest, RecentPage, Word
from orca.web.validators import parsed_by


class HookFilter(PageRequest):
    """Filter of a list of a service's hooks."""

    provider: Provider | None = None
    branch: Word | None = Field(None, description="Branch or pattern, as it is kept.")


class PushFilter(RecentPage):
    """Filter of a list of deliveries."""

    is_accepted: bool | None = Field(None, description="Whether a deployment followed.")


Pattern = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=240)]


BranchPattern = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000), AfterValidator(without_nul)
]


WatchPaths = Annotated[list[Pattern], Field(max_length=50), parsed_by(parse_patterns)]


class HookFields(Strict):
    """The Git host that sends pushes, and the rules for which of them deploy."""

    provider: Provider = Field(description="Who sends them; `gitea` is also Forgejo's.", examples=["github"])
    branch: BranchPattern = Field(description="A branch, or a pattern such as `release/*`.", examples=["main"])
    watch_paths: WatchPaths = Field(
        [], description="Deploy only when a changed file matches, as in .gitignore; empty: always."
    )
    any_repository: bool = Field(
        default=False, description="Also take pushes to other repositories than the one the service comes from."
    )


class HookChanges(Changes):
    """What to change; omitted fields, address and secret stay."""

    provider: Provider = Field("github", description="Who sends them; `gitea` is also Forgejo's.")
    branch: BranchPattern = Field("main", description="A branch, or a pattern such as `release/*`.")
    watch_paths: WatchPaths = Field([], description="Patterns as in .gitignore; empty: every push counts.")
    any_repository: bool = Field(default=False, description="Also take pushes to other repositories.")


class PushOut(Output):
    """One delivery, and the decision about it."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    hook_id: str
    delivery: str
    commit: str
    is_accepted: bool
    is_refused: bool = Field(description="Turned away: not signed as this hook expects, or no push that makes sense.")
    times: int = Field(description="How often it came; refusals for the same reason are one entry.")
    decision: str
    received_at: datetime


class HookOut(Output):
    """A push hook without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    service_id: str
    provider: Provider
    branch: str
    watch_paths: list[str]
    any_repository: bool
    url: str = Field(description="Where the Git host sends its pushes.")
    last_push: PushOut | None = Field(None, description="What arrived last, and what became of it.")
    created_at: datetime


class HookSecret(HookOut):
    """A push hook with its secret, which is shown this once."""

    secret: str
    warning: str = Field(
        description="Why pushes may not arrive at `url` or deploy nothing, and what to do; empty where all seems well."
    )


class Replay(Strict):
    """Which push to send through the hook again."""

    push_id: Identifier | None = Field(None, description="One of the hook's pushes; without, the newest.")


class HookTest(Output):
    """The result of a test delivery that Orca sent to the hook's address."""

    url: str
    arrived: bool = Field(description="Whether the hook took it: the address leads here, and the signature fits.")
    status: int | None = Field(description="What the address answered; none where it did not.")
    detail: str
    hint: str


class PushAnswer(Output):
    """The decision about a delivery."""

    push_id: str | None
    accepted: bool
    decision: str
