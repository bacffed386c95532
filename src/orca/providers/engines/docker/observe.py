"""What the Engine API says, in the words of orca.sdk.engines. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import Any, Literal, get_args

from orca.kit.text import clean_output, shorten
from orca.providers.engines.docker.labels import visible_labels
from orca.providers.engines.docker.references import find_digest
from orca.sdk.engines import Container, ContainerState, Image

_STATES: Mapping[str, ContainerState] = {state: state for state in get_args(ContainerState)} | {"removing": "dead"}
_HEALTH: Mapping[str, Literal["starting", "healthy", "unhealthy"]] = {
    "starting": "starting",
    "healthy": "healthy",
    "unhealthy": "unhealthy",
}
_STEADY = re.compile(r"Up (?:About an? |\d+ )(?:minute|hour|day|week|month|year)")
_ENDED = {"exited", "dead", "restarting"}


def read_container(facts: Mapping[str, Any]) -> Container:
    """From `GET /containers/{id}/json`."""
    state = facts["State"]
    status = _STATES.get(state["Status"], "unknown")
    health = (state.get("Health") or {}).get("Status", "none")
    started_at = read_instant(state["StartedAt"])
    address = find_address(facts["NetworkSettings"]["Networks"], facts["HostConfig"]["NetworkMode"])
    return Container(
        id=facts["Id"],
        name=facts["Name"].removeprefix("/"),
        image_id=facts["Image"],
        labels=visible_labels(facts["Config"]["Labels"] or {}),
        state=status,
        address=str(address) if address else None,
        exit_code=_exit_code(status, state["ExitCode"], ever_started=started_at is not None),
        restarts=facts["RestartCount"],
        out_of_memory=state["OOMKilled"],
        started_at=started_at,
        health=_HEALTH.get(health, "none"),
        health_output=_last_output(state.get("Health")),
        health_test=read_health_test(facts["Config"]),
        finished_at=read_instant(state["FinishedAt"]),
    )


def _exit_code(status: ContainerState, code: int, *, ever_started: bool) -> int | None:
    """What a process ended with, or why it could not begin (126 and 127); 0 of one that never ran says nothing."""
    if status in _ENDED and ever_started:
        return code
    return code or None if status == "created" else None


def _last_output(health: Mapping[str, Any] | None) -> str:
    runs = (health or {}).get("Log") or ()
    return shorten(clean_output(str(runs[-1].get("Output") or ""), colours=False).strip(), 1000) if runs else ""


def read_health_test(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The HEALTHCHECK of an image as a command; empty when there is none."""
    kind, *words = (config.get("Healthcheck") or {}).get("Test") or ("NONE",)
    if kind == "CMD-SHELL":
        return *(config.get("Shell") or ("/bin/sh", "-c")), *words
    return tuple(words) if kind == "CMD" else ()


def is_steady(listed: Mapping[str, Any]) -> bool:
    """Whether an entry of `GET /containers/json` has run for a minute: then the entry tells enough."""
    return listed["State"] == "running" and _STEADY.match(listed["Status"]) is not None


def read_steady(listed: Mapping[str, Any]) -> Container:
    """From an entry that is steady; what it does not tell is left out."""
    address = find_address(listed["NetworkSettings"]["Networks"], listed["HostConfig"]["NetworkMode"])
    return Container(
        id=listed["Id"], name=listed["Names"][0].removeprefix("/"), image_id=listed["ImageID"],
        labels=visible_labels(listed["Labels"] or {}), state="running", address=str(address) if address else None,
        exit_code=None, restarts=0, out_of_memory=False, started_at=None,
    )  # fmt: skip


def find_address(networks: Mapping[str, Any] | None, name: str) -> IPv4Address | None:
    """The address in one network: the one that was asked for, which is there also while the container stands still."""
    endpoint = (networks or {}).get(name)
    if endpoint is None:
        return None
    text = (endpoint.get("IPAMConfig") or {}).get("IPv4Address") or endpoint.get("IPAddress")
    return IPv4Address(text) if text else None


def read_image(facts: Mapping[str, Any], reference: str | None = None) -> Image:
    """From `GET /images/{name}/json`; `reference` says which repository's digest is meant."""
    config = facts.get("Config") or {}
    ports = (entry.partition("/") for entry in config.get("ExposedPorts") or {})
    return Image(
        id=facts["Id"],
        tags=tuple(facts.get("RepoTags") or ()),
        digest=find_digest(facts.get("RepoDigests") or (), reference),
        size_bytes=facts["Size"],
        created_at=read_instant(facts.get("Created") or "") or datetime.fromtimestamp(0, UTC),
        labels=dict(config.get("Labels") or {}),
        architecture=facts.get("Architecture") or "",
        ports=tuple(sorted(int(port) for port, _, protocol in ports if protocol in {"", "tcp"})),
    )


def read_instant(text: str) -> datetime | None:
    """`2026-11-21T02:57:42.966006601Z`; the year 1 is how Go says never."""
    if not text or text.startswith("0001-"):
        return None
    return datetime.fromisoformat(text)


def read_usage(sample: Mapping[str, Any]) -> tuple[int, datetime, int] | None:
    """CPU nanoseconds so far, when that was, and bytes of memory; None when the container does not run."""
    at = read_instant(sample["read"])
    memory = sample.get("memory_stats") or {}
    if at is None or "usage" not in memory:
        return None
    details = memory.get("stats") or {}
    # Pages of files count as used but go at once when memory is needed (cgroup v1 and v2 name them differently).
    reclaimable = details.get("total_inactive_file", details.get("inactive_file", 0))
    return sample["cpu_stats"]["cpu_usage"]["total_usage"], at, max(0, memory["usage"] - reclaimable)
