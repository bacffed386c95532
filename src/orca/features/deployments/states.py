"""The state of services: what should run, by the database, compared with what runs on the engines."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import OrcaError
from orca.features.deployments import queries, rules
from orca.features.deployments.observer import Survey, survey
from orca.features.deployments.rules import ReplicaCounts, ServiceState, WorkloadRef
from orca.features.services.models import Service
from orca.resources import Resources
from orca.sdk.workloads import Replica
from orca.web.guard import Scope

Look = Callable[[Resources], Awaitable[Survey]]
_PAGE = 200
"""The most services on a page of a list."""


@dataclass(frozen=True, slots=True)
class RunningService:
    """A service as it runs now."""

    state: ServiceState
    workload: WorkloadRef | None
    """What should run: the live release's."""
    replicas: tuple[Replica, ...]
    """All of the service by name, also those that are being started or retired."""
    observed: ReplicaCounts | None
    """None when an engine could not be asked and nothing of the workload was found on the others."""
    problem: str
    """Why an engine could not be asked."""

    @property
    def own(self) -> list[Replica]:
        """The replicas of the workload."""
        return [replica for replica in self.replicas if self.workload is not None and self.workload.includes(replica)]


async def observe_services(
    session: AsyncSession, scope: Scope, resources: Resources, desired: Mapping[str, str], *, look: Look = survey
) -> dict[str, RunningService]:
    """Observe services, given by id with their desired state: a few queries and one call of each engine.

    The session is closed before the engines are asked. For many services, replicas are surveyed: to observe each one
    closely may be a call of the engine for each. `look`: `survey_recently` for pages, which share a survey.
    """
    is_one = len(desired) == 1 and look is survey
    is_page = len(desired) <= _PAGE  # longer lists may exceed the parameters that a database takes
    chosen = Service.id.in_(desired) if is_page else Service.team_id == scope.team_id
    workloads = await queries.list_workloads(session, chosen)
    busy, failed = await queries.list_busy_services(session, scope), await queries.list_never_live(session, scope)
    system_id = await queries.find_system(session, next(iter(desired))) if is_one else ""
    await session.close()
    found = await (_observe_one(resources, system_id, next(iter(desired))) if is_one else look(resources))
    problem, seen = found.problem, {}
    for service_id, wish in desired.items():
        workload = workloads.get(service_id)
        own = sorted(found.replicas.get(service_id, ()), key=lambda replica: replica.name)
        is_there = workload is not None and any(workload.includes(replica) for replica in own)
        observed = None if problem and not is_there else observe(own, workload)
        state = rules.state_of(
            desired=wish, is_busy=service_id in busy, has_failed=service_id in failed,
            wanted=workload.replicas if workload else None, observed=observed,
        )  # fmt: skip
        seen[service_id] = RunningService(state, workload, tuple(own), observed, problem)
    return seen


async def _observe_one(resources: Resources, system_id: str, service_id: str) -> Survey:
    try:
        engine = await resources.systems.engine(system_id)
        return Survey({service_id: await engine.observe({"orca.service": service_id})}, "")
    except OrcaError as error:
        return Survey({}, error.message)


def observe(replicas: Sequence[Replica], workload: WorkloadRef | None) -> ReplicaCounts:
    """Count replicas by condition."""
    own = [replica for replica in replicas if workload is not None and workload.includes(replica)]
    crashing = sum(rules.is_crashing(replica, now()) for replica in own)
    return ReplicaCounts(sum(replica.state == "running" for replica in own), crashing)
