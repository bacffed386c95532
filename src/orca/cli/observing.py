"""What a service has of deployments and containers, where a command needs more than its state."""

from typing import Any

from orca.cli.client import Client, segment


def find_newest(client: Client, service_id: str) -> dict[str, Any] | None:
    """Return the newest deployment of a service."""
    items = client.get(f"/services/{segment(service_id)}/deployments", limit=1)["items"]
    return items[0] if items else None


def count_running(client: Client, service_id: str) -> int:
    """Return how many of its containers run now. Raises CommandFailed while Docker is unreachable."""
    containers = client.get(f"/services/{segment(service_id)}/containers")
    return sum(container["state"] == "running" for container in containers)
