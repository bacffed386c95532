"""`orc projects`: groups of services."""

import argparse
import time

from orca.cli.client import segment
from orca.cli.command import Command, Invocation
from orca.cli.deploying import follow_argument
from orca.cli.dialogue import confirm
from orca.cli.failures import FAILED, NOT_FOUND, CommandFailed
from orca.cli.output import Screen
from orca.cli.selection import Row, pick
from orca.cli.selection import list_projects as all_projects
from orca.cli.times import ago

_LOOK_AGAIN = 1.0


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
    """Delete a project: an empty one, or with --with-services all that is in it."""
    project = pick(all_projects(call), call.args.name, "project")
    if call.args.with_services:
        _delete_all(call, project)
        return
    what = f"The project {project['name']} will be deleted."
    confirm(call.output, what, project["slug"], call.args.confirm, title=project["name"])
    call.client.call("DELETE", f"/projects/{segment(project['id'])}")
    call.output.answer(project, lambda screen: screen.line(f"Deleted the project {project['slug']}."))


def _delete_all(call: Invocation, project: Row) -> None:
    path = f"/projects/{segment(project['id'])}/deletion"
    left = call.client.get(path)
    services = ", ".join(service["slug"] for service in left["services"]) or "none"
    call.output.note(f"Services: {services}. Hostnames: {', '.join(left['domains']) or 'none'}.")
    volumes = ", ".join(volume["name"] for volume in left["volumes"])
    fate = "be destroyed with all data" if call.args.volumes == "delete" else "stay, and the project with them"
    data = f" Its volumes ({volumes}) {fate}." if volumes else ""
    what = f"The project {project['name']} will be deleted with all of that.{data}"
    confirm(call.output, what, project["slug"], call.args.confirm, title=project["name"])
    left = call.client.post(path, {"confirm": project["slug"], "volumes": call.args.volumes})
    while left is not None and left["state"] == "running" and not call.args.no_follow:
        time.sleep(_LOOK_AGAIN)
        left = _look(call, path)
    if left is not None and left["state"] == "failed":
        raise CommandFailed(f"the project was not deleted: {left['problem']}", code=FAILED)
    call.output.answer(project, lambda screen: screen.line(_tell_end(project["slug"], left)))


def _look(call: Invocation, path: str) -> Row | None:
    try:
        found: Row = call.client.get(path)
    except CommandFailed as error:
        if error.code == NOT_FOUND:
            return None
        raise
    return found


def _tell_end(slug: str, left: Row | None) -> str:
    if left is None:
        return f"Deleted the project {slug} with all that was in it."
    if left["state"] == "running":
        return f"The project {slug} is being deleted."
    return f"Deleted the services of {slug}. The project stays as the place of its volumes."


def confirm_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument that confirms a destructive command."""
    parser.add_argument("--confirm", metavar="NAME", help="its name once more, instead of being asked")


def _create_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what people call it")
    slug_argument(parser)
    parser.add_argument("--description", default="", metavar="TEXT", help="what it is about")


def _delete_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="project, by name or id")
    parser.add_argument("--with-services", action="store_true", help="delete its services, hostnames and variables too")
    parser.add_argument(
        "--volumes", choices=("keep", "delete"), default="keep", help="what becomes of its volumes (default: keep)"
    )
    follow_argument(parser)
    confirm_argument(parser)


COMMANDS = {
    "list": Command(list_projects, "orc projects list --json", scope="server"),
    "create": Command(
        create,
        "orc projects create Shop\norc projects create 商店 --slug shop",
        scope="server",
        arguments=_create_arguments,
    ),
    "delete": Command(
        delete,
        "orc projects delete shop --confirm shop\norc projects delete shop --with-services --volumes delete",
        scope="server",
        arguments=_delete_arguments,
    ),
}
