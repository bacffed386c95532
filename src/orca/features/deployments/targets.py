"""Where the replicas of a release are reached: what the routes of its service lead to. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from orca.features.routing.schemas.routes import TargetIn
from orca.sdk.workloads import Replica


def targets_of(config: Mapping[str, Any], replicas: Iterable[Replica], system_id: str) -> list[TargetIn]:
    """Return the target of each replica of a release: its address, and the ports of the release's configuration."""
    ports = [{"name": port["name"], "port": port["port"], "public": port["public"]} for port in config["ports"]]
    return [
        TargetIn(replica=replica.index, address=replica.address, ports=ports, system=system_id)
        for replica in sorted(replicas, key=lambda replica: replica.name)
        if replica.address is not None and replica.index is not None
    ]
