"""`orc status`: the state of the selected service, or of all services."""

from typing import Any

from orca.cli.client import segment
from orca.cli.command import Command, Invocation, text_of
from orca.cli.deploying import Address, list_addresses
from orca.cli.failures import CommandFailed
from orca.cli.observing import find_newest
from orca.cli.output import Part, Screen, Styled
from orca.cli.selection import get_project, get_service, link_elsewhere
from orca.cli.states import service_state
from orca.cli.times import ago

ENGINE_AWAY = 503
_COLUMNS = ("PROJECT", "SERVICE", "KIND", "STATE", "SINCE", "URL", "REASON")


def show_status(call: Invocation) -> None:
    """Show the selected service in detail, or else one line per service."""
    elsewhere = link_elsewhere(call)
    is_linked = call.link is not None and not elsewhere
    if call.args.service is not None or (is_linked and call.args.project is None):
        _show_one(call)
        return
    _show_all(call)
    if elsewhere:
        call.output.note(Styled("note", "yellow"), elsewhere)


def _show_one(call: Invocation) -> None:
    service = get_service(call)
    addresses = list_addresses(call, service["id"])
    found = {
        "service": service,
        "status": call.client.get(f"/services/{segment(service['id'])}/status"),
        "deployment": find_newest(call.client, service["id"]),
        **_look_at_containers(call, service["id"]),
        "urls": [address.url for address in addresses],
    }
    call.output.answer(found, lambda screen: screen.facts(_facts(found, addresses)))


def _look_at_containers(call: Invocation, service_id: str) -> dict[str, Any]:
    """Return the containers, or None and the reason: the rest of the status must be shown while Docker is down."""
    try:
        return {"containers": call.client.get(f"/services/{segment(service_id)}/containers")}
    except CommandFailed as failure:
        if failure.problem is None or failure.problem["status"] != ENGINE_AWAY:
            raise
        return {"containers": None, "containers_problem": failure.message}


def _facts(found: dict[str, Any], addresses: list[Address]) -> list[tuple[str, Part]]:
    service, deployment, status = found["service"], found["deployment"], found["status"]
    facts: list[tuple[str, Part]] = [
        ("service", f"{service['name']} ({service['kind']})"),
        ("state", service_state(status["state"])),
        *_facts_of_containers(found),
        ("deployment", _last(deployment)),
    ]
    reason = (deployment["reason"] if deployment else "") or status["reason"]
    facts += [("reason", Styled(reason, "red"))] if reason else []
    return [*facts, *(("url", address.shown) for address in addresses)]


def _facts_of_containers(found: dict[str, Any]) -> list[tuple[str, Part]]:
    if found["containers"] is None:
        return [("runs", Styled(f"unknown: {found['containers_problem']}", "yellow"))]
    running = [container for container in found["containers"] if container["state"] == "running"]
    releases = ", ".join(
        sorted({str(container["release"]) for container in running if container["release"] is not None})
    )
    return [("runs", f"{len(running)} of {found['service']['replicas']} replicas"), ("release", text_of(releases))]


def _show_all(call: Invocation) -> None:
    query = {} if call.args.project is None else {"project_id": get_project(call)["id"]}
    services = call.client.list("/services", **query)["items"]

    def draw(screen: Screen) -> None:
        if not services:
            screen.line("There are no services yet. `orc deploy` in a project's folder makes the first.")
            return
        screen.table(_COLUMNS, map(_row, services), spare=("KIND", "SINCE", "REASON", "PROJECT"))

    call.output.answer(services, draw)


def _row(service: dict[str, Any]) -> list[Part]:
    status = service["status"]
    return [service["project"], service["slug"], service["kind"], service_state(status["state"]), ago(status["since"]),
            next(iter(status.get("urls") or ()), ""), status["reason"]]  # fmt: skip


def _last(deployment: dict[str, Any] | None) -> str:
    if deployment is None:
        return "none yet"
    return f"{deployment['number']} {deployment['state']} {ago(deployment['created_at'])}"


COMMANDS = {"status": Command(show_status, "orc status\norc status web\norc status --project shop")}
