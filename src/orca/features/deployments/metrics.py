"""Deployments and containers as numbers for Prometheus."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, get_args

from prometheus_client import Metric
from sqlalchemy import func, select

from orca.db import now
from orca.events import Event
from orca.features.deployments.models import Deployment
from orca.features.deployments.rules import ACTIVE, Kind
from orca.resources import Resources
from orca.sdk.workloads import ProcessState, Replica
from orca.systems import LOCAL
from orca.web.metrics import Measure, counter, gauge, number

_FINISHED: Final = "DeploymentFinished"
_RESULTS: Final = ("succeeded", "failed", "cancelled")
_AT_ONCE: Final = 5_000


class DeploymentCounts:
    """Counts deployments that ended since the first reading, in whichever worker, and those that have not ended."""

    def __init__(self) -> None:
        self._counted = Counter({(kind, result): 0 for kind in get_args(Kind) for result in _RESULTS})
        self._seq: int | None = None

    async def look(self, resources: Resources) -> Sequence[Metric]:
        """Continue from the last event that was counted."""
        async with resources.db.read() as session:
            last = await session.scalar(select(func.max(Event.seq))) or 0
            since = last if self._seq is None else self._seq
            ended = select(Event.seq, Event.payload).where(Event.type == _FINISHED, Event.seq > since)
            rows = (await session.execute(ended.order_by(Event.seq).limit(_AT_ONCE))).all()
            open_ones = select(Deployment.state, func.count(), func.min(Deployment.created_at))
            states = await session.execute(open_ones.where(Deployment.state.in_(ACTIVE)).group_by(Deployment.state))
            unfinished = {state: (found, began) for state, found, began in states}
        self._seq = rows[-1].seq if len(rows) == _AT_ONCE else max(last, since)
        self._counted.update((str(payload["kind"]), str(payload["state"])) for _, payload in rows)
        queued = unfinished.get("queued")
        age = max((now() - queued[1]).total_seconds(), 0.0) if queued else 0.0
        active = {state: unfinished.get(state, (0, None))[0] for state in sorted(ACTIVE)}
        return [
            counter(
                "orc_deployments", "Deployments that began and ended since the first look of this process.",
                ["kind", "result"], self._counted,
            ),
            gauge("orc_deployments_active", "Deployments that have not ended.", ["state"], active),
            number("orc_deployment_queue_age_seconds", "How long the oldest queued one has waited.", age),
        ]  # fmt: skip


async def measure_containers(resources: Resources) -> Sequence[Metric]:
    """Measure the replicas of all services, as the engine reports them."""

    async def look(system_id: str) -> list[Replica]:
        engine = await resources.systems.engine(system_id)
        return await engine.observe({"orca.instance": resources.instance})

    by_system, failed = await resources.systems.try_each(look)
    if LOCAL in failed:
        return [number("orc_engine_up", "Whether the engine answers.", 0)]
    found = [container for containers in by_system.values() for container in containers]
    states = Counter(dict.fromkeys(get_args(ProcessState), 0))
    states.update(replica.state for replica in found)
    restarts, killed = sum(replica.restarts for replica in found), sum(replica.out_of_memory for replica in found)
    unhealthy = sum(replica.health == "unhealthy" for replica in found)
    return [
        number("orc_engine_up", "Whether the engine answers.", 1),
        gauge("orc_containers", "Replicas of services.", ["state"], states),
        number("orc_container_restarts", "Restarts of the replicas that are there now.", restarts),
        number("orc_containers_out_of_memory", "Replicas that ran out of memory last.", killed),
        number("orc_containers_unhealthy", "Replicas whose image's own health check fails.", unhealthy),
    ]


def make_measures() -> tuple[Measure, ...]:
    """Return the measures of this feature, with nothing counted yet."""
    return (
        Measure("deployments", DeploymentCounts().look),
        Measure("containers", measure_containers, fresh_seconds=14.0),  # one call per container
    )
