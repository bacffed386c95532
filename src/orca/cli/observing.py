"""How services are now, in a word each; what is wanted of them is another matter."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from orca.cli.client import Client, segment
from orca.cli.failures import CommandFailed
from orca.cli.following import FINISHED

_AT_ONCE = 8
NOT_DEPLOYED = "not deployed"


def observe(client: Client, services: Sequence[dict[str, Any]]) -> list[str]:
    """The state of each, several asked at once. What cannot be seen, because Docker is away, is `unknown`."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda service: _observe(client, service), services))


def find_newest(client: Client, service_id: str) -> dict[str, Any] | None:
    """The newest deployment of a service."""
    items = client.get(f"/services/{segment(service_id)}/deployments", limit=1)["items"]
    return items[0] if items else None


def count_running(client: Client, service_id: str) -> int:
    """How many of its containers run now. Raises CommandFailed when Docker is away."""
    containers = client.get(f"/services/{segment(service_id)}/containers")
    return sum(each["state"] == "running" for each in containers)


def _observe(client: Client, service: dict[str, Any]) -> str:
    try:
        newest = find_newest(client, service["id"])
        if newest is None:
            return NOT_DEPLOYED
        if service["desired_state"] == "stopped" and newest["state"] in FINISHED:
            return "stopped"
        running = count_running(client, service["id"])
    except CommandFailed:
        return "unknown"
    if running:
        return "running" if running >= service["replicas"] else f"{running} of {service['replicas']} run"
    if newest["state"] not in FINISHED:
        return "deploying"
    return "failed" if newest["state"] == "failed" else "nothing runs"
