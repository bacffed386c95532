"""`orc volumes`: data that outlives containers, and is only destroyed explicitly."""

import argparse
from typing import Any

from orca.cli.client import segment
from orca.cli.command import Command, Invocation
from orca.cli.commands.projects import confirm_argument
from orca.cli.dialogue import confirm
from orca.cli.failures import UsageError
from orca.cli.output import Part, Screen, Styled, show_id
from orca.cli.selection import Row, get_project, get_service, pick
from orca.cli.times import ago


def list_volumes(call: Invocation) -> None:
    """List the volumes of the whole project, so that those of deleted services are visible."""
    service = get_service(call) if call.args.service else None
    path = f"/projects/{segment(service['project_id'] if service else get_project(call)['id'])}"
    page = call.client.list(f"{path}/volumes", **({"service_id": service["id"]} if service else {}))

    def draw(screen: Screen) -> None:
        if not page["items"]:
            screen.line("There are no volumes. `orc volumes add data /data` adds one to a service.")
            return
        screen.table(["VOLUME", "SERVICE", "PATH", "MADE", "ID"], [_row(item) for item in page["items"]])

    call.output.answer(page, draw)


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-s", "--service", metavar="NAME", help="only those of this service, by name or id")


def add(call: Invocation) -> None:
    """Add an empty volume, which is mounted from the next deployment on."""
    _attach(call, get_service(call), {"name": call.args.name, "path": call.args.path, **_owner(call)})


def attach(call: Invocation) -> None:
    """Attach a volume with its data, which other services may mount as well."""
    service = get_service(call)
    volume = pick(_volumes(call, service["project_id"]), call.args.name, "volume")
    body = {"volume_id": volume["id"], "path": call.args.path or volume["path"], "read_only": call.args.read_only}
    _attach(call, service, {**body, **_owner(call)})


def edit(call: Invocation) -> None:
    """Change a volume for all services that mount it; the next deployment changes the data's owner if one is set."""
    changes = _owner(call) | ({} if call.args.read_only is None else {"read_only": call.args.read_only})
    if not changes:
        raise UsageError("nothing to change", hint="Give --owner UID:GID, --mode 0750, --read-only or --writable.")
    path = f"/services/{segment(get_service(call)['id'])}/volumes"
    volume = pick(call.client.get(path), call.args.name, "volume")
    row = call.client.call("PATCH", f"{path}/{segment(volume['id'])}", body=changes)
    done = f"Changed {volume['name']}. It takes effect with the next deployment."
    call.output.answer(row, lambda screen: screen.line(done))


def detach(call: Invocation) -> None:
    """Detach a volume from the next deployment on; the data stays."""
    path = f"/services/{segment(get_service(call)['id'])}/volumes"
    volume = pick(call.client.get(path), call.args.name, "volume")
    call.client.call("DELETE", f"{path}/{segment(volume['id'])}")
    done = f"{volume['name']} is detached from the next deployment on. Its data is kept."
    call.output.answer(volume, lambda screen: screen.line(done))


def destroy(call: Invocation) -> None:
    """Destroy a volume and its data. This cannot be undone."""
    volume = pick(_volumes(call, get_project(call)["id"]), call.args.name, "volume")
    what = f"The volume {volume['name']} and all data in it will be destroyed. There is no way back."
    confirm(call.output, what, volume["name"], call.args.confirm)
    row = call.client.post(f"/volumes/{segment(volume['id'])}/destroy", {"confirm": volume["name"]})
    call.output.answer(row, lambda screen: screen.line(f"{volume['name']} is being destroyed."))


def _attach(call: Invocation, service: Row, body: dict[str, Any]) -> None:
    volume = call.client.post(f"/services/{segment(service['id'])}/volumes", body)
    done = f"{volume['name']} is mounted at {volume['path']} from the next deployment on."
    call.output.answer(volume, lambda screen: screen.line(done))


def _owner(call: Invocation) -> dict[str, Any]:
    given = {"owner": call.args.owner, "mode": call.args.mode}
    return {name: value for name, value in given.items() if value is not None}


def _volumes(call: Invocation, project_id: str) -> list[Row]:
    items: list[Row] = call.client.list(f"/projects/{segment(project_id)}/volumes")["items"]
    return items


def _row(volume: dict[str, Any]) -> list[Part]:
    service: Part = ", ".join(mount["service"] for mount in volume["mounts"])
    if not volume["mounts"]:
        service = Styled("detached", "yellow")
    if volume["destroying_since"]:
        service = Styled("being destroyed", "red")
    return [volume["name"], service, volume["path"], ago(volume["created_at"]), show_id(volume["id"])]


def _owner_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--owner", metavar="UID:GID", help="whose the data is (default: the user that runs)")
    parser.add_argument("--mode", metavar="MODE", help="permissions of the folder, such as 0750")


def _edit_arguments(parser: argparse.ArgumentParser) -> None:
    _name_argument(parser)
    _owner_arguments(parser)
    access = parser.add_mutually_exclusive_group()
    access.add_argument(
        "--read-only", dest="read_only", action="store_true", default=None, help="this service can read it only"
    )
    access.add_argument("--writable", dest="read_only", action="store_false", help="this service can write to it")


def _name_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="volume, by name or id")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what it is called")
    parser.add_argument("path", metavar="PATH", help="where the container sees it")
    _owner_arguments(parser)


def _attach_arguments(parser: argparse.ArgumentParser) -> None:
    _name_argument(parser)
    parser.add_argument("path", nargs="?", metavar="PATH", help="where the container sees it (default: as before)")
    parser.add_argument("--read-only", action="store_true", help="the container can read it, and not write to it")
    _owner_arguments(parser)


def _destroy_arguments(parser: argparse.ArgumentParser) -> None:
    _name_argument(parser)
    confirm_argument(parser)


COMMANDS = {
    "list": Command(list_volumes, "orc volumes list web", scope="project", arguments=_list_arguments),
    "add": Command(add, "orc volumes add data /data --service web", arguments=_add_arguments),
    "attach": Command(attach, "orc volumes attach data /data --service web", arguments=_attach_arguments),
    "edit": Command(edit, "orc volumes edit data --owner 10001:10001 --service web", arguments=_edit_arguments),
    "detach": Command(detach, "orc volumes detach data --service web", arguments=_name_argument),
    "destroy": Command(
        destroy, "orc volumes destroy data --project shop --confirm data", scope="project", arguments=_destroy_arguments
    ),
}
