"""`orc open`: opens the folder's site."""

import argparse
import sys
import webbrowser

from orca.cli.command import Command, Invocation
from orca.cli.deploying import draw_addresses, list_addresses
from orca.cli.failures import NOT_FOUND, CommandFailed
from orca.cli.selection import service_id


def open_site(call: Invocation) -> None:
    """Open the site in the browser, or print its URL without a terminal."""
    found = list_addresses(call, service_id(call))
    addresses = [address for address in found if address.url.startswith(("https://", "http://"))]
    if not addresses:
        raise CommandFailed("this service has no URL", hint="`orc domains add HOSTNAME` gives it one.", code=NOT_FOUND)
    call.output.answer(
        {"urls": [address.url for address in addresses]}, lambda screen: draw_addresses(screen, addresses)
    )
    if not call.args.print and not call.output.as_json and sys.stdout.isatty():
        webbrowser.open(addresses[0].url)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--print", action="store_true", help="print the URLs and open nothing")


COMMANDS = {"open": Command(open_site, "orc open\norc open web --print", arguments=_arguments)}
