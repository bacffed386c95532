"""What `orc deploy` is about: a service that is there, or one that has to be made with its project."""

from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from orca.cli.client import segment
from orca.cli.command import Invocation
from orca.cli.dialogue import ask, is_interactive
from orca.cli.failures import CommandFailed, UsageError
from orca.cli.link import Link, write_link
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
    """The service that is meant. What is not there yet has only a name."""

    project: Row | None
    project_name: str
    service: Row | None
    service_name: str


def find_target(call: Invocation, name_in_file: str | None) -> Target:
    """By the flags, by the link, or by asking. Raises UsageError where nobody can be asked whether to make it."""
    link, said = current_link(call), call.args.service
    if link is not None and not _is_said(call):
        return Target(None, link.project, get_linked(call, link), link.service)
    if said is not None and call.args.project is None and (found := find_service(call, said)):
        return Target(found["project"], found["project"]["slug"], found, found["slug"])
    project, project_name = _find_project(call)
    name = said or _ask(call, "What is the service called?", name_in_file or _folder_name(call))
    rows = call.client.list(f"/projects/{segment(project['id'])}/services")["items"] if project else []
    target = Target(project, project_name, find_one(rows, name, "service"), name)
    if target.service is None:
        _check_consent(call, target)
    return target


def _find_project(call: Invocation) -> tuple[Row | None, str]:
    if call.args.project is None and current_link(call) is not None:
        project = get_project(call)
        return project, project["slug"]
    question = "Which project (a group of services, such as shop)?"
    name = call.args.project or _ask(call, question, _folder_name(call))
    return find_one(list_projects(call), name, "project"), name


def _check_consent(call: Invocation, target: Target) -> None:
    """Without somebody to ask, only `--yes` makes anything: a slip of the pen should not."""
    if call.args.yes or is_interactive():
        return
    missing = f"service {target.service_name} in {target.project_name}"
    if target.project is None:
        missing = f"project {target.project_name} for the service {target.service_name}"
    hint = "Without a terminal, --yes makes it. `orc services list` shows what there is."
    raise UsageError(f"there is no {missing} yet", hint=hint)


def make(call: Invocation, target: Target, source: dict[str, Any], kind: str | None) -> tuple[Row, Row]:
    """The project and the service, made where they are not there. A refused service leaves no new project behind."""
    project = target.project or call.client.post("/projects", {"name": target.project_name})
    body = {"name": target.service_name, "source": source} | ({"kind": kind} if kind else {})
    try:
        service: Row = call.client.post(f"/projects/{segment(project['id'])}/services", body)
    except CommandFailed:
        if target.project is None:
            with suppress(CommandFailed):  # why the service was refused says more
                call.client.call("DELETE", f"/projects/{segment(project['id'])}")
        raise
    if target.project is None:
        call.output.note(f"Made the project {project['slug']}.")
    call.output.note(f"Made the service {service['slug']}{f' ({kind})' if kind else ''}.")
    return project, service


def remember(call: Invocation, project: Row | None, service: Row) -> None:
    """Link the folder, unless it is linked already and something else was meant only this once."""
    if project is None or (call.link is not None and _is_said(call)):
        return
    link = Link(call.client.server.name, project["id"], service["id"], project["slug"], service["slug"])
    if call.link is not None and asdict(call.link) == asdict(link):
        return
    try:
        write_link(call.folder, link)
    except OSError as error:
        call.output.note(f"The folder could not be linked to the service ({error.strerror}); name it with --service.")


def _ask(call: Invocation, question: str, default: str) -> str:
    if call.args.yes or not is_interactive():
        return default
    return ask(call.output, question, default)


def _folder_name(call: Invocation) -> str:
    return call.folder.name or "app"


def _is_said(call: Invocation) -> bool:
    return call.args.service is not None or call.args.project is not None
