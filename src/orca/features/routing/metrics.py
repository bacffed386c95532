"""Hostnames and certificates as numbers for Prometheus."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import get_args

from prometheus_client import Metric
from sqlalchemy import select

from orca.db import now
from orca.features.routing.models import Certificate, OrderedCertificate, Route
from orca.features.routing.rules.certificates import is_expiring
from orca.features.routing.rules.conditions import Condition
from orca.features.routing.schemas.routes import condition_of
from orca.features.services.models import Service
from orca.resources import Resources
from orca.web.metrics import Measure, gauge

_STATES = ("valid", "expiring", "expired")


async def measure_certificates(resources: Resources) -> Sequence[Metric]:
    """Count uploaded and ordered certificates, and measure when the next of each kind ends."""
    async with resources.db.read() as session:
        ends = {
            "uploaded": (await session.scalars(select(Certificate.not_after))).all(),
            "ordered": (await session.scalars(select(OrderedCertificate.not_after))).all(),
        }
    at = now()
    counted = Counter({(kind, state): 0 for kind in ends for state in _STATES})
    counted.update((kind, _state(not_after, at)) for kind, all_ends in ends.items() for not_after in all_ends)
    soonest = {kind: (min(all_ends) - at).total_seconds() for kind, all_ends in ends.items() if all_ends}
    return [
        gauge(
            "orc_certificates", "Certificates; an expiring one ends within 14 days.", ["kind", "state"],
            counted,
        ),
        gauge("orc_certificate_expiry_seconds", "Until the next one ends; negative once it has.", ["kind"], soonest),
    ]  # fmt: skip


def _state(not_after: datetime, at: datetime) -> str:
    return "expired" if not_after <= at else "expiring" if is_expiring(not_after, at) else "valid"


async def measure_routes(resources: Resources) -> Sequence[Metric]:
    """Count the routes by what visitors find at them."""
    async with resources.db.read() as session:
        living = select(Route).join(Service, Service.id == Route.service_id).where(Service.deleted_at.is_(None))
        found = Counter(condition_of(route) for route in await session.scalars(living))
    numbers = {condition: found[condition] for condition in get_args(Condition)}
    return [gauge("orc_routes", "Hostnames, by what visitors find there.", ["condition"], numbers)]


def make_measures() -> tuple[Measure, ...]:
    """Return the measures of this feature."""
    return (Measure("certificates", measure_certificates), Measure("routes", measure_routes))
