"""The manifest of projects, which group the services of a team."""

from orca.features.manifest import EventKind, EventWords, Feature, Permission
from orca.features.projects import api, names, queries

FEATURE = Feature(
    name="projects",
    routers=(api.router,),
    tags={"projects": "Projects and their environments."},
    permissions=(
        Permission("environment.create", "Make an environment of a project.", "owner"),
        Permission("environment.delete", "Delete an environment that is empty.", "owner"),
        Permission("environment.update", "Rename an environment.", "owner"),
        Permission("project.create", "Make a project.", "owner", whole_team=True),
        Permission(
            "project.delete", "Delete a project; what is in it needs service.delete and volume.delete, too.", "owner"
        ),
        Permission("project.read", "See projects.", "viewer"),
        Permission("project.update", "Rename a project and change its description.", "owner"),
    ),
    event_kinds=(EventKind("projects", "Projects and teams", 60),),
    events=(EventWords("Project", "projects"), EventWords("Environment", "projects")),
    owners={"project_id": queries.find_project_scope, "environment_id": queries.find_environment_scope},
    directories=names.DIRECTORIES,
)
