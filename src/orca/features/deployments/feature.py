"""The manifest of deployments: builds, releases, deployments, and what runs now."""

from orca.features.deployments import api, events, metrics, pages, tasks
from orca.features.deployments.actions.start import start_first
from orca.features.deployments.queries import find_deployment_scope, has_deployed
from orca.features.deployments.service_status import read_status
from orca.features.manifest import EventKind, EventWords, Feature, FirstStep, OperationEvents, Permission, Verb
from orca.features.services.first_deployment import FIRST_DEPLOYMENT
from orca.features.services.service_status import SERVICE_STATUS
from orca.features.sources.usage import NEEDED_UPLOADS
from orca.web.nav import Tab

FEATURE = Feature(
    name="deployments",
    routers=(api.router, pages.router),
    tags={
        "deployments": "Deployments and releases.",
        "running": "What runs now: containers, output, one-off commands.",
    },
    permissions=(
        Permission("deployment.cancel", "Stop a deployment that waits or runs.", "member"),
        Permission("deployment.read", "See deployments, releases and their logs.", "viewer"),
        Permission("service.deploy", "Build and deploy a service, and roll it back.", "member"),
        Permission("service.operate", "Start, stop, restart and scale a service.", "member"),
        Permission("service.run", "Run a one-off command inside a service.", "member"),
    ),
    tabs=(
        Tab("service", "overview", "Overview", "", 10),
        Tab("service", "deployments", "Deployments", "/deployments", 20),
    ),
    verbs=(
        Verb("Deploy {}", "/deploy", "rocket", "service.deploy", 20, posts=True),
        Verb("Restart {}", "/operate/restart", "refresh", "service.operate", 30, posts=True, only_when="running"),
        Verb("Start {}", "/operate/start", "play", "service.operate", 40, posts=True, only_when="stopped"),
        Verb("Overview of {}", "", "box", "service.read", 50),
        Verb("Deployments of {}", "/deployments", "activity", "deployment.read", 60),
        Verb("Roll back {}…", "/deployments#releases", "undo", "service.deploy", 65, only_when="running"),
        Verb("Stop {}…", "#stop", "stop", "service.operate", 120, only_when="running"),
    ),
    first_steps=(
        FirstStep(
            "Deploy a service",
            "A Git repository, an image, or a folder of this computer.",
            "{new_service}",
            "New service",
            "service.create",
            10,
            has_deployed,
        ),
    ),
    event_kinds=(EventKind("deployments", "Deployments", 10),),
    events=(
        EventWords("Deployment", "deployments", frozenset({"restart", "start", "stop", "scale", "rollback", "remove"})),
        EventWords("Command", "services"),
    ),
    operations=(
        OperationEvents(
            id_key="deployment_id",
            asked="DeploymentQueued",
            steps=frozenset({"DeploymentQueued", "DeploymentStarted"}),
            end="DeploymentFinished",
            page="/deployments/{}",
        ),
    ),
    webhooks=events.WEBHOOKS,
    tasks=tasks.TASKS,
    periodic=tasks.PERIODIC,
    owners={"deployment_id": find_deployment_scope},
    subscribers=(("ServiceDeleted", tasks.on_service_deleted),),
    readers=(
        FIRST_DEPLOYMENT.implemented_by(start_first),
        SERVICE_STATUS.implemented_by(read_status),
        NEEDED_UPLOADS.implemented_by(tasks.list_needed_uploads),
    ),
    measures=metrics.make_measures,
)
