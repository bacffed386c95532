"""`orc projects`: groups of services."""

import argparse

from orca.cli.client import segment
from orca.cli.command import Command, Invocation
from orca.cli.dialogue import confirm
from orca.cli.output import Screen
from orca.cli.selection import list_projects as all_projects
from orca.cli.selection import pick
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
    """Create a project; without --slug the server spells one from the name."""
    body = {"name": call.args.name, "description": call.args.description, **slug_of(call)}
    project = call.client.post("/projects", body)
    call.output.answer(project, lambda screen: screen.line(f"Made the project {project['slug']}."))


def slug_of(call: Invocation) -> dict[str, str]:
    """Return the slug that was asked for, as a field of what is created."""
    return {} if call.args.slug is None else {"slug": call.args.slug}


def slug_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names something in hostnames."""
    parser.add_argument("--slug", metavar="SLUG", help="what it is called in hostnames and commands: a-z, 0-9, dashes")


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
    slug_argument(parser)
    parser.add_argument("--description", default="", metavar="TEXT", help="what it is about")


def _delete_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="project, by name or id")
    confirm_argument(parser)


COMMANDS = {
    "list": Command(list_projects, "orc projects list --json", scope="server"),
    "create": Command(
        create,
        "orc projects create Shop\norc projects create 商店 --slug shop",
        scope="server",
        arguments=_create_arguments,
    ),
    "delete": Command(delete, "orc projects delete shop --confirm shop", scope="server", arguments=_delete_arguments),
}
