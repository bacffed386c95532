"""What webhooks say about services."""

from orca.features.manifest import WebhookEvent
from orca.kit.fields import Output


class ServiceData(Output):
    """A service."""

    service_id: str
    name: str
    slug: str
    project_id: str


WEBHOOKS = (
    WebhookEvent("service.created", "ServiceCreated", "A service was created.", ServiceData),
    WebhookEvent("service.deleted", "ServiceDeleted", "A service was deleted.", ServiceData),
)
