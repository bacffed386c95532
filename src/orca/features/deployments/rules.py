"""What a deployment is allowed to do, and what it consists of: pure decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from orca.sdk.engines import Container

Kind = Literal["deploy", "build", "rollback", "restart", "scale", "start", "stop", "remove"]
State = Literal["queued", "running", "succeeded", "failed", "cancelled", "superseded"]

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
"""Kinds that make a release live that is there already."""
TAKES_DOWN: Final = frozenset({"stop", "remove"})

STEP_SECONDS: Final = {
    "fetch_source": 900.0,
    "build_image": 90_000.0,
    "run_release_command": 1800.0,
    "stop_previous": 900.0,
    "start_release": 300.0,
    "check_health": 4000.0,
    "route_traffic": 120.0,
    "retire_previous": 900.0,
}
"""Deadlines, in seconds; builds, which may wait for others, and health checks have tighter ones of their own inside."""


def steps_of(kind: str, *, has_image: bool, has_release_command: bool, recreates: bool) -> tuple[str, ...]:
    """The steps of a deployment, in order."""
    build = () if has_image else _BUILDS
    if kind == "build":
        return build
    if kind in TAKES_DOWN:
        return _TAKING_DOWN
    migrate = ("run_release_command",) if has_release_command and kind == "deploy" else ()
    stop = ("stop_previous",) if recreates else ()
    return (*build, *stop, *migrate, *_GOES_LIVE)


def differs(image: str, config: Mapping[str, Any], other_image: str, other_config: Mapping[str, Any]) -> bool:
    """Whether two releases are more than one release at two scales."""
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


def container_name(deployment_id: str, replica: int) -> str:
    """Unique on the engine, and the same each time a step is repeated."""
    return f"orca-{deployment_id}-{replica}"


def network_name(environment_id: str) -> str:
    """Services of one environment see each other; nobody else does."""
    return f"orca-{environment_id}"


def image_tag(service_id: str, build_id: str) -> str:
    """What the builder calls the image it made."""
    return f"orca/{service_id}:{build_id}"


@dataclass(frozen=True, slots=True)
class Observed:
    """How many replicas of a live release were seen in which condition; None when nobody could look."""

    running: int = 0
    crashing: int = 0


CRASHING_RESTARTS: Final = 3
STEADY_AFTER: Final = timedelta(minutes=1)
"""A process that has run for so long is not in a crash loop, however often it crashed before."""


def was_stopped(container: Container, restart: str) -> bool:
    """Whether a container stands still that its policy would have started again, had its process only ended.

    Somebody stopped it, or the engine did: one that is killed forgets to start what it finds running at its next start.
    """
    return container.state in {"created", "exited"} and restart in {"always", "unless-stopped"}


def was_stopped_by(began: datetime | None, container: Container) -> bool:
    """Whether a container stands still because of a deployment that stopped the old release from this moment on.

    One that had ended by itself before, and one that was started again since, are not meant.
    """
    if began is None or container.started_at is None or container.finished_at is None:
        return False
    return container.state == "exited" and container.started_at < began <= container.finished_at


def state_of(*, desired: str, is_busy: bool, has_failed: bool, wanted: int | None, observed: Observed | None) -> str:
    """The one word a list shows for a service. `wanted` is None while there is no live release.

    `has_failed`: a deployment of it failed; that counts as long as none was ever live.
    """
    if is_busy:
        return "deploying"
    if desired == "stopped":
        return "stopped"
    if wanted is None:
        return "failed" if has_failed else "empty"
    return "unknown" if observed is None else _condition(wanted, observed)


def _condition(wanted: int, observed: Observed) -> str:
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
    """The oldest images that nobody pinned, until the rest fits the budget."""
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
    """What a build is expected to take: twice the last image, at least 256 MiB."""
    return max(2 * last_image_bytes, 256 << 20)
