"""The status of services for programs: the state as pages show it, its reason, and since when.

A few queries and one call of the engine, for any number of services.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.deployments import rules
from orca.features.deployments.models import Deployment, LiveRelease, Release
from orca.features.deployments.schemas import ServiceStatusOut
from orca.features.deployments.states import observe_services
from orca.features.routing.queries import list_urls_by_service
from orca.features.services.models import Service
from orca.resources import Resources
from orca.sdk.workloads import Replica
from orca.web.guard import Scope


class _Live(NamedTuple):
    number: int
    since: datetime


async def read_statuses(
    session: AsyncSession, scope: Scope, resources: Resources, services: Sequence[Service]
) -> list[ServiceStatusOut]:
    """Return the status of each service. The session is closed before the engine is asked."""
    ids = [service.id for service in services]
    latest = await _list_latest(session, ids)
    live = await _list_live(session, ids)
    urls = await list_urls_by_service(session, resources.settings, ids)
    seen = await observe_services(session, scope, resources, {listed.id: listed.desired_state for listed in services})
    statuses = []
    for service in services:
        found, deployment, release = seen[service.id], latest.get(service.id), live.get(service.id)
        statuses.append(
            ServiceStatusOut(
                service_id=service.id, state=found.state,
                reason=_reason(found.state, deployment, found.own, found.problem),
                since=_since(found.state, service, deployment, release, found.own),
                release=release.number if release else None, running=found.observed.running if found.observed else None,
                replicas=found.workload.replicas if found.workload else service.replicas,
                deployment_id=deployment.id if deployment else None, urls=urls[service.id],
            )
        )  # fmt: skip
    return statuses


async def _list_latest(session: AsyncSession, service_ids: Sequence[str]) -> dict[str, Deployment]:
    """Map service ids to the deployment that decides: one that has not ended, or else the newest one."""
    is_active = Deployment.state.in_(rules.ACTIVE)
    chosen = func.coalesce(func.max(Deployment.seq).filter(is_active), func.max(Deployment.seq))
    newest = select(chosen).where(Deployment.service_id.in_(service_ids)).group_by(Deployment.service_id)
    rows = await session.scalars(select(Deployment).where(Deployment.seq.in_(newest)))
    return {deployment.service_id: deployment for deployment in rows}


async def _list_live(session: AsyncSession, service_ids: Sequence[str]) -> dict[str, _Live]:
    query = select(LiveRelease.service_id, Release.number, LiveRelease.since)
    query = query.join(Release, Release.id == LiveRelease.release_id).where(LiveRelease.service_id.in_(service_ids))
    return {service_id: _Live(number, since) for service_id, number, since in await session.execute(query)}


def _reason(state: str, latest: Deployment | None, replicas: Sequence[Replica], problem: str) -> str:
    """Say in a sentence why a service is in this state; empty where the state says it all."""
    ended = [replica for replica in replicas if replica.state != "running" or replica.restarts]
    code = next((replica.exit_code for replica in ended if replica.exit_code is not None), None)
    exit_code = "" if code is None else f" with exit code {code}"
    reasons = {
        "deploying": f"Deployment {latest.number} is {latest.state}." if latest else "",
        "failed": latest.reason if latest else "",
        "empty": "Nothing was deployed yet.",
        "unknown": problem,
        "degraded": f"{sum(replica.state == 'running' for replica in replicas)} of its replicas run.",
        "crashed": f"Its process ended{exit_code}." if ended else "Its containers are gone.",
        "crash-looping": f"Its process ends again and again{exit_code}.",
        "down": "It is scaled to 0 replicas.",
    }
    if any(replica.out_of_memory for replica in ended) and state in {"crashed", "crash-looping", "degraded"}:
        return f"{reasons[state]} It needed more memory than its limit."
    return reasons.get(state, "")


def _since(
    state: str, service: Service, latest: Deployment | None, live: _Live | None, replicas: Sequence[Replica]
) -> datetime | None:
    """Return since when a service has been in this state, as far as it is known."""
    if state == "deploying" and latest:
        return latest.created_at
    if state in {"failed", "stopped"} and latest:
        return latest.finished_at
    if state == "empty":
        return service.created_at
    if state in {"crashed", "crash-looping"}:
        return max((replica.finished_at for replica in replicas if replica.finished_at), default=None)
    return live.since if live and state != "unknown" else None
