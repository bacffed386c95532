"""How an event and the state of the trail are shown."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class EventOut(BaseModel):
    """A fact: who did what to which object, from where, and how it ended."""

    model_config = ConfigDict(from_attributes=True)

    seq: int
    at: datetime
    type: str
    team_id: str | None
    actor: str
    via: str
    ip: str | None
    object_type: str | None
    object_id: str | None
    outcome: str
    request_id: str | None
    payload: dict[str, Any]


class Verification(BaseModel):
    """Whether every event still follows from the one before it, and the trail from its signed checkpoints."""

    is_intact: bool
    first_broken: int | None = Field(
        None, description="`seq` of the first event that was changed, is gone, or whose predecessor is gone."
    )
    problem: str = Field("", description="What is wrong, in words.")
    events: int = Field(description="How many events there are.")
    checkpoints: int = Field(description="How many signed checkpoints they were compared with.")
