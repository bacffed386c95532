"""`orc deploy`: send a folder (or name an image or a repository), build it, make it live."""

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orca import __version__
from orca.cli.client import segment
from orca.cli.command import Command, Invocation
from orca.cli.deploying import follow_argument, report
from orca.cli.dialogue import ask, is_interactive
from orca.cli.failures import REFUSED, CommandFailed, UsageError
from orca.cli.link import Link, write_link
from orca.cli.look import check_folder
from orca.cli.orca_file import OrcaFile, read_orca_file
from orca.cli.packing import MEDIA_TYPE, scan, stream
from orca.cli.place import is_current
from orca.cli.progress import UploadBar
from orca.cli.selection import Row, find_one, get_linked, get_project, list_projects
from orca.kit.amounts import counted, show_bytes

_DIRECTORY = {"type": "directory"}


@dataclass(frozen=True, slots=True)
class Target:
    """The service that is meant. What is not there yet has only a name."""

    project: Row | None
    project_name: str
    service: Row | None
    service_name: str


def deploy(call: Invocation) -> int:
    """Find or make the service, give it the source, start the deployment. Nothing is made before all is checked."""
    call.folder = _folder(call)
    file = read_orca_file(call.folder)
    source = _named_source(call.args)
    target = _find(call, file)
    sends_folder = source is None and (call.args.folder is not None or _takes_folders(target.service))
    kind = _check(call, file) if sends_folder else file.kind
    service = target.service or _make(call, target, source or _DIRECTORY, kind)
    path = f"/services/{segment(service['id'])}"
    if source is not None and _differs(service["source"], source):
        service = call.client.call("PATCH", path, body={"source": source, "version": service["version"]})
    body: dict[str, Any] = {}
    if sends_folder:
        body["upload_id"] = _upload(call, path, file)["id"]
    elif source is None:
        call.output.note("Deploying its own source; `orc deploy .` sends this folder instead.")
    if call.args.commit is not None:
        body["commit"] = call.args.commit
    return report(call, call.client.post(f"{path}/deployments", body))


def _folder(call: Invocation) -> Path:
    folder = (call.folder / (call.args.folder or ".")).resolve()
    if not folder.is_dir():
        raise CommandFailed(f"{folder} is no folder", code=REFUSED)
    return folder


def _named_source(args: argparse.Namespace) -> dict[str, Any] | None:
    if args.image is not None and args.git is not None:
        raise UsageError("--image and --git exclude each other")
    if args.folder is not None and (args.image or args.git):
        raise UsageError("a folder is sent, or --image or --git is deployed; not both")
    if args.branch is not None and args.git is None:
        raise UsageError("--branch belongs to --git")
    if args.image is not None:
        return {"type": "image", "image": args.image}
    if args.git is not None:
        return {"type": "git", "repository": args.git} | ({"branch": args.branch} if args.branch else {})
    return None


def _differs(stored: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return any(stored.get(key) != value for key, value in wanted.items())


def _check(call: Invocation, file: OrcaFile) -> str | None:
    """The kind of service that the folder makes. Raises CommandFailed for an orca.yaml that the server would refuse."""
    try:
        return check_folder(call.folder)
    except CommandFailed:
        if call.client.version() == __version__:
            raise
        return file.kind  # a server of another version may know other keys


def _takes_folders(service: Row | None) -> bool:
    return service is None or service["source"]["type"] == "directory"


def _find(call: Invocation, file: OrcaFile) -> Target:
    """By the flags, by the link, or by asking."""
    link = call.link if call.link is not None and is_current(call.link, call.client.server) else None
    if link is not None and not _is_said(call):
        return Target(None, link.project, get_linked(call, link), link.service)
    folder_name = call.folder.name or "app"
    if call.args.project is None and link is not None:
        project: Row | None = get_project(call)
        project_name = link.project
    else:
        question = "Which project (a group of services, such as shop)?"
        project_name = call.args.project or _ask(call, question, folder_name)
        project = find_one(list_projects(call), project_name, "project")
    name = call.args.service or _ask(call, "What is the service called?", file.name or folder_name)
    rows = call.client.list(f"/projects/{segment(project['id'])}/services")["items"] if project else []
    target = Target(project, project_name, find_one(rows, name, "service"), name)
    if project and target.service:
        _remember(call, project, target.service)
    return target


def _make(call: Invocation, target: Target, source: dict[str, Any], kind: str | None) -> Row:
    """The service, and its project where there is none."""
    project = target.project
    if project is None:
        call.output.note(f"Making the project {target.project_name}.")
        project = call.client.post("/projects", {"name": target.project_name})
    call.output.note(f"Making the service {target.service_name}{f' ({kind})' if kind else ''}.")
    body = {"name": target.service_name, "source": source} | ({"kind": kind} if kind else {})
    service: Row = call.client.post(f"/projects/{segment(project['id'])}/services", body)
    _remember(call, project, service)
    return service


def _ask(call: Invocation, question: str, default: str) -> str:
    if call.args.yes or not is_interactive():
        return default
    return ask(call.output, question, default)


def _is_said(call: Invocation) -> bool:
    return call.args.service is not None or call.args.project is not None


def _remember(call: Invocation, project: Row, service: Row) -> None:
    """Link the folder, unless it is linked already and something else was meant only this once."""
    if call.link is not None and _is_said(call):
        return
    link = Link(call.client.server.name, project["id"], service["id"], project["slug"], service["slug"])
    if call.link is not None and asdict(call.link) == asdict(link):
        return
    try:
        write_link(call.folder, link)
    except OSError as error:
        call.output.note(f"The folder could not be linked to the service ({error.strerror}); name it with --service.")


def _upload(call: Invocation, path: str, file: OrcaFile) -> Row:
    packing = scan(call.folder, file.dockerfile)
    for skipped in packing.skipped:
        call.output.note(f"Not sent: {skipped} is neither file, folder nor link.")
    bar = UploadBar(call.output, packing.size_bytes)
    try:
        upload: Row = call.client.send(f"{path}/uploads", stream(packing, bar.tell), MEDIA_TYPE, packing.size_bytes)
    finally:
        bar.close()
    call.output.note(f"Sent {counted(packing.files, 'file')}, {show_bytes(packing.size_bytes)}.")
    return upload


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="folder to send (default: this one)")
    parser.add_argument("--image", metavar="REFERENCE", help="deploy this image instead of a folder")
    parser.add_argument("--git", metavar="URL", help="deploy this repository instead of a folder")
    parser.add_argument("--branch", metavar="NAME", help="branch of the repository")
    parser.add_argument("--commit", metavar="ID", help="deploy this commit of the service's repository")
    parser.add_argument("-y", "--yes", action="store_true", help="ask nothing; what is new is named after the folder")
    follow_argument(parser)


COMMANDS = {
    "deploy": Command(
        deploy,
        "orc deploy\n"
        "orc deploy --image ghcr.io/acme/shop:1.4 --service shop\n"
        "orc deploy --git https://github.com/acme/shop --branch main",
        arguments=_arguments,
        details=(
            "Sends the folder without what .gitignore and .dockerignore leave out, and follows the deployment to its\n"
            "end. The first time it asks for a project and for the service's name, makes what is not there yet, and\n"
            "links the folder to it. An orca.yaml that is wrong is refused before anything is made or sent."
        ),
    )
}
