"""Lines that services wrote, as the server keeps them: filters of the command line, pages and the live stream."""

import argparse
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from orca.cli.command import Invocation
from orca.cli.failures import NOT_FOUND, CommandFailed
from orca.cli.selection import service_path
from orca.cli.sse import follow

LEVELS = ("debug", "info", "warn", "error", "fatal")
_AGO = re.compile(r"([0-9]{1,9})(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_MOST = 1000
Line = dict[str, Any]


def moment(text: str) -> str:
    """Parse an argument that is a point in time: `10m` (ago), or an ISO 8601 date with or without a time."""
    if match := _AGO.fullmatch(text):
        at = datetime.now(UTC) - timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
    else:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text} is neither like 10m, 2h, 3d nor like 2026-12-01T09:30") from None
    return at.astimezone(UTC).isoformat()


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Declare the options that select lines."""
    parser.add_argument(
        "--since", type=moment, metavar="TIME", help="from then on: 10m, 2h, 3d ago, or 2026-12-01T09:30"
    )
    parser.add_argument("--until", type=moment, metavar="TIME", help="only what was written before")
    parser.add_argument("-g", "--grep", metavar="TEXT", help="only lines with this text, in upper or lower case")
    parser.add_argument("--level", choices=LEVELS, help="only lines that name this level or a more severe one")
    parser.add_argument("--stream", choices=("stdout", "stderr"), help="only this stream")
    parser.add_argument("--previous", action="store_true", help="what the release before the live one wrote")
    parser.add_argument(
        "-C", "--context", type=int, choices=range(21), default=0, metavar="N", help="so many lines around each match"
    )


def has_filters(call: Invocation) -> bool:
    """Whether lines that the server keeps are asked for, rather than what containers have."""
    args = call.args
    return bool(args.since or args.until or args.grep or args.level or args.stream or args.previous)


def read_lines(call: Invocation) -> Iterator[Line]:
    """Yield the newest matches, as many as `--tail` says, then with `--follow` new ones."""
    wanted = _list_filters(call)
    tail = call.args.tail
    page = older = _get_page(call, wanted, min(tail or 1, _MOST))
    items: list[Line] = page["items"]
    shown = sum(line["is_match"] for line in items)
    while shown < tail and older.get("older") is not None:  # a search that takes long comes in parts
        older = _get_page(call, [*wanted, ("before", older["older"])], min(tail - shown, _MOST))
        items = older["items"] + items
        shown += sum(line["is_match"] for line in older["items"])
    yield from items if tail else []
    total = page.get("total")
    if total is not None and total > shown and tail:
        more = "" if page.get("is_total_exact", True) else " or more"
        call.output.note(f"The newest {shown} of {total}{more} lines. `--tail N` and `--since` show others.")
    if problem := page.get("problem"):
        call.output.note(problem)
    if call.args.follow:
        after = -1 if page.get("newer") is None else page["newer"]
        target = service_path(call, "/logs/stream") + "?" + urlencode([*wanted, ("after", after)])
        for event in follow(call.client, target):
            yield from event.data["items"] if event.name == "lines" else []


def read_last_words(call: Invocation) -> list[Line]:
    """Return what was written last; nothing from a server that keeps no lines."""
    try:
        page = _get_page(call, [], min(call.args.tail, 50) or 1)
    except CommandFailed as error:
        if error.code == NOT_FOUND:
            return []
        raise
    items: list[Line] = page["items"] if call.args.tail else []
    return items


def _get_page(call: Invocation, wanted: list[tuple[str, Any]], limit: int) -> dict[str, Any]:
    query = [*wanted, ("limit", limit), ("context", call.args.context)]
    page: dict[str, Any] = call.client.get(service_path(call, "/logs/lines") + "?" + urlencode(query))
    return page


def _list_filters(call: Invocation) -> list[tuple[str, Any]]:
    args = call.args
    pairs = [(name, getattr(args, name)) for name in ("since", "until", "grep", "stream", "replica")]
    found = [(name, value) for name, value in pairs if value not in {None, ""}]
    if args.level:
        found += [("level", level) for level in LEVELS[LEVELS.index(args.level) :]]
    if args.previous:
        found.append(("release", _find_previous(call)))
    return found


def _find_previous(call: Invocation) -> int:
    """Return the number of the release that was live before the current one. Raises CommandFailed."""
    live = call.client.get(service_path(call, "/status")).get("release")
    releases = call.client.get(service_path(call, "/releases"))["items"]
    numbers = [row["number"] for row in releases if row.get("went_live_at") and row["number"] != live]
    earlier = [number for number in numbers if live is None or number < live]
    if not earlier:
        raise CommandFailed("there was no release before this one", code=NOT_FOUND)
    return int(max(earlier))
