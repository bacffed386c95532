"""The manifest of a feature: all that the application and lower features take from it, declared in its `feature.py`."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from fastapi import APIRouter
from prometheus_client import CollectorRegistry, Counter
from pydantic import BaseModel
from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession

from orca.events import Subscriber
from orca.events.consumers import Consumer
from orca.resources import Resources
from orca.tasks import Periodic, TaskDefinition
from orca.web.guard import OwnerResolver, Scope
from orca.web.metrics import Measure
from orca.web.nav import NavItem, Tab
from orca.web.sockets import GuardedSocket

Function = TypeVar("Function", bound=Callable[..., Awaitable[Any]])
Hook = Callable[[Resources], Awaitable[None]]
DeletionCheck = Callable[[AsyncSession, str], Awaitable[None]]
"""Takes the id of an object; raises Conflict while something that its feature does not know still uses the object."""


@dataclass(frozen=True)  # without slots: a generic class stores its type arguments in the instance
class ReaderKey(Generic[Function]):
    """Names a function that a lower feature needs and a feature above it implements; typed by its signature.

    It reads, or writes in the transaction of its caller.
    """

    name: str

    def implemented_by(self, function: Function) -> "Reader":
        """Return the entry for `Feature.readers`."""
        return Reader(self, function)


@dataclass(frozen=True, slots=True)
class Reader:
    """The function that a feature implements for lower ones."""

    key: ReaderKey[Any]
    function: Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class NamedObject:
    """A name, and the page of the object; without an address once it is deleted."""

    name: str
    href: str = ""


class Directory(Protocol):
    """Finds the names of one type of object in a team, for the activity page."""

    async def find_names(self, session: AsyncSession, scope: Scope, ids: Collection[str]) -> Mapping[str, NamedObject]:
        """Id -> name, of those that exist."""
        ...

    async def find_ids(self, session: AsyncSession, scope: Scope, text: str) -> Collection[str]:
        """Ids of those whose name contains the text."""
        ...


@dataclass(frozen=True, slots=True)
class Permission:
    """A permission, what it allows in one sentence, and who has it."""

    name: str
    description: str
    role: Literal["guest", "viewer", "member", "owner", "instance admin"]
    """The least role that has it: members have those of viewers, owners and admins all but those of instance admins."""
    whole_team: bool = False
    """It is about the team as a whole, so that a grant on a part of the team never includes it."""
    formerly: str = ""
    """The name it had in earlier versions, alone or together with others: scopes of API tokens may still have it."""


@dataclass(frozen=True, slots=True)
class EventKind:
    """A filter of the activity page."""

    key: str
    label: str
    order: int


@dataclass(frozen=True, slots=True)
class EventWords:
    """How the activity page reads the events whose type begins with a word."""

    prefix: str
    kind: str
    """Key of the `EventKind` to which they belong."""
    nouns: frozenset[str] = frozenset()
    """Values of `kind` in the payload that replace the word in titles: a deployment that restarts is a restart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationEvents:
    """The events of one kind of operation. On the activity page its end stands for the whole, once it has ended."""

    id_key: str
    """Key of the payload with the operation's id."""
    asked: str
    """Type of the event that asked for it: whose actor is shown at the end."""
    steps: frozenset[str]
    """Types of the events before the end, `asked` among them."""
    end: str
    """Type of the event that ends it."""
    page: str
    """Path of the operation's page; `{}` is its id."""


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """An event that is offered to the webhooks of its team."""

    name: str
    """The type of its messages: `deployment.finished`."""
    event: str
    """Type of the event that is sent: `DeploymentFinished`."""
    summary: str
    data: type[BaseModel]
    """What is sent of the payload and of the object's id (`service_id`): nothing that has no field here."""


@dataclass(frozen=True, slots=True)
class Verb:
    """An entry of the command palette for each service that is found; `{}` in the label is the service's name."""

    label: str
    path: str
    icon: str
    permission: str
    order: int
    posts: bool = False
    """It does something, by the same form as the page has; else it leads somewhere."""
    only_when: str = ""
    """State of the service (`running`, `stopped`) in which it is offered; empty for every state."""


@dataclass(frozen=True, slots=True)
class FirstStep:
    """An entry of the checklist for a new team, on the overview."""

    label: str
    text: str
    href: str
    """Where it is done; `{service}` is the id of the newest service, `{new_service}` the page that makes one."""
    action: str
    """What the button says."""
    permission: str
    order: int
    is_done: Callable[[Scope], ColumnElement[bool]]
    """Returns whether the team has done it, as part of one query for all entries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """What one feature contributes. Every field but the name is optional."""

    name: str
    routers: Sequence[APIRouter] = ()
    sockets: Sequence[GuardedSocket] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tag of its operations in the OpenAPI document -> what they are about."""
    tasks: Sequence[TaskDefinition] = ()
    periodic: Sequence[Periodic] = ()
    owners: Mapping[str, OwnerResolver] = field(default_factory=dict)
    """Path parameter (`service_id`) -> function that returns where its object belongs, or None for an unknown one."""
    own_identifiers: Collection[str] = ()
    """Path parameters whose endpoint itself searches only the caller's objects, or verifies a signature."""
    permissions: Sequence[Permission] = ()
    nav: Sequence[NavItem] = ()
    tabs: Sequence[Tab] = ()
    verbs: Sequence[Verb] = ()
    first_steps: Sequence[FirstStep] = ()
    event_kinds: Sequence[EventKind] = ()
    events: Sequence[EventWords] = ()
    operations: Sequence[OperationEvents] = ()
    webhooks: Sequence[WebhookEvent] = ()
    subscribers: Sequence[tuple[str, Subscriber]] = ()
    """(event type, function that is called in the transaction that records the event)."""
    consumers: Sequence[Consumer] = ()
    """What reads events after they are committed, at its own pace; what must be atomic is a subscriber."""
    readers: Sequence[Reader] = ()
    deletion_checks: Mapping[str, DeletionCheck] = field(default_factory=dict)
    """Object type of a lower feature -> check that runs before such an object is deleted."""
    directories: Mapping[str, Directory] = field(default_factory=dict)
    """Object type of events -> directory of the names of these objects."""
    measures: Callable[[], Sequence[Measure]] = tuple
    """Makes the measures of `/api/metrics`, with nothing counted yet."""
    counters: Mapping[str, Callable[[CollectorRegistry], Counter]] = field(default_factory=dict)
    """Name in `app.state` -> function that makes a Prometheus counter of this process."""
    before_tasks: Hook | None = None
    """Decides what must be decided before any task is resumed."""
    prepare: Hook | None = None
    """Prepares what must be ready before the first request."""
    finish: Hook | None = None
    """Ends what must end before the process does, within seconds."""
    companion: Hook | None = None
    """Runs beside the requests of each serving process until that ends; begun again after a failure."""
