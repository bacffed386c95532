"""Selects a command's project and service: by flag, or by the folder's link, which does not hide other projects.

The name in an `orca.yaml` is used only in a selected project, because another project may have a service of that name.
"""

import re
from collections.abc import Iterable
from typing import Any

from orca.cli.client import Client, segment
from orca.cli.command import Invocation
from orca.cli.dialogue import is_interactive
from orca.cli.failures import NOT_FOUND, CommandFailed, UsageError
from orca.cli.link import Link
from orca.cli.orca_file import read_orca_file
from orca.cli.parser import find_nearest
from orca.cli.picker import pick_one
from orca.cli.server import is_current

Row = dict[str, Any]
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SHORT_ID = re.compile(r"[0-9a-f]{8}[0-9a-f-]{0,27}")


def service_id(call: Invocation) -> str:
    """Return the id of the selected service. Raises CommandFailed."""
    link = current_link(call)
    if call.args.service is None and call.args.project is None and link is not None:
        return link.service_id
    return str(get_service(call)["id"])


def service_path(call: Invocation, rest: str = "") -> str:
    """Return the API path of the selected service, with `rest` appended."""
    return f"/services/{segment(service_id(call))}{rest}"


def get_service(call: Invocation) -> Row:
    """Return the selected service as in the API. Raises CommandFailed."""
    link = current_link(call)
    if call.args.service is None and call.args.project is None and link is not None:
        return get_linked(call, link)
    wanted = call.args.service or (read_orca_file(call.folder).name if call.args.project else None)
    if wanted is None and (picked := _offer(call)):
        return picked
    if wanted is None:
        hint = "Name one with --service NAME, or `orc link --service NAME` this folder."
        raise UsageError(f"no service is chosen{link_elsewhere(call)}", hint=hint)
    found = find_service(call, wanted)
    if found is None:
        where = f" in the project {call.args.project}" if call.args.project else ""
        raise CommandFailed(f"there is no service {wanted}{where}", hint=_similar(call, wanted), code=NOT_FOUND)
    return _bare(found)


def _bare(row: Row) -> Row:
    """Return a service as the API returns it by its id."""
    return {name: value for name, value in row.items() if name not in {"project", "status"}}


def _offer(call: Invocation) -> Row | None:
    """Let the user pick a service, and make it the selected one; None without a terminal or services."""
    if call.output.as_json or not is_interactive():
        return None
    rows = list_services(call.client, project_id=get_project(call)["id"] if call.args.project else None)
    rows.sort(key=lambda row: (row["project"]["slug"], row["slug"]))
    if not rows:
        return None
    picked = pick_one(call.output, "Which service?", [f"{row['project']['slug']}/{row['slug']}" for row in rows])
    row = rows[int(picked)]
    call.args.project, call.args.service = row["project"]["slug"], row["slug"]
    return _bare(row)


def _similar(call: Invocation, wanted: str) -> str:
    """Return a hint with the most similar name in the selected project, or in all of them."""
    chosen = get_project(call)["id"] if call.args.project else None
    slugs = {row["slug"] for row in list_services(call.client, project_id=chosen)}
    near = find_nearest(wanted, sorted(slugs))
    return f"Did you mean `{near}`?" if near else "`orc services list` shows what there is."


def get_linked(call: Invocation, link: Link) -> Row:
    """Return the service that a folder is linked to. Raises CommandFailed."""
    try:
        row: Row = call.client.get(f"/services/{segment(link.service_id)}")
        return row
    except CommandFailed as error:
        if error.code == NOT_FOUND:
            error.hint = f"This folder is linked to {link.project}/{link.service}. `orc link --remove` forgets that."
        raise


def find_service(call: Invocation, wanted: str) -> Row | None:
    """Return the service of that id, slug or name, with its `project`. Raises UsageError when it is ambiguous.

    Searches the selected project; without one the folder's, then all others. An id is found in any project.
    """
    if call.args.project is not None:
        return _the_only(wanted, matching(_list_in(call.client, get_project(call)), wanted))
    if _ID.fullmatch(wanted) and (known := _find_by_id(call, wanted)):
        return known
    rows, link = list_services(call.client, slug=wanted) if wanted else [], current_link(call)
    if link is not None:
        own = [row for row in rows if row["project_id"] == link.project_id]
        own = own or matching(list_services(call.client, project_id=link.project_id), wanted)
        if near := _the_only(wanted, own):
            return near
    found = _the_only(wanted, matching(rows or list_services(call.client), wanted))
    if found and link is not None:
        call.output.note(f"This is {found['project']['slug']}/{found['slug']}; {link.project} has none of that name.")
    return found


def list_services(client: Client, **query: Any) -> list[Row]:
    """Return the services of all projects, or those that a filter of the API leaves, each with its `project`."""
    try:
        rows = client.list("/services", **query)["items"]
        return [{**row, "project": {"id": row["project_id"], "slug": row["project"]}} for row in rows]
    except CommandFailed as error:
        if error.code != NOT_FOUND:
            raise
    only = query.get("project_id")  # a server of an earlier version, which lists them by project
    projects = [row for row in client.list("/projects")["items"] if only in {None, row["id"]}]
    found = [row for project in projects for row in _list_in(client, project)]
    return [row for row in found if query.get("slug") in {None, row["slug"]}]


def _list_in(client: Client, project: Row) -> list[Row]:
    page = client.list(f"/projects/{segment(project['id'])}/services")
    return [{**service, "project": project} for service in page["items"]]


def _the_only(wanted: str, found: list[Row]) -> Row | None:
    projects = sorted({service["project"]["slug"] for service in found})
    if len(projects) > 1:
        message = f"several projects have a service {wanted}: {', '.join(projects)}"
        raise UsageError(message, hint=f"Choose one with --project, such as `--project {projects[0]}`.")
    return find_one(found, wanted, "service")


def _find_by_id(call: Invocation, wanted: str) -> Row | None:
    try:
        row = call.client.get(f"/services/{segment(wanted)}")
    except CommandFailed as error:
        if error.code == NOT_FOUND:
            return None
        raise
    return {**row, "project": call.client.get(f"/projects/{segment(row['project_id'])}")}


def get_project(call: Invocation) -> Row:
    """Return the selected project. Raises CommandFailed."""
    link = current_link(call)
    if call.args.project is None and link is not None:
        row: Row = call.client.get(f"/projects/{segment(link.project_id)}")
        return row
    if call.args.project is None:
        hint = "Name one with --project NAME; `orc projects` lists them."
        raise UsageError(f"no project is chosen{link_elsewhere(call)}", hint=hint)
    return pick(list_projects(call), call.args.project, "project")


def list_projects(call: Invocation) -> list[Row]:
    """Return all projects of the team."""
    items: list[Row] = call.client.list("/projects")["items"]
    return items


def pick_environment(call: Invocation, wanted: str) -> Row:
    """Return the environment of the selected project of that id, slug or name. Raises CommandFailed."""
    project = get_project(call)
    listed = f"orc environments list --project {project['slug']}"
    return pick(list_environments(call, project), wanted, "environment", listed)


def list_environments(call: Invocation, project: Row) -> list[Row]:
    """Return the environments of a project, the first of which is production."""
    rows: list[Row] = call.client.get(f"/projects/{segment(project['id'])}/environments")
    return rows


def pick(rows: Iterable[Row], wanted: str, what: str, listed: str = "") -> Row:
    """Return the only row of that id, slug or name; `listed`: the command that lists them. Raises CommandFailed."""
    known = list(rows)
    found = find_one(known, wanted, what)
    if found is None:
        near = find_nearest(wanted, [str(row.get("slug") or row.get("name") or row["id"]) for row in known])
        hint = f"Did you mean `{near}`?" if near else f"`{listed or f'orc {what}s list'}` shows what there is."
        raise CommandFailed(f"there is no {what} {wanted}", hint=hint, code=NOT_FOUND)
    return found


def find_id(client: Client, wanted: str, what: str, listed: str, *paths: str) -> str:
    """Return the id of what API paths list: a whole one as it is, else by its beginning or a name."""
    if _ID.fullmatch(wanted):
        return wanted
    rows = [row for path in paths for row in client.list(path)["items"]]
    return str(pick(rows, wanted, what, listed)["id"])


def find_one(rows: Iterable[Row], wanted: str, what: str) -> Row | None:
    """Like `pick`, but returns None if there is none. Raises UsageError when it is ambiguous."""
    found = matching(rows, wanted)
    if len(found) > 1:
        is_id = all(str(row["id"]).startswith(wanted) for row in found)
        hint = f"Use {'more of the id' if is_id else 'the id instead'}: {', '.join(str(row['id']) for row in found)}."
        raise UsageError(f"several {what}s {'begin with' if is_id else 'are called'} {wanted}", hint=hint)
    return found[0] if found else None


def matching(rows: Iterable[Row], wanted: str) -> list[Row]:
    """Return matching rows: by id or slug, which are unique, else by name, else by the beginning of the id."""
    candidates = list(rows)
    exact = [candidate for candidate in candidates if wanted in {candidate["id"], candidate.get("slug")}]
    found = exact or [candidate for candidate in candidates if candidate.get("name") == wanted]
    if found or not _SHORT_ID.fullmatch(wanted):
        return found
    return [candidate for candidate in candidates if str(candidate["id"]).startswith(wanted)]


def same_choice(call: Invocation) -> str:
    """Return the options that select the same service in a suggested command."""
    said = {"--project": call.args.project, "--service": call.args.service}
    return "".join(f" {option} {value}" for option, value in said.items() if value is not None)


def link_elsewhere(call: Invocation) -> str:
    """Return why the folder's link is not used, if so."""
    if call.link is None or is_current(call.link, call.client.server):
        return ""
    return f": the link of this folder belongs to {call.link.server}, and {call.client.server.name} is asked"


def current_link(call: Invocation) -> Link | None:
    """Return the folder's link, if it belongs to the chosen server."""
    return call.link if call.link is not None and is_current(call.link, call.client.server) else None
