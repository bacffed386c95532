"""How long a deployment will probably take: as long as the last ones of its service that succeeded."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.deployments.models import Deployment, DeploymentStep
from orca.features.deployments.rules import ACTIVE

RUNS = 5


@dataclass(frozen=True, slots=True)
class Usual:
    """How long each step took in the last successful deployments of the same kind: the median."""

    runs: int
    seconds: Mapping[str, float]

    def total(self, steps: Sequence[DeploymentStep]) -> float:
        """Return how long these steps take in all."""
        return sum(self.seconds.get(step.name, 0.0) for step in steps)

    def left(self, steps: Sequence[DeploymentStep], at: datetime) -> float:
        """Return how long what is left of them takes."""
        return sum(self._left(step, at) for step in steps if step.state in {"waiting", "running"})

    def _left(self, step: DeploymentStep, at: datetime) -> float:
        seconds = self.seconds.get(step.name, 0.0)
        return max(0.0, seconds - (at - step.started_at).total_seconds()) if step.started_at else seconds


async def read_usual(session: AsyncSession, row: Deployment) -> Usual | None:
    """Return what an unfinished deployment will probably take; None when none has succeeded yet."""
    if row.state not in ACTIVE:
        return None
    last = select(Deployment.id).where(
        Deployment.service_id == row.service_id, Deployment.kind == row.kind, Deployment.state == "succeeded"
    )
    last = last.order_by(Deployment.number.desc()).limit(RUNS)
    query = select(DeploymentStep).where(DeploymentStep.deployment_id.in_(last), DeploymentStep.state == "succeeded")
    took, runs = defaultdict[str, list[float]](list), set[str]()
    for step in await session.scalars(query):
        if step.started_at and step.finished_at:
            took[step.name].append((step.finished_at - step.started_at).total_seconds())
            runs.add(step.deployment_id)
    return Usual(len(runs), {name: median(seconds) for name, seconds in took.items()}) if runs else None
