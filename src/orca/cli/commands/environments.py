"""`orc environments`: where the services of a project live."""

import argparse

from orca.cli.client import segment
from orca.cli.command import Command, Invocation
from orca.cli.commands.projects import confirm_argument, slug_argument, slug_of
from orca.cli.dialogue import confirm
from orca.cli.output import Screen
from orca.cli.selection import get_project, pick_environment
from orca.cli.selection import list_environments as all_environments
from orca.cli.times import ago


def list_environments(call: Invocation) -> None:
    """List the environments of a project, the first of which is production."""
    rows = all_environments(call, get_project(call))
    shown = [[row["slug"], row["name"], ago(row["created_at"])] for row in rows]
    call.output.answer(rows, lambda screen: screen.table(["ENVIRONMENT", "NAME", "MADE"], shown))


def create(call: Invocation) -> None:
    """Create an environment; without --slug the server spells one from the name."""
    project = get_project(call)
    made = call.client.post(
        f"/projects/{segment(project['id'])}/environments", {"name": call.args.name, **slug_of(call)}
    )

    def draw(screen: Screen) -> None:
        screen.line(f"Made the environment {made['slug']} of {project['slug']}.")
        chosen = f"--project {project['slug']} --environment {made['slug']}"
        screen.line(f"`orc services create NAME {chosen}` makes a service in it.")

    call.output.answer(made, draw)


def delete(call: Invocation) -> None:
    """Delete an environment that has no services and volumes any more."""
    environment = pick_environment(call, call.args.name)
    what = f"The environment {environment['name']} will be deleted, with the roles that were given on it."
    confirm(call.output, what, environment["slug"], call.args.confirm, title=environment["name"])
    call.client.call("DELETE", f"/environments/{segment(environment['id'])}")
    call.output.answer(environment, lambda screen: screen.line(f"Deleted the environment {environment['slug']}."))


def _create_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what people call it")
    slug_argument(parser)


def _delete_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="environment, by name or id")
    confirm_argument(parser)


COMMANDS = {
    "list": Command(list_environments, "orc environments list --project shop", scope="project"),
    "create": Command(
        create, "orc environments create Staging --project shop", scope="project", arguments=_create_arguments
    ),
    "delete": Command(
        delete,
        "orc environments delete staging --project shop --confirm staging",
        scope="project",
        arguments=_delete_arguments,
    ),
}
