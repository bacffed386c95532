"""`orc projects`: groups of services."""

import argparse
from contextlib import suppress

from orca.cli.client import segment
from orca.cli.command import Command, Invocation
from orca.cli.dialogue import confirm
from orca.cli.failures import CommandFailed
from orca.cli.output import Screen, Styled
from orca.cli.selection import Row, pick
from orca.cli.selection import list_projects as all_projects
from orca.cli.times import ago


def list_projects(call: Invocation) -> None:
    """List projects, newest first."""
    page = call.client.list("/projects")

    def draw(screen: Screen) -> None:
        if not page["items"]:
            screen.line("There are no projects yet. `orc deploy` in a project's folder makes the first.")
            return
        rows = [[item["slug"], item["name"], ago(item["created_at"]), item["description"]] for item in page["items"]]
        screen.table(["PROJECT", "NAME", "MADE", "DESCRIPTION"], rows)

    call.output.answer(page, draw)


def create(call: Invocation) -> None:
    """Create a project; the server derives the slug from the name."""
    project = call.client.post("/projects", {"name": call.args.name, "description": call.args.description})
    call.output.answer(project, lambda screen: screen.line(f"Made the project {project['slug']}."))
    with suppress(CommandFailed):  # the project exists; without permission to list projects there is no warning
        _warn_of_twins(call, project)


def _warn_of_twins(call: Invocation, project: Row) -> None:
    for listed in all_projects(call):
        if listed["name"] == project["name"] and listed["id"] != project["id"]:
            told = f"{listed['slug']} has that name as well; `orc projects delete {project['slug']}` undoes this."
            call.output.note(Styled("warning:", "yellow"), " ", told)


def delete(call: Invocation) -> None:
    """Delete a project. Refused while it has services or volumes."""
    project = pick(all_projects(call), call.args.name, "project")
    what = f"The project {project['name']} will be deleted."
    confirm(call.output, what, project["slug"], call.args.confirm, title=project["name"])
    call.client.call("DELETE", f"/projects/{segment(project['id'])}")
    call.output.answer(project, lambda screen: screen.line(f"Deleted the project {project['slug']}."))


def confirm_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument that confirms a destructive command."""
    parser.add_argument("--confirm", metavar="NAME", help="its name once more, instead of being asked")


def _create_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what people call it")
    parser.add_argument("--description", default="", metavar="TEXT", help="what it is about")


def _delete_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="project, by name or id")
    confirm_argument(parser)


COMMANDS = {
    "list": Command(list_projects, "orc projects list --json", scope="server"),
    "create": Command(create, "orc projects create Shop", scope="server", arguments=_create_arguments),
    "delete": Command(delete, "orc projects delete shop --confirm shop", scope="server", arguments=_delete_arguments),
}
