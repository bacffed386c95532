"""`orc open` and `orc dashboard`: open the folder's site, or its page in the panel."""

import argparse
import sys
import webbrowser

from orca.cli.client import segment
from orca.cli.command import Command, Invocation
from orca.cli.deploying import draw_addresses, list_addresses
from orca.cli.failures import NOT_FOUND, CommandFailed
from orca.cli.output import Styled
from orca.cli.selection import current_link, get_project, service_id


def open_site(call: Invocation) -> None:
    """Open the site in the browser, or print its URL without a terminal."""
    found = list_addresses(call, service_id(call))
    addresses = [address for address in found if address.url.startswith(("https://", "http://"))]
    if not addresses:
        raise CommandFailed("this service has no URL", hint="`orc domains add HOSTNAME` gives it one.", code=NOT_FOUND)
    call.output.answer(
        {"urls": [address.url for address in addresses]}, lambda screen: draw_addresses(screen, addresses)
    )
    _browse(call, addresses[0].url)


def open_panel(call: Invocation) -> None:
    """Open the page of the selected service or project, else the overview; or print its URL without a terminal."""
    server = call.client.server
    panel = call.client.get("/me").get("panel_url") or ("" if server.socket else server.url)
    if not panel:
        hint = "Upgrade it; `orc serve` prints the URL when it starts."
        raise CommandFailed("this server is too old to say where its panel is", hint=hint, code=NOT_FOUND)
    url = f"{panel.rstrip('/')}{_page(call)}"
    call.output.answer({"url": url}, lambda screen: screen.line(Styled(url, "cyan")))
    _browse(call, url)


def _page(call: Invocation) -> str:
    if call.args.service is not None or (current_link(call) is not None and call.args.project is None):
        return f"/services/{segment(service_id(call))}"
    return f"/projects/{segment(get_project(call)['id'])}" if call.args.project is not None else "/"


def _browse(call: Invocation, url: str) -> None:
    if not call.args.print and not call.output.as_json and sys.stdout.isatty():
        webbrowser.open(url)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--print", action="store_true", help="print the URL and open nothing")


COMMANDS = {
    "open": Command(open_site, "orc open\norc open web --print", arguments=_arguments),
    "dashboard": Command(open_panel, "orc dashboard\norc dashboard web --print", arguments=_arguments),
}
