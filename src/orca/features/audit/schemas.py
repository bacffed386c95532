"""How an event and the state of the trail are shown."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SkipValidation, StringConstraints

from orca.events import Outcome, Via
from orca.kit.fields import Output
from orca.kit.pagination import Instant, Word

EventWord = Annotated[str, StringConstraints(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


class EventFilter(BaseModel):
    """Which events are wanted; what is None does not matter."""

    model_config = ConfigDict(extra="forbid")

    type: EventWord | None = None
    object_type: EventWord | None = None
    object_id: EventWord | None = None
    actor: Word | None = Field(None, description="Who did it, as a whole: an e-mail address, a token or `orca`.")
    outcome: Outcome | None = None
    since: Instant | None = Field(None, description="Only what happened at this moment or later.")
    until: Instant | None = Field(None, description="Only what happened before this moment.")
    limit: int = Field(50, ge=1, le=200, description="How many items a page holds.")
    cursor: str | None = Field(None, pattern=r"^[0-9]{1,18}$", description="`next_cursor` of the page before.")


class EventOut(Output):
    """A fact: who did what to which object, from where, and how it ended."""

    model_config = ConfigDict(from_attributes=True)

    seq: int
    at: datetime
    type: str
    team_id: str | None
    actor: str
    via: SkipValidation[Via]
    ip: str | None
    object_type: str | None
    object_id: str | None
    outcome: SkipValidation[Outcome]
    request_id: str | None
    payload: dict[str, Any]


class Verification(Output):
    """Whether every event still follows from the one before it, and the trail from its signed checkpoints."""

    is_intact: bool
    first_broken: int | None = Field(
        None, description="`seq` of the first event that was changed, is gone, or whose predecessor is gone."
    )
    problem: str = Field("", description="What is wrong, in words.")
    events: int = Field(description="How many events there are.")
    checkpoints: int = Field(description="How many signed checkpoints they were compared with.")
