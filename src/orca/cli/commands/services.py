"""`orc services`: what can be deployed, and how it is built and run."""

import argparse
from collections.abc import Callable
from typing import Any

from orca.cli.changes import get_changes
from orca.cli.client import segment
from orca.cli.command import Command, Invocation, text_of
from orca.cli.commands.projects import confirm_argument, slug_argument, slug_of
from orca.cli.container_options import describe_runtime
from orca.cli.deploying import follow_argument, report
from orca.cli.dialogue import confirm
from orca.cli.failures import NOT_FOUND, CommandFailed, UsageError
from orca.cli.output import Part, Screen
from orca.cli.selection import get_project, get_service, pick_environment
from orca.cli.settings import choose_credential, edit_arguments, settings_from
from orca.cli.states import service_state
from orca.cli.times import ago

_COLUMNS = ("PROJECT", "SERVICE", "KIND", "STATE", "URL", "SOURCE", "CHANGED")


def list_services(call: Invocation) -> None:
    """List the services of a project, or of all projects."""
    query = {} if call.args.project is None else {"project_id": get_project(call)["id"]}
    found = call.client.list("/services", **query)

    def draw(screen: Screen) -> None:
        if not found["items"]:
            screen.line("There are no services yet. `orc deploy` in a project's folder makes the first.")
            return
        screen.table(_COLUMNS, map(_row, found["items"]), spare=("CHANGED", "KIND", "SOURCE", "PROJECT"))

    call.output.answer(found, draw)


def show(call: Invocation) -> None:
    """Show all settings."""
    service = get_service(call)
    status = call.client.get(f"/services/{segment(service['id'])}/status")
    call.output.answer({**service, "status": status}, lambda screen: screen.facts(_facts(service, status)))


def create(call: Invocation) -> int:
    """Create a service; nothing runs before its first deployment, which --deploy starts at once."""
    choose_credential(call)
    settings = settings_from(call.args, {})
    body = {"name": call.args.name, "source": {"type": "directory"}, **slug_of(call), **settings}
    if call.args.deploy:
        body["deploy"] = True
    service = call.client.post(_place(call), body)
    if call.args.deploy:
        call.output.note(f"Made the service {service['slug']}.")
        return report(call, call.client.get(f"/deployments/{segment(service['deployment_id'])}"))
    call.output.answer(
        service, lambda screen: screen.line(f"Made the service {service['slug']}. `orc deploy` makes it live.")
    )
    return 0


def _place(call: Invocation) -> str:
    """Return where services are created: an environment's own address also serves those who may there only."""
    if call.args.environment is not None:
        return f"/environments/{segment(pick_environment(call, call.args.environment)['id'])}/services"
    return f"/projects/{segment(get_project(call)['id'])}/services"


def edit(call: Invocation) -> None:
    """Change settings; a concurrent change by another user is not overwritten."""
    service = get_service(call)
    choose_credential(call)
    changes = settings_from(call.args, service)
    if not changes:
        raise UsageError("nothing to change", hint="`orc services edit --help` lists what can be.")
    path = f"/services/{segment(service['id'])}"
    changed = call.client.call("PATCH", path, body={**changes, "version": service["version"]})
    done = f"Changed {', '.join(sorted(changes))}. It takes effect with the next deployment."
    call.output.answer(changed, lambda screen: screen.line(done))


def delete(call: Invocation) -> None:
    """Delete a service and its containers; its volumes are detached and stay."""
    service = get_service(call)
    what = f"The service {service['name']}, its containers and hostnames will be deleted. Its volumes stay."
    confirm(call.output, what, service["slug"], call.args.confirm, title=service["name"])
    call.client.call("DELETE", f"/services/{segment(service['id'])}", query={"confirm": service["slug"]})
    call.output.answer(service, lambda screen: screen.line(f"Deleted the service {service['slug']}."))


def discard(call: Invocation) -> None:
    """Return settings and variables to those of the live release, after showing what waits for a deployment."""
    service = get_service(call)
    path = f"/services/{segment(service['id'])}/changes"
    waiting = get_changes(call.client, service["id"])
    if not waiting["changes"]:
        told = f"Nothing of {service['slug']} waits for a deployment."
        call.output.answer(waiting, lambda screen: screen.line(told))
        return
    for line in waiting["changes"]:
        call.output.note("  ", line)
    what = f"These changes of {service['slug']} will be discarded."
    confirm(call.output, what, service["slug"], call.args.confirm, title=service["name"])
    left = call.client.call("POST", f"{path}/discard", body={"revision": waiting["revision"]})
    done = f"Discarded. {service['slug']} has the settings and variables of what runs."
    call.output.answer(left, lambda screen: screen.line(done))


def grant(call: Invocation) -> None:
    """Grant a service privileges, which only an instance admin can; its settings may then ask for them."""
    _replace_privileges(call, lambda held: {*held, *call.args.privileges})


def revoke(call: Invocation) -> None:
    """Take privileges back; what runs keeps them until it is replaced, and the next deployment has to do without."""
    service = get_service(call)
    absent = [privilege for privilege in call.args.privileges if privilege not in service["privileges"]]
    if absent:
        has = ", ".join(service["privileges"]) or "none"
        raise CommandFailed(f"{service['slug']} has no privilege {absent[0]}", hint=f"It has: {has}.", code=NOT_FOUND)
    _replace_privileges(call, lambda held: {*held} - {*call.args.privileges})


def _replace_privileges(call: Invocation, change: Callable[[list[str]], set[str]]) -> None:
    service = get_service(call)
    body = {"privileges": sorted(change(service["privileges"]))}
    granted = call.client.call("PUT", f"/services/{segment(service['id'])}/privileges", body=body)

    def draw(screen: Screen) -> None:
        if not granted:
            screen.line(f"{service['slug']} has no privileges any more.")
        for privilege in granted:
            screen.line(f"{privilege['privilege']}: {service['slug']} {privilege['meaning']}.")

    call.output.answer(granted, draw)


def describe_source(source: dict[str, Any]) -> str:
    """Describe a source in one line."""
    if source["type"] == "git":
        place = source.get("commit") or source.get("tag") or source.get("branch")
        return f"{source['repository']}{f' ({place})' if place else ''}"
    return str(source["image"]) if source["type"] == "image" else "a sent folder"


def _row(service: dict[str, Any]) -> list[Part]:
    status = service["status"]
    return [service["project"], service["slug"], service["kind"], service_state(status["state"]),
            next(iter(status.get("urls") or ()), ""), describe_source(service["source"]),
            ago(service["updated_at"])]  # fmt: skip


def _facts(service: dict[str, Any], status: dict[str, Any]) -> list[tuple[str, Part]]:
    ports = ", ".join(f"{port['port']}{' (public)' if port['public'] else ''}" for port in service["ports"])
    limits, health = service["resources"], service["health"]
    probe = f"{health['type']} {health['path']}" if health["type"] in {"auto", "http"} else health["type"]
    probe = " ".join(["command:", *health["command"]]) if probe == "command" else probe
    return [
        ("name", service["name"]), ("slug", service["slug"]), ("id", service["id"]), ("kind", service["kind"]),
        ("state", service_state(status["state"])), ("reason", text_of(status["reason"])),
        ("source", describe_source(service["source"])),
        ("builder", service["build"]["builder"]), ("ports", text_of(ports, _without_ports(service, status))),
        ("health check", probe), ("strategy", service["strategy"]),
        ("user", text_of(service.get("user"), "of the image")),
        ("replicas", text_of(service["replicas"])), ("CPU cores", text_of(limits["cpus"], "no limit")),
        ("memory", f"{limits['memory_mb']} MiB" if limits["memory_mb"] else "no limit"),
        ("command", text_of(" ".join(service["command"]), "of the image")),
        ("release command", text_of(" ".join(service["release_command"]))), ("restart", service["restart"]),
        ("container", text_of(describe_runtime(service.get("runtime", {})), "as the image says")),
        ("privileges", text_of(", ".join(service.get("privileges", [])))), ("changed", ago(service["updated_at"])),
    ]  # fmt: skip


def _without_ports(service: dict[str, Any], status: dict[str, Any]) -> str:
    """Return the text for a service without configured ports; if it needs one, it was built with a detected one."""
    return "detected" if service["kind"] != "worker" and status["release"] is not None else "—"


def _create_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what people call it")
    slug_argument(parser)
    parser.add_argument(
        "--environment", metavar="NAME", help="the environment of the project that it lives in (default: production)"
    )
    parser.add_argument("--deploy", action="store_true", help="deploy it at once, and follow the deployment")
    follow_argument(parser)
    edit_arguments(parser)


def _edit_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", dest="new_name", metavar="NAME", help="what people call it from now on")
    edit_arguments(parser)


def _privilege_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "privileges", nargs="+", metavar="PRIVILEGE", help="such as capability:NET_ADMIN or device:/dev/dri"
    )


COMMANDS = {
    "list": Command(list_services, "orc services list --project shop", scope="project"),
    "show": Command(show, "orc services show web"),
    "create": Command(
        create,
        "orc services create web --project shop --git https://github.com/acme/shop --deploy\n"
        "orc services create web --project shop --environment staging --image ghcr.io/acme/shop:next",
        scope="project", arguments=_create_arguments,
    ),
    "edit": Command(
        edit, "orc services edit web --memory 512 --health-path /healthz\norc services edit --from settings.json",
        arguments=_edit_arguments,
    ),
    "grant": Command(
        grant, "orc services grant capability:NET_ADMIN device:/dev/net/tun --service vpn",
        arguments=_privilege_arguments,
    ),
    "revoke": Command(revoke, "orc services revoke capability:NET_ADMIN --service vpn", arguments=_privilege_arguments),
    "discard": Command(discard, "orc services discard web", arguments=confirm_argument),
    "delete": Command(delete, "orc services delete web --confirm web", arguments=confirm_argument),
}  # fmt: skip
