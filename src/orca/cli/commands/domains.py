"""`orc domains`: hostnames of a service."""

import argparse
from contextlib import suppress
from typing import Any

from orca.cli.client import segment
from orca.cli.command import Command, Invocation, text_of, whole_number
from orca.cli.dialogue import read_secret
from orca.cli.failures import FAILED, NOT_FOUND, OK, CommandFailed, UsageError
from orca.cli.output import Part, Screen, Styled
from orca.cli.selection import Row, find_id, service_path
from orca.cli.states import state_of
from orca.cli.times import ago
from orca.kit.text import join

_WAITING = {"unreachable": "does not lead here", "awaiting_certificate": "waiting for a certificate"}
_OFF = -1


def list_domains(call: Invocation) -> None:
    """List the hostnames, with their problems."""
    page = call.client.list(service_path(call, "/routes"))
    columns = ["URL", "STATE", "TLS", "PORT", "PROBLEM"]
    empty = "There are no hostnames. `orc domains add www.example.org` adds one."
    call.output.table(page, columns, _row, empty=empty)


def add(call: Invocation) -> None:
    """Add a hostname: it is served on return, or not saved at all. Then check whether the name leads here."""
    body = {"hostname": call.args.hostname, "path_prefix": call.args.path}
    optional = {"port": call.args.port, "tls": call.args.tls, "redirect_to": call.args.redirect_to}
    body |= {name: value for name, value in optional.items() if value is not None}
    route = call.client.post(service_path(call, "/routes"), body)

    def draw(screen: Screen) -> None:
        _draw_route(screen, route)
        with suppress(CommandFailed):  # the hostname is served; the check may need a permission that adding does not
            findings = call.client.post(f"/routes/{segment(route['id'])}/check")["findings"]
            _draw_findings(screen, [finding for finding in findings if not finding["ok"]])

    call.output.answer(route, draw)


def edit(call: Invocation) -> None:
    """Change only the passed settings; a route that cannot be served is not saved."""
    route = _find(call)
    if call.args.certificate:
        call.args.certificate = find_id(
            call.client, call.args.certificate, "certificate", "orc certificates list", "/certificates"
        )
    body = _changes(call.args) | ({"options": options} if (options := _options(call.args, route["options"])) else {})
    if not body:
        raise UsageError("nothing was given that should change", hint="`orc domains edit --help` lists what can.")
    changed = call.client.call("PATCH", f"/routes/{segment(route['id'])}", body=body)
    call.output.answer(changed, lambda screen: _draw_route(screen, changed))


def _changes(args: argparse.Namespace) -> dict[str, Any]:
    given = {
        "hostname": args.rename, "path_prefix": args.path, "port": args.port, "tls": args.tls,
        "certificate_id": args.certificate, "redirect_to": args.redirect_to,
    }  # fmt: skip
    body = {name: value for name, value in given.items() if value is not None}
    body |= {name: None for name in ("port", "redirect_to") if body.get(name) in {0, ""}}
    return body


def _options(args: argparse.Namespace, current: dict[str, Any]) -> dict[str, Any]:
    given = {name: getattr(args, name) for name in current if getattr(args, name, None) is not None}
    if "allow_ips" in given:
        given["allow_ips"] = [ip for ip in given["allow_ips"] if ip != "all"]
    given |= {name: None for name in ("max_body_mb", "timeout") if given.get(name) == 0}
    given |= {"hsts_max_age": None} if given.get("hsts_max_age") == _OFF else {}
    if args.user or args.remove_user:
        kept = [name for name in current["basic_auth"] if name not in {args.user, args.remove_user}]
        given["basic_auth"] = [{"username": name} for name in kept]
        if args.user:
            password = read_secret(f"Password of {args.user}: ")
            given["basic_auth"].append({"username": args.user, "password": password})
    return given


def remove(call: Invocation) -> None:
    """Remove a hostname; the service stays reachable under its others."""
    route = _find(call)
    call.client.call("DELETE", f"/routes/{segment(route['id'])}")
    call.output.answer(route, lambda screen: screen.line(f"{route['hostname']} is not served any more."))


def check(call: Invocation) -> int:
    """Check DNS, reachability and certificate. Fails when one of them does."""
    return _look(call, "")


def records(call: Invocation) -> int:
    """Show the DNS records that lead a hostname here, and whether the DNS has them. Fails while one is missing."""
    found = call.client.get(f"/routes/{segment(_find(call)['id'])}/records")

    def draw(screen: Screen) -> None:
        if found["records"]:
            screen.table(["TYPE", "NAME", "VALUE", "NOW"], map(_record_row, found["records"]))
        if found["hint"]:
            screen.line(Styled(found["hint"], "cyan"))

    call.output.answer(found, draw)
    return OK if found["ok"] else FAILED


def _record_row(record: dict[str, Any]) -> list[Part]:
    missing = "optional" if record["is_optional"] else "not there yet"
    seen = ", ".join(record["seen"])
    now = {"right": "right", "missing": missing, "elsewhere": f"leads to {seen}", "unknown": f"is {seen}"}
    return [record["kind"], record["name"], record["value"] or "—", now.get(record["state"], record["state"])]


def retry(call: Invocation) -> int:
    """Order the certificate, or serve a broken route, now, without the pause after a failure."""
    return _look(call, "?retry=true")


def _look(call: Invocation, query: str) -> int:
    found = call.client.post(f"/routes/{segment(_find(call)['id'])}/check{query}")
    call.output.answer(found, lambda screen: _draw_findings(screen, found["findings"]))
    return OK if found["ok"] else FAILED


def _find(call: Invocation) -> Row:
    """Find the route by id, hostname, or hostname and path."""
    wanted = call.args.hostname
    routes = call.client.list(service_path(call, "/routes"))["items"]
    found = [
        route
        for route in routes
        if wanted in {route["id"], route["hostname"], route["hostname"] + route["path_prefix"]}
    ]
    if not found:
        hint = "`orc domains` lists what there is."
        raise CommandFailed(f"this service has no hostname {wanted}", hint=hint, code=NOT_FOUND)
    if len(found) > 1:
        places = ", ".join(route["hostname"] + route["path_prefix"] for route in found)
        raise UsageError(f"{wanted} is served in several places", hint=f"Name one of {places}.")
    chosen: Row = found[0]
    return chosen


def _row(route: dict[str, Any]) -> list[Part]:
    where = f"{route['url']} → {route['redirect_to']}" if route["redirect_to"] else route["url"]
    return [where, _condition(route), route["tls"], text_of(route["port"], "public"), _problem(route)]


def _condition(route: dict[str, Any]) -> Part:
    """Describe what a visitor gets."""
    words = _WAITING.get(route["condition"])
    return Styled(words, "yellow") if words else state_of(route["condition"])


def _problem(route: dict[str, Any]) -> str:
    problem: str = route["problem"]
    if not problem or not route["next_try_at"]:
        return problem
    return join(problem, f"Tried again {ago(route['next_try_at'])}")


def _draw_route(screen: Screen, route: dict[str, Any]) -> None:
    screen.line(Styled(route["url"], "cyan"), " ", _condition(route))
    if route["problem"]:
        screen.line(Styled(_problem(route), "yellow"))


def _draw_findings(screen: Screen, findings: list[dict[str, Any]]) -> None:
    for finding in findings:
        mark = Styled("✓", "green") if finding["ok"] else Styled("✗", "red")
        screen.line(mark, f" {finding['name']:<12} {finding['detail']}")
        if finding["hint"]:
            screen.line(" " * 15, Styled(finding["hint"], "cyan"))


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    _hostname_argument(parser)
    parser.add_argument("--path", default="/", metavar="PREFIX", help="serve only what is below this path")
    parser.add_argument(
        "--port", type=whole_number, metavar="PORT", help="port of the service (default: the first public one)"
    )
    parser.add_argument("--tls", choices=["acme", "internal", "off"], help="who issues the certificate")
    parser.add_argument("--redirect-to", metavar="URL", help="send visitors there instead")


def _age(text: str) -> int:
    return _OFF if text == "off" else whole_number(text)


def _edit_arguments(parser: argparse.ArgumentParser) -> None:
    _hostname_argument(parser)
    either = argparse.BooleanOptionalAction
    place = parser.add_argument_group("where")
    place.add_argument("--rename", metavar="NAME", help="serve this hostname instead")
    place.add_argument("--path", metavar="PREFIX", help="serve only what is below this path")
    place.add_argument("--strip-prefix", action=either, help="take the path away before the service sees the request")
    place.add_argument("--port", type=whole_number, metavar="PORT", help="port of the service; 0: the first public one")
    place.add_argument("--protocol", choices=["http", "h2c"], help="what the service speaks; h2c is for gRPC")
    place.add_argument("--redirect-to", metavar="URL", help='send visitors there instead; "" ends that')
    place.add_argument("--redirect-status", type=whole_number, metavar="N", help="301, 302, 307 or 308")
    secure = parser.add_argument_group("encryption")
    secure.add_argument("--tls", choices=["acme", "internal", "custom", "off"], help="who issues the certificate")
    secure.add_argument("--certificate", metavar="NAME", help="your own one, which was uploaded")
    secure.add_argument("--https-redirect", action=either, help="send plain HTTP to HTTPS")
    secure.add_argument(
        "--hsts-max-age", type=_age, metavar="SECONDS", help="browsers use HTTPS only for so long; off: say nothing"
    )
    secure.add_argument("--hsts-subdomains", action=either, help="the same for all names below this one")
    secure.add_argument("--hsts-preload", action=either, help="agree to the lists that browsers are shipped with")
    visitors = parser.add_argument_group("who may visit")
    visitors.add_argument("--maintenance", action=either, help="show everybody a page that says so")
    visitors.add_argument("--allow-ips", nargs="+", metavar="NETWORK", help="admit these addresses only, or: all")
    user = visitors.add_mutually_exclusive_group()
    user.add_argument("--user", metavar="NAME", help="ask for this name and its password, which is typed or from stdin")
    user.add_argument("--remove-user", metavar="NAME", help="this name is not let in any more")
    limits = parser.add_argument_group("limits")
    limits.add_argument("--max-body-mb", type=whole_number, metavar="MIB", help="largest request; 0 is no limit")
    limits.add_argument("--timeout", type=float, metavar="SECONDS", help="until an answer begins; 0 is no limit")
    limits.add_argument("--compress", action=either, help="compress answers")


def _hostname_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("hostname", metavar="HOSTNAME", help="such as www.example.org, or *.example.org for one label")


COMMANDS = {
    "list": Command(list_domains, "orc domains list web"),
    "add": Command(
        add, "orc domains add www.example.org\norc domains add example.org --redirect-to https://www.example.org",
        arguments=_add_arguments,
    ),
    "edit": Command(
        edit, "orc domains edit www.example.org --maintenance\norc domains edit www.example.org --user ada",
        arguments=_edit_arguments,
    ),
    "remove": Command(remove, "orc domains remove www.example.org", arguments=_hostname_argument),
    "check": Command(check, "orc domains check www.example.org", arguments=_hostname_argument),
    "records": Command(records, "orc domains records www.example.org", arguments=_hostname_argument),
    "retry": Command(retry, "orc domains retry www.example.org", arguments=_hostname_argument),
}  # fmt: skip
