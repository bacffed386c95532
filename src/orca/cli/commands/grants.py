"""`orc grants`: roles on parts of the team."""

import argparse
from typing import Any

from orca.cli.client import segment
from orca.cli.command import Command, Invocation
from orca.cli.failures import UsageError
from orca.cli.output import Part, show_id
from orca.cli.selection import get_project, list_environments, pick, pick_environment
from orca.cli.times import ago

ROLES = ("viewer", "member", "admin")


def list_grants(call: Invocation) -> None:
    """List grants, newest first; with --project those on it and on its environments."""
    page = call.client.list("/grants")
    if call.args.project is not None:
        project = get_project(call)
        inside = {project["id"], *(environment["id"] for environment in list_environments(call, project))}
        page["items"] = [item for item in page["items"] if inside & {item["project_id"], item["environment_id"]}]
    columns = ["WHO", "ROLE", "ON", "WHAT", "SINCE", "ID"]
    empty = "There are no grants. `orc grants add EMAIL --role viewer --project shop` gives one."
    call.output.table(page, columns, _row, empty=empty)


def add(call: Invocation) -> None:
    """Give a user a role on one project, environment or system."""
    body = {"email": call.args.email, "role": call.args.role, **_part(call)}
    made = call.client.post("/grants", body)
    call.output.answer(made, lambda screen: screen.line(f"{made['user_email']} is {made['role']} of {made['part']}."))


def remove(call: Invocation) -> None:
    """Take a role away. It ends with the user's next request."""
    rows = [{**item, "name": item["user_email"]} for item in call.client.list("/grants")["items"]]
    grant = pick(rows, call.args.grant, "grant")
    call.client.call("DELETE", f"/grants/{segment(grant['id'])}")
    call.output.answer(
        grant, lambda screen: screen.line(f"{grant['user_email']} is not {grant['role']} of {grant['part']} any more.")
    )


def _part(call: Invocation) -> dict[str, str]:
    if call.args.system is not None:
        if call.args.environment is not None or call.args.project is not None:
            raise UsageError("a role is on a system, or on a project or environment", hint="Give each in turn.")
        return {"system_id": call.args.system}
    if call.args.environment is None:
        return {"project_id": get_project(call)["id"]}
    return {"environment_id": pick_environment(call, call.args.environment)["id"]}


def _row(grant: dict[str, Any]) -> list[Part]:
    kind = next(kind for kind in ("project", "environment", "system") if grant[f"{kind}_id"])
    return [grant["user_email"], grant["role"], kind, grant["part"], ago(grant["created_at"]), show_id(grant["id"])]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("email", metavar="EMAIL", help="user of this server; one of no team becomes a guest of yours")
    parser.add_argument("--role", choices=ROLES, required=True, help="what they may do there")
    parser.add_argument("--environment", metavar="NAME", help="only on this environment of the project")
    parser.add_argument("--system", metavar="ID", help="on what runs on this system, instead of a project")


def _remove_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("grant", metavar="GRANT", help="by id, or by e-mail where the user has only one")


COMMANDS = {
    "list": Command(list_grants, "orc grants list\norc grants list --project shop", scope="project"),
    "add": Command(
        add, "orc grants add ada@example.org --role member --project shop\n"
        "orc grants add ada@example.org --role viewer --project shop --environment production",
        scope="project", arguments=_add_arguments,
    ),
    "remove": Command(remove, "orc grants remove ada@example.org", scope="server", arguments=_remove_arguments),
}  # fmt: skip
