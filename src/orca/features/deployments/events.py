"""What webhooks say about deployments, and about services whose processes fail."""

from pydantic import Field

from orca.features.manifest import WebhookEvent
from orca.kit.fields import Output


class DeploymentData(Output):
    """A deployment."""

    deployment_id: str
    number: int = Field(description="Counts the deployments of the service.")
    service_id: str
    service: str = Field(description="Slug of the service.")


class DeploymentStartedData(DeploymentData):
    """A deployment that has begun."""

    kind: str = Field(description="`deploy`, `rollback`, `restart` and so on.")


class DeploymentFinishedData(DeploymentStartedData):
    """A deployment that has ended."""

    state: str = Field(description="`succeeded`, `failed` or `cancelled`.")
    code: str | None = Field(None, description="The code of the failure; none after a success.")


class CrashLoopData(Output):
    """A service whose process ends again and again."""

    service_id: str
    release_id: str
    restarts: int
    exit_code: int | None = None
    out_of_memory: bool | None = None


class NotRevivedData(DeploymentData):
    """A service that should run and could not be started again; the deployment is the one that failed."""

    code: str | None = None


WEBHOOKS = (
    WebhookEvent("deployment.started", "DeploymentStarted", "A deployment started.", DeploymentStartedData),
    WebhookEvent("deployment.finished", "DeploymentFinished", "A deployment ended.", DeploymentFinishedData),
    WebhookEvent("deployment.cancelled", "DeploymentCancelled", "A user cancelled a deployment.", DeploymentData),
    WebhookEvent("service.crash_looping", "ServiceCrashLooping", "A process ends again and again.", CrashLoopData),
    WebhookEvent("service.not_revived", "ServiceNotRevived", "A service could not be restarted.", NotRevivedData),
)
