"""`orc deploy`: send a folder (or name an image or a repository), build it, make it live."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from orca.cli.client import segment
from orca.cli.command import Command, Invocation
from orca.cli.deploying import follow_argument, report
from orca.cli.dialogue import ask, is_interactive
from orca.cli.failures import REFUSED, CommandFailed, UsageError
from orca.cli.link import Link, write_link
from orca.cli.orca_file import OrcaFile, read_orca_file
from orca.cli.packing import MEDIA_TYPE, scan, stream
from orca.cli.place import is_current
from orca.cli.progress import UploadBar, show_bytes
from orca.cli.selection import Row, get_linked, get_project, list_projects, matching

_DIRECTORY = {"type": "directory"}


def deploy(call: Invocation) -> int:
    """Find or make the service, give it the source, start the deployment."""
    call.folder = _folder(call)
    file = read_orca_file(call.folder)
    source = _named_source(call.args)
    service = _find_or_make(call, file, source or _DIRECTORY)
    path = f"/services/{segment(service['id'])}"
    if source is not None and _differs(service["source"], source):
        service = call.client.call("PATCH", path, body={"source": source, "version": service["version"]})
    body: dict[str, Any] = {}
    if source is None and (call.args.folder is not None or service["source"]["type"] == "directory"):
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


def _find_or_make(call: Invocation, file: OrcaFile, source: dict[str, Any]) -> Row:
    link = call.link
    is_said = call.args.service is not None or call.args.project is not None
    if link is not None and not is_said and is_current(link, call.client.server):
        return get_linked(call, link)
    project = _find_or_make_project(call, link)
    name = call.args.service or _ask_name(call, "Service", file.name or call.folder.name or "app")
    path = f"/projects/{segment(project['id'])}/services"
    known = matching(call.client.list(path)["items"], name)
    service = known[0] if known else _make_service(call, path, name, file, source)
    if link is None or not is_said:
        _remember(call, project, service)
    return service


def _find_or_make_project(call: Invocation, link: Link | None) -> Row:
    if call.args.project is None and link is not None and is_current(link, call.client.server):
        return get_project(call)
    name = call.args.project or _ask_name(call, "Project", call.folder.name or "app")
    known = matching(list_projects(call), name)
    if known:
        return known[0]
    call.output.note(f"Making the project {name}.")
    made: Row = call.client.post("/projects", {"name": name})
    return made


def _make_service(call: Invocation, path: str, name: str, file: OrcaFile, source: dict[str, Any]) -> Row:
    call.output.note(f"Making the service {name}.")
    kind = {"kind": file.kind} if file.kind else {}
    made: Row = call.client.post(path, {"name": name, "source": source, **kind})
    return made


def _ask_name(call: Invocation, what: str, default: str) -> str:
    if call.args.yes or not is_interactive():
        return default
    return ask(call.output, f"{what}?", default)


def _remember(call: Invocation, project: Row, service: Row) -> None:
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
    files = "1 file" if packing.files == 1 else f"{packing.files} files"
    call.output.note(f"Sent {files}, {show_bytes(packing.size_bytes)}.")
    return upload


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="folder to send (default: this one)")
    parser.add_argument("--image", metavar="REFERENCE", help="deploy this image instead of a folder")
    parser.add_argument("--git", metavar="URL", help="deploy this repository instead of a folder")
    parser.add_argument("--branch", metavar="NAME", help="branch of the repository")
    parser.add_argument("--commit", metavar="ID", help="deploy this commit of the service's repository")
    parser.add_argument("-y", "--yes", action="store_true", help="ask nothing; a new service is named after its folder")
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
            "end. The first time it makes project and service, and links the folder to them."
        ),
    )
}
