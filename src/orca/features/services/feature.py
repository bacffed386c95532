"""The manifest of services, their variables and their volumes."""

from orca.features.credentials.queries import GIT_CREDENTIAL, REGISTRY_CREDENTIAL
from orca.features.credentials.usage import CREDENTIAL_USAGE
from orca.features.manifest import EventKind, EventWords, Feature, Permission, Verb
from orca.features.projects.actions import ENVIRONMENT, PROJECT
from orca.features.services import api, events, metrics, names, pages, queries, tasks, volume_queries
from orca.features.services.actions.services import (
    check_credential_unused,
    check_environment_empty,
    check_project_empty,
    take_upload,
)
from orca.features.services.actions.variables import forget_project_variables
from orca.web.nav import Tab

FEATURE = Feature(
    name="services",
    routers=(api.router, pages.router),
    tags={
        "services": "Services.",
        "schemas": "Schemas of files that people write.",
        "variables": "Variables of projects and services.",
        "volumes": "Data that outlives containers.",
    },
    permissions=(
        Permission("service.create", "Make a service.", "member"),
        Permission("service.delete", "Delete a service.", "owner"),
        Permission(
            "service.grant",
            "Grant a service what reaches beyond its containers: capabilities, devices and kernel parameters.",
            "instance admin",
        ),
        Permission("service.read", "See services, their state and the output of their processes.", "viewer"),
        Permission("service.update", "Change how a service is built and run.", "member"),
        Permission(
            "variable.read", "See the variables of projects and services; secret ones without their value.", "viewer"
        ),
        Permission("variable.reveal", "Read the value of a secret variable.", "owner"),
        Permission("variable.write", "Set and remove variables.", "member"),
        Permission("volume.create", "Add a volume to a service.", "member"),
        Permission("volume.delete", "Delete a volume and the data in it.", "owner"),
        Permission("volume.read", "See volumes.", "viewer"),
        Permission("volume.update", "Detach volumes, and change whose their data is.", "member"),
    ),
    tabs=(
        Tab("project", "variables", "Variables", "/variables", 20, "variable.read"),
        Tab("service", "variables", "Variables", "/variables", 40),
        Tab("service", "volumes", "Volumes", "/volumes", 70),
        Tab("service", "settings", "Settings", "/settings", 80),
    ),
    verbs=(
        Verb("Variables of {}", "/variables", "code", "variable.read", 70),
        Verb("Volumes of {}", "/volumes", "database", "service.read", 100),
        Verb("Settings of {}", "/settings", "settings", "service.read", 110),
    ),
    event_kinds=(
        EventKind("services", "Services and volumes", 20),
        EventKind("variables", "Variables", 30),
    ),
    events=(
        EventWords("Service", "services"),
        EventWords("Privileges", "services"),
        EventWords("Volume", "services"),
        EventWords("Source", "services"),
        EventWords("Variable", "variables"),
    ),
    webhooks=events.WEBHOOKS,
    tasks=tasks.TASKS,
    owners={
        "service_id": queries.find_service_scope,
        "volume_id": volume_queries.find_volume_scope,
    },
    subscribers=(("UploadReceived", take_upload), ("ProjectDeleted", forget_project_variables)),
    readers=(CREDENTIAL_USAGE.implemented_by(queries.list_credential_users),),
    deletion_checks={
        GIT_CREDENTIAL: check_credential_unused,
        REGISTRY_CREDENTIAL: check_credential_unused,
        PROJECT: check_project_empty,
        ENVIRONMENT: check_environment_empty,
    },
    directories=names.DIRECTORIES,
    measures=metrics.make_measures,
)
