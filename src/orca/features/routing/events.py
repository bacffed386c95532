"""Events of routes, with the hostname and service that they concern, and what webhooks say about certificates."""

from typing import Any

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.manifest import WebhookEvent
from orca.features.routing.models import Route
from orca.features.services.models import Service
from orca.kit.fields import Output


async def names_of(session: AsyncSession, route: Route) -> dict[str, Any]:
    """Return hostname and path of a route and its service's id and slug, which every event about it carries."""
    service = await session.get(Service, route.service_id)
    return {
        "hostname": route.hostname, "path_prefix": route.path_prefix, "service_id": route.service_id,
        "service": service.slug if service is not None else "",
    }  # fmt: skip


class CertificateRefusedData(Output):
    """A hostname for which no certificate was issued."""

    route_id: str
    hostname: str
    service_id: str
    reason: str
    failures: int = Field(description="How many orders in a row failed.")
    next_try_at: str


class CertificateExpiringData(Output):
    """A certificate that ends soon; it was uploaded, or could not be renewed."""

    hostnames: list[str]
    not_after: str = Field(description="When it ends.")


WEBHOOKS = (
    WebhookEvent("certificate.refused", "CertificateRefused", "No certificate was issued.", CertificateRefusedData),
    WebhookEvent("certificate.expiring", "CertificateExpiring", "A certificate ends soon.", CertificateExpiringData),
)
