"""The target of `orc deploy`: an existing service, or one that has to be created with its project."""

from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from orca.cli.client import segment
from orca.cli.command import Invocation
from orca.cli.dialogue import ask, is_interactive
from orca.cli.failures import CommandFailed, UsageError
from orca.cli.link import Link, write_link
from orca.cli.picker import pick_one
from orca.cli.selection import (
    Row,
    current_link,
    find_one,
    find_service,
    get_linked,
    get_project,
    list_projects,
)


@dataclass(frozen=True, slots=True)
class Target:
    """The chosen service and project. One that does not exist yet has only a name."""

    project: Row | None
    project_name: str
    service: Row | None
    service_name: str


def find_target(call: Invocation, name_in_file: str | None) -> Target:
    """Find it by the flags, the link, or a question. Raises UsageError if creation cannot be confirmed."""
    link, said = current_link(call), call.args.service
    if link is not None and not _is_said(call):
        return Target(None, link.project, get_linked(call, link), link.service)
    if said is not None and call.args.project is None and (found := find_service(call, said)):
        return Target(found["project"], found["project"]["slug"], found, found["slug"])
    project, project_name = _find_project(call)
    rows = call.client.list(f"/projects/{segment(project['id'])}/services")["items"] if project else []
    name = said or _ask_service(call, rows, name_in_file or _folder_name(call))
    target = Target(project, project_name, find_one(rows, name, "service"), name)
    if target.service is None:
        _check_consent(call, target)
    return target


def _find_project(call: Invocation) -> tuple[Row | None, str]:
    if call.args.project is None and current_link(call) is not None:
        project = get_project(call)
        return project, project["slug"]
    projects, name = list_projects(call), call.args.project
    if name is None and projects and _may_ask(call):
        new = _folder_name(call)
        slugs = [project["slug"] for project in projects]
        options = slugs if new in slugs else [f"{new} (new project)", *slugs]
        at = slugs.index(new) if new in slugs else 1
        picked = pick_one(call.output, "Which project?", options, at=at, new="new project {}")
        name = picked if isinstance(picked, str) else options[picked] if options[picked] in slugs else new
    name = name or _ask(call, "Which project (a group of services, such as shop)?", _folder_name(call))
    return find_one(projects, name, "project"), name


def _ask_service(call: Invocation, rows: list[Row], new: str) -> str:
    """Let the user pick a service of the project or name a new one; without a terminal it is called `new`."""
    question = "What is the service called?"
    if not rows or not _may_ask(call):
        return _ask(call, question, new)
    slugs = [row["slug"] for row in rows]
    options = slugs if new in slugs else [f"{new} (new service)", *slugs]
    at = options.index(new) if new in slugs else 0
    picked = pick_one(call.output, question, options, at=at, new="new service {}")
    if isinstance(picked, str):
        return picked
    return options[picked] if options[picked] in slugs else new


def _check_consent(call: Invocation, target: Target) -> None:
    """Without a terminal, only `--yes` creates anything, so that a typing error does not."""
    if call.args.yes or is_interactive():
        return
    missing = f"service {target.service_name} in {target.project_name}"
    if target.project is None:
        missing = f"project {target.project_name} for the service {target.service_name}"
    hint = "Without a terminal, --yes makes it. `orc services list` shows what there is."
    raise UsageError(f"there is no {missing} yet", hint=hint)


def make(call: Invocation, target: Target, source: dict[str, Any], settings: dict[str, Any]) -> tuple[Row, Row]:
    """Create the project and the service if they are missing. If the service is refused, a new project is removed."""
    project = target.project or call.client.post("/projects", {"name": target.project_name})
    body = {"name": target.service_name, "source": source} | settings
    try:
        service: Row = call.client.post(f"/projects/{segment(project['id'])}/services", body)
    except CommandFailed:
        if target.project is None:
            with suppress(CommandFailed):  # the service's error is more useful than this one
                call.client.call("DELETE", f"/projects/{segment(project['id'])}")
        raise
    if target.project is None:
        call.output.note(f"Made the project {project['slug']}.")
    kind = f" ({settings['kind']})" if "kind" in settings else ""
    call.output.note(f"Made the service {service['slug']}{kind}.")
    return project, service


def remember(call: Invocation, project: Row | None, service: Row) -> None:
    """Link the folder, unless it is linked already and another service was chosen only for this run."""
    if project is None or (call.link is not None and _is_said(call)):
        return
    link = Link(call.client.server.name, project["id"], service["id"], project["slug"], service["slug"])
    if call.link is not None and asdict(call.link) == asdict(link):
        return
    try:
        write_link(call.folder, link)
    except OSError as error:
        call.output.note(f"The folder could not be linked to the service ({error.strerror}); name it with --service.")


def _may_ask(call: Invocation) -> bool:
    return not call.args.yes and is_interactive()


def _ask(call: Invocation, question: str, default: str) -> str:
    return ask(call.output, question, default) if _may_ask(call) else default


def _folder_name(call: Invocation) -> str:
    return call.folder.name or "app"


def _is_said(call: Invocation) -> bool:
    return call.args.service is not None or call.args.project is not None
