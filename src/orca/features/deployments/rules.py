"""Pure rules of deployments: their steps, their limits, and the state of a service."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from orca.sdk.workloads import Replica

Kind = Literal["deploy", "build", "rollback", "restart", "scale", "start", "stop", "remove"]
Trigger = Literal["page", "api", "cli", "push", "system"]
"""What asked for a deployment."""
State = Literal["queued", "running", "succeeded", "failed", "cancelled", "superseded"]
ServiceState = Literal[
    "running", "degraded", "crash-looping", "crashed", "down", "deploying", "stopped", "failed", "empty", "unknown"
]
Action = Literal["change-setting", "set-variable", "send-source", "see-credentials", "free-disk", "deploy-again"]
"""What the hint of a failed deployment may tell people to do."""

FINISHED: Final = frozenset({"succeeded", "failed", "cancelled", "superseded"})
ENDED: Final = {
    "succeeded": "it succeeded",
    "failed": "it failed",
    "cancelled": "it was cancelled",
    "superseded": "a newer one took its place",
}
ACTIVE: Final = frozenset({"queued", "running"})
TRANSITIONS: Final[dict[str, frozenset[str]]] = {
    "queued": frozenset({"running", "cancelled", "superseded", "failed"}),
    "running": frozenset({"succeeded", "failed", "cancelled"}),
}

_BUILDS = ("fetch_source", "build_image")
_GOES_LIVE = ("start_release", "check_health", "route_traffic", "retire_previous")
_TAKING_DOWN = ("route_traffic", "retire_previous")
_NEW_INTENT: Final = frozenset({"deploy", "rollback", "stop", "remove"})
_SAME_RELEASE: Final = frozenset({"restart", "scale", "start"})
REUSES: Final = _SAME_RELEASE | {"rollback"}
"""Kinds that make an existing release live."""
TAKES_DOWN: Final = frozenset({"stop", "remove"})

STEP_SECONDS: Final = {
    "fetch_source": 900.0,
    "build_image": 45_000.0,
    "run_release_command": 1800.0,
    "stop_previous": 900.0,
    "start_release": 300.0,
    "check_health": 4000.0,
    "route_traffic": 120.0,
    "retire_previous": 900.0,
}
"""Deadlines, in seconds; builds and health checks have tighter ones of their own inside."""


def steps_of(kind: str, *, has_image: bool, has_release_command: bool, recreates: bool) -> tuple[str, ...]:
    """The steps of a deployment, in order."""
    build = () if has_image else _BUILDS
    if kind == "build":
        return build
    if kind in TAKES_DOWN:
        return _TAKING_DOWN
    migrate = ("run_release_command",) if has_release_command and kind == "deploy" else ()
    stop = ("stop_previous",) if recreates and kind != "scale" else ()
    return (*build, *stop, *migrate, *_GOES_LIVE)


def differs(image: str, config: Mapping[str, Any], other_image: str, other_config: Mapping[str, Any]) -> bool:
    """Whether two releases differ in more than their number of replicas."""
    return image != other_image or {**config, "replicas": 0} != {**other_config, "replicas": 0}


def supersedes(newer: str, older: str) -> bool:
    """Whether a newer request makes a queued older one pointless.

    A restart must not swallow new code that still waits; new code makes a waiting restart pointless. A build is
    wanted for itself, and nothing but the end of its service makes it pointless.
    """
    if older == "build":
        return newer == "remove"
    if older == "remove" or newer == "build":
        return False
    return newer in _NEW_INTENT or (newer in _SAME_RELEASE and older in _SAME_RELEASE)


def workload_name(workload_id: str) -> str:
    """Unique on the engine, and the same each time a step is repeated."""
    return f"orca-{workload_id}"


@dataclass(frozen=True, slots=True)
class WorkloadRef:
    """The replicas that a deployment wants. Scaling keeps the id, so that running replicas still belong to it."""

    id: str
    """Id of the deployment that made the first of them: their label `orca.deployment`."""
    replicas: int

    def includes(self, replica: Replica) -> bool:
        """Whether a container is one of these replicas."""
        is_of_it = replica.labels.get("orca.deployment") == self.id
        return is_of_it and replica.index is not None and replica.index < self.replicas


def maker_of(replica: Replica) -> str:
    """Return the deployment that made a container: for one added by scaling, not the deployment of its workload."""
    return replica.labels.get("orca.scaled-by") or replica.labels.get("orca.deployment", "")


def image_tag(service_id: str, build_id: str) -> str:
    """Return the tag that the builder gives to the image."""
    return f"orca/{service_id}:{build_id}"


@dataclass(frozen=True, slots=True)
class ReplicaCounts:
    """How many replicas of a live release run or crash. Callers pass None when the engine could not be asked."""

    running: int = 0
    crashing: int = 0


CRASHING_RESTARTS: Final = 3
STEADY_AFTER: Final = timedelta(minutes=1)
"""A process that has run for so long is not in a crash loop, however often it crashed before."""


def is_crashing(replica: Replica, at: datetime) -> bool:
    """Whether a container keeps crashing; not any more once it has run for `STEADY_AFTER`."""
    if replica.state == "restarting":
        return True
    is_young = replica.started_at is None or replica.started_at > at - STEADY_AFTER
    return replica.restarts >= CRASHING_RESTARTS and is_young


def is_running(replica: Replica, at: datetime) -> bool:
    """Whether its process runs and does not keep crashing."""
    return replica.state == "running" and not is_crashing(replica, at)


def was_stopped(replica: Replica, restart: str) -> bool:
    """Whether a container was stopped from outside: its restart policy would have restarted it after an exit.

    A user stopped it, or the engine did: an engine that was killed does not restart running containers at its start.
    """
    return replica.state in {"created", "exited"} and restart in {"always", "unless-stopped"}


def was_stopped_by(began: datetime | None, replica: Replica) -> bool:
    """Whether a container was stopped by a deployment that began at `began` to stop the old release.

    False for one that had exited by itself before, and for one that was started again since.
    """
    if began is None or replica.started_at is None or replica.finished_at is None:
        return False
    return replica.state == "exited" and replica.started_at < began <= replica.finished_at


def state_of(
    *, desired: str, is_busy: bool, has_failed: bool, wanted: int | None, observed: ReplicaCounts | None
) -> ServiceState:
    """Return the state of a service as lists show it. `wanted` is None while there is no live release.

    `has_failed`: a deployment of it failed; that counts as long as none was ever live.
    """
    if is_busy:
        return "deploying"
    if desired == "stopped":
        return "stopped"
    if wanted is None:
        return "failed" if has_failed else "empty"
    return "unknown" if observed is None else _condition(wanted, observed)


def _condition(wanted: int, observed: ReplicaCounts) -> ServiceState:
    if observed.crashing:
        return "crash-looping"
    if observed.running >= max(wanted, 1):
        return "running"
    if wanted == 0:
        return "down"
    return "degraded" if observed.running else "crashed"


@dataclass(frozen=True, slots=True)
class KeptImage:
    """An image of a service as the retention rule sees it, newest first in lists."""

    image: str
    size_bytes: int
    is_pinned: bool


def images_to_remove(images: Sequence[KeptImage], budget_bytes: int) -> list[str]:
    """Return the oldest images that are not pinned, until the rest fits the budget."""
    total = sum(image.size_bytes for image in images)
    chosen: list[str] = []
    for image in reversed(images):
        if total <= budget_bytes:
            break
        if not image.is_pinned:
            chosen.append(image.image)
            total -= image.size_bytes
    return chosen


def needed_disk_bytes(last_image_bytes: int) -> int:
    """Return the disk space a build is expected to need: twice the last image, at least 256 MiB."""
    return max(2 * last_image_bytes, 256 << 20)


@dataclass(frozen=True, slots=True)
class FinishedDeployment:
    """A deployment of a service, as the retention rule reads it."""

    id: str
    number: int
    kind: str
    state: str
    finished_at: datetime | None
    release_id: str | None
    build_id: str | None


def choose_forgotten(
    past: Sequence[FinishedDeployment], needed: Collection[str], offered: Collection[tuple[str, str | None]],
    newest: int, before: datetime,
) -> list[str]:  # fmt: skip
    """Return the ids of deployments of a service that may be deleted, oldest first.

    Those in `needed` stay, the `newest` finished ones, those that ended after `before`, and for each release in
    `offered` (id and build) the one that made it and those that froze its settings.
    """
    finished = sorted(
        (deployment for deployment in past if deployment.state in FINISHED), key=lambda deployment: deployment.number
    )
    kept = {*needed, *(earlier.id for earlier in finished[len(finished) - min(newest, len(finished)) :])}
    for release_id, build_id in offered:
        maker = next((earlier for earlier in finished if earlier.release_id == release_id), None)
        if maker is not None:
            froze = [earlier for earlier in finished if earlier.kind == "deploy" and earlier.build_id == build_id]
            again = [earlier for earlier in finished if earlier.kind == "deploy" and earlier.release_id == release_id]
            first = [earlier for earlier in froze if earlier.number <= maker.number]
            kept.update(earlier.id for earlier in [maker, *first[-1:], *again[-1:]])
    return [
        earlier.id for earlier in finished
        if earlier.id not in kept and earlier.finished_at is not None and earlier.finished_at < before
    ]  # fmt: skip
