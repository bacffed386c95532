"""`orc deploy`: send a folder (or name an image or a repository), build it, make it live."""

import argparse
from pathlib import Path
from typing import Any, Final

from orca import __version__
from orca.cli.client import segment
from orca.cli.command import Command, Invocation, whole_number
from orca.cli.deploy_target import find_target, make, remember
from orca.cli.deploying import follow_argument, report
from orca.cli.dialogue import choose_port
from orca.cli.failures import NOT_FOUND, REFUSED, CommandFailed, UsageError
from orca.cli.local_check import Found, check_folder
from orca.cli.orca_file import FILE_NAME, OrcaFile, read_orca_file
from orca.cli.packing import MEDIA_TYPE, Packing, scan, stream
from orca.cli.progress import UploadBar
from orca.cli.selection import Row, get_service
from orca.kit.amounts import counted, show_bytes

_DIRECTORY: Final = {"type": "directory"}
_SOURCE_FILES: Final = (FILE_NAME, "Dockerfile")


def deploy(call: Invocation) -> int:
    """Find or create the service, set its source, start the deployment. Nothing is created before all is checked."""
    call.folder = _folder(call)
    source = _named_source(call.args)
    if source is None and call.args.commit is not None:
        return _deploy_commit(call)
    file = read_orca_file(call.folder)
    target = find_target(call, file.name)
    sends_folder = source is None and (call.args.folder is not None or _takes_folders(target.service))
    packing, found = _look(call, file) if sends_folder else (None, Found(file.kind))
    project, service = target.project, target.service
    if service is None:
        project, service = make(call, target, source or _DIRECTORY, _settings(call, found))
    elif call.args.port is not None:
        hint = f"`orc services edit {service['slug']} --port {call.args.port}` changes it."
        raise UsageError("--port is for a service that is not there yet", hint=hint)
    if source is not None and _differs(service["source"], source):
        service = call.client.call("PATCH", _path(service), body={"source": source, "version": service["version"]})
    body = {"commit": call.args.commit} if call.args.commit is not None else {}
    if packing is not None:
        body["upload_id"] = _upload(call, _path(service), packing)["id"]
    elif source is None:
        call.output.note("Deploying its own source; `orc deploy .` sends this folder instead.")
    deployment = call.client.post(f"{_path(service)}/deployments", body)
    if packing is not None:
        remember(call, project, service)
    return report(call, deployment)


def _deploy_commit(call: Invocation) -> int:
    """Deploy a commit of the service's repository; no folder is sent, since a folder has no commits."""
    try:
        service = get_service(call)
    except CommandFailed as error:
        if error.code == NOT_FOUND:
            error.hint = "--commit is for a service that is there; `orc deploy --git URL --commit ID` makes one."
        raise
    if service["source"]["type"] != "git":
        hint = "Leave --commit out, or give --git URL too."
        raise UsageError(f"{service['slug']} has no repository, so that there are no commits", hint=hint)
    return report(call, call.client.post(f"{_path(service)}/deployments", {"commit": call.args.commit}))


def _settings(call: Invocation, found: Found) -> dict[str, Any]:
    """Return the new service's settings. Raises UsageError when a port must be chosen without a terminal to ask."""
    port = call.args.port
    if port is None and found.ports and (port := choose_port(call.output, found.ports)) is None:
        listed = ", ".join(map(str, found.ports))
        hint = f"Choose one: `orc deploy --port {found.ports[0]}`, or `ports` in orca.yaml."
        raise UsageError(f"several ports could be the one for visitors: {listed}", hint=hint)
    ports = [{"name": "http", "port": port, "public": True}]
    return ({"kind": found.kind} if found.kind else {}) | ({"ports": ports} if port is not None else {})


def _path(service: Row) -> str:
    return f"/services/{segment(service['id'])}"


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
    if args.commit is not None and (args.folder or args.image):
        raise UsageError("--commit is one of a repository; no folder or image has any")
    if args.branch is not None and args.git is None:
        raise UsageError("--branch belongs to --git")
    if args.image is not None:
        return {"type": "image", "image": args.image}
    if args.git is not None:
        return {"type": "git", "repository": args.git} | ({"branch": args.branch} if args.branch else {})
    return None


def _differs(stored: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return any(stored.get(key) != value for key, value in wanted.items())


def _look(call: Invocation, file: OrcaFile) -> tuple[Packing, Found]:
    """Return what will be sent, and the service that it becomes. Raises CommandFailed for what would be refused."""
    _check_folder(call.folder)
    found = _check(call, file)
    packing = scan(call.folder, file.dockerfile)
    for skipped in packing.skipped:
        call.output.note(f"Not sent: {skipped} is neither file, folder nor link.")
    return packing, found


def _check_folder(folder: Path) -> None:
    """Refuse a home folder or one above it, unless it contains a file that marks it as a source."""
    home = Path.home().resolve()
    if folder not in {home, *home.parents} or any((folder / name).is_file() for name in _SOURCE_FILES):
        return
    what = "your home folder" if folder == home else "a folder above your home"
    raise CommandFailed(
        f"{folder} is {what}, with many private files in it", code=REFUSED,
        hint="Go to the folder of your project, or name it: `orc deploy FOLDER`. With an orca.yaml or a Dockerfile "
        "in it, this folder is sent as well.",
    )  # fmt: skip


def _check(call: Invocation, file: OrcaFile) -> Found:
    """Return what the folder becomes. Raises CommandFailed for an orca.yaml that the server would refuse."""
    try:
        return check_folder(call.folder)
    except CommandFailed:
        if call.client.version() == __version__:
            raise
        return Found(file.kind)  # a server of another version may know other keys


def _takes_folders(service: Row | None) -> bool:
    return service is None or service["source"]["type"] == "directory"


def _upload(call: Invocation, path: str, packing: Packing) -> Row:
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
    parser.add_argument("--port", type=whole_number, metavar="PORT", help="where a new service listens for visitors")
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
            "end. The first time it asks for a project and for the service's name, and makes what is not there yet;\n"
            "without a terminal only with --yes. A service that is there and has a name of its own needs no project.\n"
            "A folder that was sent is linked to its service. An orca.yaml that is wrong is refused before anything\n"
            "is made or sent."
        ),
    )
}
