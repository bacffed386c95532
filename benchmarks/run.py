"""Measure the budgets of the design on this machine and print the table of docs/performance.md.

    .venv/bin/python -m benchmarks.run [--write]

Each measurement starts its own panel on free loopback ports and removes what it made. With --write the table replaces
the one between the markers in docs/performance.md.
"""

import argparse
import os
import platform
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmarks import deploying, idle, lists, many_routes, routes, stored_lines, streams, task_queue

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
MARKERS = ("<!-- table:begin -->", "<!-- table:end -->")


@dataclass(frozen=True)
class Row:
    what: str
    budget: str
    measured: str
    is_kept: bool


MEASUREMENTS: tuple[Callable[[], list[tuple[str, str, str, bool]]], ...] = (
    idle.help_time, idle.start_and_idle, routes.change_to_served, many_routes.thousand_routes,
    deploying.against_by_hand, deploying.under_load, deploying.hostname_changes_under_load, lists.pages_with_many_rows, streams.into_storage,
    stored_lines.stored_lines,
    task_queue.task_engine,
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    rows: list[Row] = []
    for measure in MEASUREMENTS:
        if options.only and options.only not in measure.__name__:
            continue
        print(f"… {measure.__name__}", file=sys.stderr, flush=True)
        rows += [Row(*each) for each in measure()]
        print(f"  {rows[-1].measured}", file=sys.stderr, flush=True)
    table = render(rows)
    print(table)
    if options.write:
        begin, end = MARKERS
        text = PAGE.read_text()
        pattern = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
        PAGE.write_text(pattern.sub(lambda _: f"{begin}\n\n{table}\n{end}", text))


def render(rows: list[Row]) -> str:
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}"
    lines = [
        f"Measured {date.today().isoformat()} on {machine}.",
        "",
        "| what | budget | measured | kept |",
        "|---|---|---|---|",
    ]
    lines += [f"| {row.what} | {row.budget} | {row.measured} | {'yes' if row.is_kept else '**no**'} |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
