"""`orc services`: what can be deployed, and how it is built and run."""

import argparse
from typing import Any

from orca.cli.client import segment
from orca.cli.command import Command, Invocation, text_of
from orca.cli.commands.projects import confirm_argument
from orca.cli.dialogue import confirm
from orca.cli.failures import UsageError
from orca.cli.observing import NOT_DEPLOYED, observe
from orca.cli.output import Part, Screen
from orca.cli.selection import get_project, get_service, list_projects
from orca.cli.settings import edit_arguments, settings_from
from orca.cli.states import state_of
from orca.cli.times import ago

_NEVER_LIVE = frozenset({NOT_DEPLOYED, "deploying", "failed", "unknown"})
"""States that may be those of a service without a live release."""


def list_services(call: Invocation) -> None:
    """Of a project, or of all."""
    projects = [get_project(call)] if call.args.project is not None else list_projects(call)
    names = {each["id"]: each["slug"] for each in projects}
    pages = [call.client.list(f"/projects/{segment(each['id'])}/services") for each in projects]
    found = {"items": [each for page in pages for each in page["items"]], "next_cursor": None}

    def draw(screen: Screen) -> None:
        if not found["items"]:
            screen.line("There are no services yet. `orc deploy` in a project's folder makes the first.")
            return
        states = observe(call.client, found["items"])
        rows = [
            [names[each["project_id"]], *_row(each, state)] for each, state in zip(found["items"], states, strict=True)
        ]
        screen.table(["PROJECT", "SERVICE", "KIND", "STATE", "SOURCE", "CHANGED"], rows)

    call.output.answer(found, draw)


def show(call: Invocation) -> None:
    """All that is set."""
    _take_name(call)
    service = get_service(call)
    call.output.answer(service, lambda screen: screen.facts(_facts(service, observe(call.client, [service])[0])))


def create(call: Invocation) -> None:
    """Nothing runs before its first deployment."""
    settings = settings_from(call.args, {})
    body = {"name": call.args.name, "source": {"type": "directory"}, **settings}
    service = call.client.post(f"/projects/{segment(get_project(call)['id'])}/services", body)
    call.output.answer(
        service, lambda screen: screen.line(f"Made the service {service['slug']}. `orc deploy` makes it live.")
    )


def edit(call: Invocation) -> None:
    """A change that somebody else made meanwhile is not overwritten."""
    _take_name(call)
    service = get_service(call)
    changes = settings_from(call.args, service)
    if not changes:
        raise UsageError("nothing to change", hint="`orc services edit --help` lists what can be.")
    path = f"/services/{segment(service['id'])}"
    changed = call.client.call("PATCH", path, body={**changes, "version": service["version"]})
    done = f"Changed {', '.join(sorted(changes))}. It takes effect with the next deployment."
    call.output.answer(changed, lambda screen: screen.line(done))


def delete(call: Invocation) -> None:
    """What runs of it goes; volumes are detached and stay."""
    _take_name(call)
    service = get_service(call)
    what = f"The service {service['name']}, its containers and hostnames will be deleted. Its volumes stay."
    confirm(call.output, what, service["slug"], call.args.confirm, title=service["name"])
    call.client.call("DELETE", f"/services/{segment(service['id'])}", query={"confirm": service["slug"]})
    call.output.answer(service, lambda screen: screen.line(f"Deleted the service {service['slug']}."))


def _take_name(call: Invocation) -> None:
    """A name behind the command means the same as `--service`."""
    call.args.service = call.args.name or call.args.service


def describe_source(source: dict[str, Any]) -> str:
    """A source in one line."""
    if source["type"] == "git":
        place = source.get("commit") or source.get("tag") or source.get("branch")
        return f"{source['repository']}{f' ({place})' if place else ''}"
    return str(source["image"]) if source["type"] == "image" else "a sent folder"


def _row(service: dict[str, Any], state: str) -> list[Part]:
    return [service["slug"], service["kind"], state_of(state), describe_source(service["source"]),
            ago(service["updated_at"])]  # fmt: skip


def _facts(service: dict[str, Any], state: str) -> list[tuple[str, Part]]:
    ports = ", ".join(f"{each['port']}{' (public)' if each['public'] else ''}" for each in service["ports"])
    limits, health = service["resources"], service["health"]
    probe = f"{health['type']} {health['path']}" if health["type"] in {"auto", "http"} else health["type"]
    return [
        ("name", service["name"]), ("slug", service["slug"]), ("id", service["id"]), ("kind", service["kind"]),
        ("state", state_of(state)), ("source", describe_source(service["source"])),
        ("builder", service["build"]["builder"]), ("ports", text_of(ports, _without_ports(service, state))),
        ("health check", probe), ("strategy", service["strategy"]),
        ("user", text_of(service.get("user"), "of the image")),
        ("replicas", text_of(service["replicas"])), ("CPU cores", text_of(limits["cpus"], "no limit")),
        ("memory", f"{limits['memory_mb']} MiB" if limits["memory_mb"] else "no limit"),
        ("command", text_of(" ".join(service["command"]), "of the image")),
        ("release command", text_of(" ".join(service["release_command"]))), ("restart", service["restart"]),
        ("changed", ago(service["updated_at"])),
    ]  # fmt: skip


def _without_ports(service: dict[str, Any], state: str) -> str:
    """A service that needs a port and names none was built with a detected one."""
    return "detected" if service["kind"] != "worker" and state not in _NEVER_LIVE else "—"


def _name_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="service, by name or id (default: of this folder)")


def _create_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what people call it")
    edit_arguments(parser)


def _edit_arguments(parser: argparse.ArgumentParser) -> None:
    _name_argument(parser)
    parser.add_argument("--name", dest="new_name", metavar="NAME", help="what people call it from now on")
    edit_arguments(parser)


def _delete_arguments(parser: argparse.ArgumentParser) -> None:
    _name_argument(parser)
    confirm_argument(parser)


COMMANDS = {
    "list": Command(list_services, "orc services list --project shop", scope="project"),
    "show": Command(show, "orc services show web", arguments=_name_argument),
    "create": Command(
        create, "orc services create web --project shop --git https://github.com/acme/shop --port 8000",
        scope="project", arguments=_create_arguments,
    ),
    "edit": Command(
        edit, "orc services edit web --memory 512 --health-path /healthz\norc services edit --from settings.json",
        arguments=_edit_arguments,
    ),
    "delete": Command(delete, "orc services delete web --confirm web", arguments=_delete_arguments),
}  # fmt: skip
