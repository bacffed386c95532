"""Shared by all commands that start a deployment: request it, follow it, print its result."""

import argparse
from typing import Any, NamedTuple

from orca.cli.client import segment
from orca.cli.command import Invocation
from orca.cli.failures import CommandFailed
from orca.cli.following import Deployment, Following, finish
from orca.cli.output import Part, Screen, Styled
from orca.cli.times import duration

_DONE = {
    "deploy": "Live", "rollback": "Live again", "scale": "Scaled", "restart": "Restarted", "start": "Started",
    "stop": "Stopped", "build": "Built", "remove": "Removed",
}  # fmt: skip
_SILENT = frozenset({"stop", "build", "remove"})


def follow_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--no-follow`, for all commands that start deployments."""
    parser.add_argument("--no-follow", action="store_true", help="come back as soon as the server has taken it on")


def start(call: Invocation, service_id: str, verb: str, body: dict[str, Any] | None = None) -> int:
    """Start a deployment by a POST, and follow it unless `--no-follow` is set. Raises CommandFailed."""
    deployment: Deployment = call.client.post(f"/services/{segment(service_id)}/{verb}", body)
    return report(call, deployment)


def report(call: Invocation, deployment: Deployment) -> int:
    """Follow a deployment, or only print its name."""
    if call.args.no_follow:
        call.output.answer(deployment, lambda screen: screen.line(f"Deployment {deployment['number']} is queued."))
        return 0
    call.output.note(Styled(f"Deployment {deployment['number']}", "bold"), f" ({deployment['kind']})")
    if call.output.as_json:
        call.output.stream(deployment)
    ended = Following(call.client, call.output, deployment).run()
    finish(ended, call.output, lambda: _celebrate(call, ended))
    return 0


def _celebrate(call: Invocation, deployment: Deployment) -> None:
    screen = call.output.out
    spent = duration(deployment["started_at"], deployment["finished_at"])
    screen.line(Styled(_DONE.get(deployment["kind"], "Done"), "green"), f" after {spent}.")
    if deployment["kind"] in _SILENT:
        return
    try:
        draw_addresses(screen, list_addresses(call, deployment["service_id"]))
    except CommandFailed as error:
        call.output.note(f"Its URLs cannot be shown: {error.message}")


class Address(NamedTuple):
    """A URL of a service, and whether its hostname resolves to this server."""

    url: str
    leads_here: bool

    @property
    def shown(self) -> Part:
        """For people."""
        return Styled(self.url, "cyan") if self.leads_here else f"{self.url} (does not lead here yet)"


def list_addresses(call: Invocation, service_id: str) -> list[Address]:
    """Return the URLs of a service: hostnames set by users first, those without a certificate yet last.

    Names that do not lead here are included only if there are no others.
    """
    routes = call.client.list(f"/services/{segment(service_id)}/routes")["items"]
    shown = [route for route in routes if route["redirect_to"] is None and route["condition"] != "broken"]
    found = [Address(route["url"], route["condition"] != "unreachable") for route in sorted(shown, key=_rank)]
    return [address for address in found if address.leads_here] or found


def _rank(route: dict[str, Any]) -> tuple[bool, bool]:
    return route["condition"] not in {"live", "pending"}, route["is_automatic"]


def draw_addresses(screen: Screen, addresses: list[Address]) -> None:
    """Print one address per line."""
    for address in addresses:
        screen.line(address.shown)
