"""What is sent: the events that features offer to webhooks, and the message of each."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from orca.events import Event
from orca.features import load_features
from orca.features.manifest import WebhookEvent
from orca.features.notifications.rules import PING
from orca.kit.clock import format_instant
from orca.kit.fields import Output
from orca.web.openapi import OutgoingMessage


class PingData(Output):
    """What a test message says."""

    model_config = ConfigDict(extra="ignore")

    webhook_id: str
    name: str = Field(description="Name of the webhook that was tested.")


class Message(BaseModel):
    """A message of a webhook, as it is signed and sent."""

    timestamp: datetime = Field(description="When it happened.")


_PING = WebhookEvent(PING, "WebhookTested", "A user tested the webhook.", PingData)


@cache
def list_offered() -> Mapping[str, WebhookEvent]:
    """Return the events that a webhook may be made for: type of the message -> event."""
    return {webhook.name: webhook for feature in load_features() for webhook in feature.webhooks}


@cache
def _by_event() -> Mapping[str, WebhookEvent]:
    return {offered.event: offered for offered in list_offered().values()}


def list_event_types() -> Sequence[str]:
    """Return the types of the events that are sent."""
    return list(_by_event())


def type_of(event: Event) -> str:
    """Return the type of the message about an event."""
    return _by_event()[event.type].name


def render_message(event: Event) -> str:
    """Return the body for an event: of its payload only what its feature declares. Raises ValidationError."""
    offered = _by_event()[event.type]
    known = {**event.payload, f"{event.object_type}_id": event.object_id}
    return _render(offered.name, event.at, offered.data.model_validate(known))


def render_ping(at: datetime, webhook_id: str, name: str) -> str:
    """Return the body of a test message."""
    return _render(PING, at, PingData(webhook_id=webhook_id, name=name))


def _render(message_type: str, at: datetime, data: BaseModel) -> str:
    body = {"type": message_type, "timestamp": format_instant(at), "data": data.model_dump(mode="json")}
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def describe_messages() -> list[OutgoingMessage]:
    """Return every message that is sent, for the OpenAPI document."""
    return [
        OutgoingMessage(offered.name, offered.summary, _model_of(offered))
        for offered in (_PING, *list_offered().values())
    ]


def _model_of(event: WebhookEvent) -> type[BaseModel]:
    words = "".join(word.capitalize() for word in event.name.replace("_", ".").split("."))
    kind: Any = Literal[event.name]
    model: type[BaseModel] = create_model(
        f"{words}Message", __base__=Message, __doc__=event.summary, type=(kind, ...), data=(event.data, ...)
    )
    return model
