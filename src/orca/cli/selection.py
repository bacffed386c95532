"""Which project and service a command is about: by flag, or by the folder's link, which hides no other project.

The name in an `orca.yaml` only counts inside a chosen project: another project may well have a service of that name.
"""

import re
from collections.abc import Iterable
from typing import Any

from orca.cli.client import segment
from orca.cli.command import Invocation
from orca.cli.failures import NOT_FOUND, CommandFailed, UsageError
from orca.cli.link import Link
from orca.cli.orca_file import read_orca_file
from orca.cli.place import is_current

Row = dict[str, Any]
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def service_id(call: Invocation) -> str:
    """The id of the chosen service. Raises CommandFailed."""
    link = current_link(call)
    if call.args.service is None and call.args.project is None and link is not None:
        return link.service_id
    return str(get_service(call)["id"])


def service_path(call: Invocation, rest: str = "") -> str:
    """The path of the chosen service in the API, and what is below it."""
    return f"/services/{segment(service_id(call))}{rest}"


def get_service(call: Invocation) -> Row:
    """The chosen service as the API shows it. Raises CommandFailed."""
    link = current_link(call)
    if call.args.service is None and call.args.project is None and link is not None:
        return get_linked(call, link)
    wanted = call.args.service or (read_orca_file(call.folder).name if call.args.project else None)
    if wanted is None:
        hint = "Name one with --service NAME, or `orc link --service NAME` this folder."
        raise UsageError(f"no service is chosen{link_elsewhere(call)}", hint=hint)
    found = find_service(call, wanted)
    if found is None:
        where = f" in the project {call.args.project}" if call.args.project else ""
        hint = "`orc services list` shows what there is."
        raise CommandFailed(f"there is no service {wanted}{where}", hint=hint, code=NOT_FOUND)
    return {name: value for name, value in found.items() if name != "project"}


def get_linked(call: Invocation, link: Link) -> Row:
    """The service a folder is linked to. Raises CommandFailed."""
    try:
        row: Row = call.client.get(f"/services/{segment(link.service_id)}")
        return row
    except CommandFailed as error:
        if error.code == NOT_FOUND:
            error.hint = f"This folder is linked to {link.project}/{link.service}. `orc link --remove` forgets that."
        raise


def find_service(call: Invocation, wanted: str) -> Row | None:
    """The one service of that id, slug or name, with its `project`. Raises UsageError when several are meant.

    In the chosen project; without one in the folder's, then in all others. An id is found wherever it is.
    """
    if call.args.project is not None:
        return _the_only(wanted, _services_in(call, [get_project(call)], wanted))
    if _ID.fullmatch(wanted) and (known := _find_by_id(call, wanted)):
        return known
    link, projects = current_link(call), list_projects(call)
    own = [each for each in projects if link is not None and each["id"] == link.project_id]
    others = [each for each in projects if each not in own]
    if near := _the_only(wanted, _services_in(call, own, wanted)):
        return near
    found = _the_only(wanted, _services_in(call, others, wanted))
    if found and own:
        call.output.note(f"This is {found['project']['slug']}/{found['slug']}; {own[0]['slug']} has none of that name.")
    return found


def _services_in(call: Invocation, projects: Iterable[Row], wanted: str) -> list[Row]:
    found = []
    for project in projects:
        page = call.client.list(f"/projects/{segment(project['id'])}/services")
        found += [{**each, "project": project} for each in matching(page["items"], wanted)]
    return found


def _the_only(wanted: str, found: list[Row]) -> Row | None:
    projects = sorted({each["project"]["slug"] for each in found})
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
    """The chosen project. Raises CommandFailed."""
    link = current_link(call)
    if call.args.project is None and link is not None:
        row: Row = call.client.get(f"/projects/{segment(link.project_id)}")
        return row
    if call.args.project is None:
        hint = "Name one with --project NAME; `orc projects` lists them."
        raise UsageError(f"no project is chosen{link_elsewhere(call)}", hint=hint)
    return pick(list_projects(call), call.args.project, "project")


def list_projects(call: Invocation) -> list[Row]:
    """All projects of the team."""
    items: list[Row] = call.client.list("/projects")["items"]
    return items


def pick(rows: Iterable[Row], wanted: str, what: str) -> Row:
    """The one row of that id, slug or name. Raises CommandFailed."""
    found = find_one(rows, wanted, what)
    if found is None:
        hint = f"`orc {what}s list` shows what there is."
        raise CommandFailed(f"there is no {what} {wanted}", hint=hint, code=NOT_FOUND)
    return found


def find_one(rows: Iterable[Row], wanted: str, what: str) -> Row | None:
    """Like `pick`, with None where there is none. Raises UsageError when several are meant."""
    found = matching(rows, wanted)
    if len(found) > 1:
        hint = f"Use the id instead: {', '.join(str(each['id']) for each in found)}."
        raise UsageError(f"several {what}s are called {wanted}", hint=hint)
    return found[0] if found else None


def matching(rows: Iterable[Row], wanted: str) -> list[Row]:
    """Ids and slugs are unique and win over names."""
    candidates = list(rows)
    exact = [each for each in candidates if wanted in {each["id"], each.get("slug")}]
    return exact or [each for each in candidates if each["name"] == wanted]


def same_choice(call: Invocation) -> str:
    """The options that choose the same service in a command that is suggested."""
    said = {"--project": call.args.project, "--service": call.args.service}
    return "".join(f" {option} {value}" for option, value in said.items() if value is not None)


def link_elsewhere(call: Invocation) -> str:
    """Why the folder's link does not count, where that is so."""
    if call.link is None or is_current(call.link, call.client.server):
        return ""
    return f": the link of this folder belongs to {call.link.server}, and {call.client.server.name} is asked"


def current_link(call: Invocation) -> Link | None:
    """The folder's link, where it belongs to the server that is asked."""
    return call.link if call.link is not None and is_current(call.link, call.client.server) else None
