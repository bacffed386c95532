"""`orc domains`: hostnames of a service."""

import argparse
from typing import Any

from orca.cli.client import segment
from orca.cli.command import Command, Invocation, text_of, whole_number
from orca.cli.failures import FAILED, NOT_FOUND, OK, CommandFailed, UsageError
from orca.cli.output import Part, Screen, Styled
from orca.cli.selection import Row, service_path
from orca.cli.states import state_of
from orca.cli.times import ago


def list_domains(call: Invocation) -> None:
    """With what is wrong with them."""
    page = call.client.list(service_path(call, "/routes"))

    def draw(screen: Screen) -> None:
        if not page["items"]:
            screen.line("There are no hostnames. `orc domains add www.example.org` adds one.")
            return
        screen.table(["URL", "STATE", "TLS", "PORT", "PROBLEM"], map(_row, page["items"]))

    call.output.answer(page, draw)


def add(call: Invocation) -> None:
    """Served when this comes back, or not saved at all."""
    body = {"hostname": call.args.hostname, "path_prefix": call.args.path}
    optional = {"port": call.args.port, "tls": call.args.tls, "redirect_to": call.args.redirect_to}
    body |= {name: value for name, value in optional.items() if value is not None}
    route = call.client.post(service_path(call, "/routes"), body)
    call.output.answer(route, lambda screen: _draw_added(screen, route))


def remove(call: Invocation) -> None:
    """The service goes on under its other hostnames."""
    route = _find(call)
    call.client.call("DELETE", f"/routes/{segment(route['id'])}")
    call.output.answer(route, lambda screen: screen.line(f"{route['hostname']} is not served any more."))


def check(call: Invocation) -> int:
    """DNS, reachability, certificate. Fails when one of them does."""
    return _look(call, "")


def retry(call: Invocation) -> int:
    """Order the certificate now, without waiting for the pause after a failed order to end."""
    return _look(call, "?retry=true")


def _look(call: Invocation, query: str) -> int:
    found = call.client.post(f"/routes/{segment(_find(call)['id'])}/check{query}")
    call.output.answer(found, lambda screen: _draw_findings(screen, found["findings"]))
    return OK if found["ok"] else FAILED


def _find(call: Invocation) -> Row:
    """The route that was named, by id, hostname, or hostname and path."""
    wanted = call.args.hostname
    routes = call.client.list(service_path(call, "/routes"))["items"]
    found = [
        each for each in routes if wanted in {each["id"], each["hostname"], each["hostname"] + each["path_prefix"]}
    ]
    if not found:
        hint = "`orc domains` lists what there is."
        raise CommandFailed(f"this service has no hostname {wanted}", hint=hint, code=NOT_FOUND)
    if len(found) > 1:
        places = ", ".join(each["hostname"] + each["path_prefix"] for each in found)
        raise UsageError(f"{wanted} is served in several places", hint=f"Name one of {places}.")
    chosen: Row = found[0]
    return chosen


def _row(route: dict[str, Any]) -> list[Part]:
    where = f"{route['url']} → {route['redirect_to']}" if route["redirect_to"] else route["url"]
    problem = route["problem"]
    if route["acme_check_at"] and problem:
        problem += f" Next try {ago(route['acme_check_at'])}."
    return [where, state_of(route["state"]), route["tls"], text_of(route["port"], "public"), problem]


def _draw_added(screen: Screen, route: dict[str, Any]) -> None:
    screen.line(Styled(route["url"], "cyan"), " ", state_of(route["state"]))
    if route["problem"]:
        screen.line(Styled(route["problem"], "yellow"))


def _draw_findings(screen: Screen, findings: list[dict[str, Any]]) -> None:
    for each in findings:
        mark = Styled("✓", "green") if each["ok"] else Styled("✗", "red")
        screen.line(mark, f" {each['name']:<12} {each['detail']}")
        if each["hint"]:
            screen.line(" " * 15, Styled(each["hint"], "cyan"))


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    _hostname_argument(parser)
    parser.add_argument("--path", default="/", metavar="PREFIX", help="serve only what is below this path")
    parser.add_argument(
        "--port", type=whole_number, metavar="PORT", help="port of the service (default: the first public one)"
    )
    parser.add_argument("--tls", choices=["acme", "internal", "off"], help="who issues the certificate")
    parser.add_argument("--redirect-to", metavar="URL", help="send visitors there instead")


def _hostname_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("hostname", metavar="HOSTNAME", help="such as www.example.org, or *.example.org for one label")


COMMANDS = {
    "list": Command(list_domains, "orc domains list --service web"),
    "add": Command(
        add, "orc domains add www.example.org\norc domains add example.org --redirect-to https://www.example.org",
        arguments=_add_arguments,
    ),
    "remove": Command(remove, "orc domains remove www.example.org", arguments=_hostname_argument),
    "check": Command(check, "orc domains check www.example.org", arguments=_hostname_argument),
    "retry": Command(retry, "orc domains retry www.example.org", arguments=_hostname_argument),
}  # fmt: skip
