"""Translates responses of the Engine API to the types of orca.sdk.engines. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import Any, Literal, get_args

from orca.kit.text import clean_output, shorten
from orca.providers.engines.docker.labels import visible_labels
from orca.providers.engines.docker.references import find_digest
from orca.sdk.containers import Container, Image
from orca.sdk.ports import read_port
from orca.sdk.workloads import ProcessState

_STATES: Mapping[str, ProcessState] = {state: state for state in get_args(ProcessState)} | {"removing": "dead"}
_HEALTH: Mapping[str, Literal["starting", "healthy", "unhealthy"]] = {
    "starting": "starting",
    "healthy": "healthy",
    "unhealthy": "unhealthy",
}
_STEADY = re.compile(r"Up (?:About an? |\d+ )(?:minute|hour|day|week|month|year)")
HOST_NETWORK = "host"
"""The mode of containers that use the network of the engine's machine."""
_LOOPBACK = IPv4Address("127.0.0.1")
_ENDED = {"exited", "dead", "restarting"}


def read_container(facts: Mapping[str, Any]) -> Container:
    """Parse the response of `GET /containers/{id}/json`."""
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


def _exit_code(status: ProcessState, code: int, *, ever_started: bool) -> int | None:
    """Return the exit code, also 126 and 127 of a failed start; 0 is meaningless if the container never ran."""
    if status in _ENDED and ever_started:
        return code
    return code or None if status == "created" else None


def _last_output(health: Mapping[str, Any] | None) -> str:
    runs = (health or {}).get("Log") or ()
    return shorten(clean_output(str(runs[-1].get("Output") or ""), colours=False).strip(), 1000) if runs else ""


def read_health_test(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the HEALTHCHECK of an image as a command; empty when there is none."""
    kind, *words = (config.get("Healthcheck") or {}).get("Test") or ("NONE",)
    if kind == "CMD-SHELL":
        return *(config.get("Shell") or ("/bin/sh", "-c")), *words
    return tuple(words) if kind == "CMD" else ()


def is_steady(listed: Mapping[str, Any]) -> bool:
    """Whether the container of a `GET /containers/json` entry has run for a minute: then no inspection is needed."""
    return listed["State"] == "running" and _STEADY.match(listed["Status"]) is not None


def read_steady(listed: Mapping[str, Any]) -> Container:
    """Parse a list entry of a steady container; fields that only an inspection has are left out."""
    address = find_address(listed["NetworkSettings"]["Networks"], listed["HostConfig"]["NetworkMode"])
    return Container(
        id=listed["Id"], name=listed["Names"][0].removeprefix("/"), image_id=listed["ImageID"],
        labels=visible_labels(listed["Labels"] or {}), state="running", address=str(address) if address else None,
        exit_code=None, restarts=0, out_of_memory=False, started_at=None,
    )  # fmt: skip


def find_address(networks: Mapping[str, Any] | None, name: str) -> IPv4Address | None:
    """Return the address in one network: the configured one, which is also known while the container is stopped."""
    if name == HOST_NETWORK:
        return _LOOPBACK
    endpoint = (networks or {}).get(name)
    if endpoint is None:
        return None
    text = (endpoint.get("IPAMConfig") or {}).get("IPv4Address") or endpoint.get("IPAddress")
    return IPv4Address(text) if text else None


def read_image(facts: Mapping[str, Any], reference: str | None = None) -> Image:
    """Parse the response of `GET /images/{name}/json`; `reference` selects the repository of the digest.

    An image's metadata is written by its author, and the engine does not validate it. Invalid values are left out, so
    that one bad image does not prevent the others from being listed.
    """
    config = facts.get("Config") or {}
    ports = (entry.partition("/") for entry in config.get("ExposedPorts") or {})
    numbers = (read_port(port) for port, _, protocol in ports if protocol in {"", "tcp"})
    return Image(
        id=facts["Id"],
        tags=tuple(facts.get("RepoTags") or ()),
        digest=find_digest(facts.get("RepoDigests") or (), reference),
        size_bytes=facts["Size"],
        created_at=_read_claimed(facts.get("Created") or "") or datetime.fromtimestamp(0, UTC),
        labels=dict(config.get("Labels") or {}),
        architecture=facts.get("Architecture") or "",
        ports=tuple(sorted(number for number in numbers if number)),
        named_port=next(
            (read_port(variable[5:]) for variable in config.get("Env") or () if variable.startswith("PORT=")), None
        ),
    )


def _read_claimed(text: str) -> datetime | None:
    try:
        return read_instant(text)
    except ValueError:  # Go's time range is larger than Python's
        return None


def read_instant(text: str) -> datetime | None:
    """Parse an instant like `2026-11-21T02:57:42.966006601Z`; the year 1 is Go's zero time and means never."""
    if not text or text.startswith("0001-"):
        return None
    return datetime.fromisoformat(text)


def read_usage(sample: Mapping[str, Any]) -> tuple[int, datetime, int] | None:
    """Return CPU nanoseconds used so far, the time of the sample, and bytes of memory; None if not running."""
    at = read_instant(sample["read"])
    memory = sample.get("memory_stats") or {}
    if at is None or "usage" not in memory:
        return None
    details = memory.get("stats") or {}
    # Page cache counts as used but is freed at once when memory is needed (cgroup v1 and v2 name it differently).
    reclaimable = details.get("total_inactive_file", details.get("inactive_file", 0))
    return sample["cpu_stats"]["cpu_usage"]["total_usage"], at, max(0, memory["usage"] - reclaimable)
