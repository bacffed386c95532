"""The API's models of webhooks and their deliveries."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, SkipValidation, StringConstraints

from orca.features.notifications.messages import list_offered
from orca.features.notifications.rules import URL_LIMIT
from orca.kit.fields import Changes, Name, Output, Strict
from orca.kit.pagination import NamedPage, RecentPage, Word

DeliveryState = Literal["queued", "delivered", "failed"]


def _are_offered(types: list[str]) -> list[str]:
    if not set(types) <= list_offered().keys():
        raise ValueError(f"must be among {', '.join(list_offered())}")
    return sorted(set(types))


Url = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=URL_LIMIT)]
Types = Annotated[
    list[Annotated[str, StringConstraints(max_length=64)]], Field(max_length=100), AfterValidator(_are_offered)
]
_URL = "Where messages are sent, by POST: https, and not a private address unless the instance allows these."
_TYPES = "Types of events such as `deployment.finished`; empty: all."


class WebhookFilter(NamedPage):
    """Filter of a list of webhooks."""

    name: Word | None = None
    is_enabled: bool | None = None


class DeliveryFilter(RecentPage):
    """Filter of a list of deliveries."""

    state: DeliveryState | None = None
    type: Word | None = Field(None, description="Type of the event, such as `deployment.finished`.")


class WebhookFields(Strict):
    """An address, and what is sent there."""

    name: Name
    url: Url = Field(description=_URL, examples=["https://hooks.example.org/orca"])
    types: Types = Field([], description=_TYPES, examples=[["deployment.finished"]])
    is_enabled: bool = True


class WebhookChanges(Changes):
    """What to change; omitted fields and the secret stay. Enabling it forgets why it was disabled."""

    name: Name | None = None
    url: Url | None = Field(None, description=_URL)
    types: Types | None = Field(None, description=_TYPES)
    is_enabled: bool | None = None


class DeliveryOut(Output):
    """One message to one webhook, and what became of it. What the receiver answered is kept as its status only."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="The `webhook-id` of all its tries.")
    webhook_id: str
    type: str
    state: SkipValidation[DeliveryState]
    attempts: int
    status_code: int | None = Field(description="Of the answer to the last try; none when there was no answer.")
    duration_ms: int | None = Field(description="How long the last try took.")
    problem: str = Field(description="Why the last try failed; empty when it did not.")
    next_try_at: datetime | None
    created_at: datetime
    finished_at: datetime | None


class DeliveryDetail(DeliveryOut):
    """A delivery with what was sent."""

    body: str = Field(description="The JSON that was sent.")


class WebhookOut(Output):
    """A webhook without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    url: str
    types: list[str]
    is_enabled: bool
    problem: str = Field(description="Why Orca disabled it; empty when it did not.")
    failing_since: datetime | None = Field(description="Since when nothing was taken; none while messages arrive.")
    replaced_until: datetime | None = Field(
        description="Until when messages also have the signature of the secret before the last rotation."
    )
    last_delivery: DeliveryOut | None = None
    created_at: datetime


class WebhookSecret(WebhookOut):
    """A webhook with its signing secret, which is shown this once."""

    secret: str = Field(description="Key of the signature, in the form of Standard Webhooks.")
