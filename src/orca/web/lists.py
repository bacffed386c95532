"""Lists of pages: searched, filtered by state, sorted, grouped and cut into pages, all by the address."""

import base64
import binascii
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Query

Row = TypeVar("Row")
PAGE_ROWS = 100


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What the address asks of a list; what is empty is as usual."""

    q: str = ""
    """Words that must all be in the row's text."""
    state: str = ""
    sort: str = ""
    """The key of a column; with a minus the last come first."""
    group: str = ""
    after: str = ""
    """The place after which the page begins; see `Listing.next_href`."""

    @property
    def is_narrow(self) -> bool:
        """Whether rows may be left out."""
        return bool(self.q or self.state)

    def query(self, **changes: str) -> str:
        """Return the query string with some of it changed; another choice begins with the first page."""
        wanted = replace(self, **{"after": "", **changes})
        values = {field.name: getattr(wanted, field.name) for field in fields(wanted)}
        return urlencode({name: value for name, value in values.items() if value})


_Short = Annotated[str, Query(max_length=100)]
_Key = Annotated[str, Query(max_length=40)]


def _asked(
    q: _Short = "", state: _Key = "", sort: _Key = "", group: _Key = "",
    after: Annotated[str, Query(max_length=600)] = "",
) -> ListQuery:  # fmt: skip
    return ListQuery(q.strip(), state, sort, group, after)


AskedOf = Annotated[ListQuery, Depends(_asked)]
"""Of a route whose page has one list."""


StateFilter = tuple[str, str, frozenset[str]]
"""A filter by state: its name in the address, its label, and the states that it keeps."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `key` is what its order is called in the address, and names its width in the stylesheet."""

    key: str
    label: str
    sorts: bool = False
    optional: bool = False
    """Whether people may hide it."""
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Grouping(Generic[Row]):
    """A way to group rows."""

    key: str
    label: str
    of: Callable[[Row], str]
    href: Callable[[Row], str] = lambda _row: ""


@dataclass(frozen=True, slots=True)
class ListSpec(Generic[Row]):
    """What a list can do with its rows."""

    name: str
    """What the rows are, in the plural."""
    columns: Sequence[Column]
    text: Callable[[Row], str] = lambda _row: ""
    """What is searched."""
    keys: Mapping[str, Callable[[Row], Any]] = field(default_factory=dict)
    """By the key of a column: what its order compares. Values of one key have one type."""
    usual_sort: str = ""
    identity: Callable[[Row], str] = lambda _row: ""
    state: Callable[[Row], str] = lambda _row: ""
    states: Sequence[StateFilter] = ()
    groups: Sequence[Grouping[Row]] = ()


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter by state, with the number of rows that it would leave."""

    key: str
    label: str
    count: int
    is_chosen: bool
    href: str


@dataclass(frozen=True, slots=True)
class RowGroup(Generic[Row]):
    """Rows under one heading, those of this page, and how many there are in each state on all pages."""

    title: str
    href: str
    rows: Sequence[Row]
    total: int = 0
    states: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True, slots=True)
class Listing(Generic[Row]):
    """One page of a list, as `components/list.html` draws it."""

    name: str
    path: str
    live: str
    """The path of its stream; empty for a list that does not change by itself."""
    asked: ListQuery
    columns: Sequence[Column]
    chips: Sequence[Chip]
    groupings: Sequence[tuple[str, str]]
    groups: Sequence[RowGroup[Row]]
    total: int
    matching: int
    sort: str
    next_href: str = ""
    first_href: str = ""
    """Where the list begins, on a later page."""

    @property
    def rows(self) -> list[Row]:
        """The rows of this page."""
        return [row for group in self.groups for row in group.rows]

    def href(self, **changes: str) -> str:
        """Return the address of this list with something else asked for."""
        query = self.asked.query(**changes)
        return f"{self.path}?{query}" if query else self.path

    @property
    def live_href(self) -> str:
        """The address of its stream, of this page; empty without one."""
        query = self.asked.query(after=self.asked.after)
        return f"{self.live}?{query}" if self.live and query else self.live

    def sort_href(self, column: Column) -> str:
        """Return the address of the list in the order of a column; a second click turns it round."""
        return self.href(sort=f"-{column.key}" if self.sort == column.key else column.key)

    def order_of(self, column: Column) -> str:
        """Return the order of a column as screen readers know it."""
        return {column.key: "ascending", f"-{column.key}": "descending"}.get(self.sort, "none")

    def with_rows(self, change: Callable[[Row], Any]) -> "Listing[Any]":
        """Return the page with each row replaced by what `change` makes of it."""
        groups = [RowGroup(g.title, g.href, [change(row) for row in g.rows], g.total, g.states) for g in self.groups]
        return Listing(**{field.name: getattr(self, field.name) for field in fields(self)} | {"groups": groups})


def arrange(
    rows: Sequence[Row], asked: ListQuery, spec: ListSpec[Row], path: str, *, live: str = "", limit: int = PAGE_ROWS
) -> Listing[Row]:
    """Return the page of a list that is asked for. An unknown state, order or group is as if none was asked for."""
    words = asked.q.casefold().split()
    found = [row for row in rows if all(word in spec.text(row).casefold() for word in words)] if words else rows
    wanted = {key: states for key, _, states in spec.states}.get(asked.state)
    matching = [row for row in found if spec.state(row) in wanted] if wanted else list(found)
    grouping = next((group for group in spec.groups if group.key == asked.group), None)
    sort = asked.sort if asked.sort.removeprefix("-") in spec.keys else spec.usual_sort
    matching = _in_order(matching, sort, spec, grouping)
    page, following = _cut(matching, asked.after, limit, spec)
    listing = Listing(
        spec.name, path, live, asked, spec.columns, [], [(group.key, group.label) for group in spec.groups],
        _group(page, matching, grouping, spec), len(rows), len(matching), sort,
    )  # fmt: skip
    return replace(
        listing,
        chips=_chips(listing, Counter(spec.state(row) for row in found), spec.states),
        next_href=listing.href(after=following) if following else "",
        first_href=listing.href() if asked.after else "",
    )


def _in_order(rows: Iterable[Row], sort: str, spec: ListSpec[Row], grouping: Grouping[Row] | None) -> list[Row]:
    """Sort by the wanted column; equals are in the usual order, and rows of one group stand together."""
    key = spec.keys[sort.removeprefix("-")]
    usual = spec.keys[spec.usual_sort.removeprefix("-")]
    ordered = sorted(rows, key=lambda row: (usual(row), spec.identity(row)), reverse=spec.usual_sort.startswith("-"))
    ordered.sort(key=key, reverse=sort.startswith("-"))
    if grouping is not None:
        ordered.sort(key=lambda row: grouping.of(row).casefold())
    return ordered


def _cut(rows: Sequence[Row], after: str, limit: int, spec: ListSpec[Row]) -> tuple[Sequence[Row], str]:
    """Return the rows after a place, and the place of the last of them when more follow.

    The place is the row before it and its number: when that row is gone, the number counts.
    """
    start = 0
    if after:
        number, identity = _read_place(after)
        ids = {spec.identity(row): place for place, row in enumerate(rows)}
        start = ids.get(identity, number - 1) + 1
    page = rows[start : start + limit]
    has_more = bool(page) and start + limit < len(rows)
    return page, _place(start + limit, spec.identity(page[-1])) if has_more else ""


def _place(number: int, identity: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([number, identity]).encode()).decode().rstrip("=")


def _read_place(after: str) -> tuple[int, str]:
    """Read a place; the beginning for what is none."""
    try:
        number, identity = json.loads(base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)))
        return max(0, int(number)), str(identity)
    except (ValueError, TypeError, OverflowError, binascii.Error):
        return 0, ""


def _chips(listing: Listing[Any], counts: Mapping[str, int], states: Sequence[StateFilter]) -> list[Chip]:
    chips = [Chip("", "All", sum(counts.values()), not listing.asked.state, listing.href(state=""))]
    for key, label, kept in states:
        count, is_chosen = sum(counts.get(state, 0) for state in kept), listing.asked.state == key
        chips.append(Chip(key, label, count, is_chosen, listing.href(state="" if is_chosen else key)))
    return chips if states else []


def listed(
    rows: Sequence[Row], asked: ListQuery, spec: ListSpec[Row], path: str, counts: Mapping[str, int], following: str
) -> Listing[Row]:
    """Return the page of a list that the database has filtered. `counts`: rows by state, whatever state is wanted."""
    kept = {key: some for key, _, some in spec.states}.get(asked.state)
    matching = sum(count for state, count in counts.items() if kept is None or state in kept)
    groups = [RowGroup("", "", rows)]
    total = sum(counts.values())
    listing = Listing(spec.name, path, f"{path}/live", asked, spec.columns, [], [], groups, total, matching, "")
    return replace(
        listing,
        chips=_chips(listing, counts, spec.states),
        next_href=listing.href(after=following) if following else "",
        first_href=listing.href() if asked.after else "",
    )


def _group(
    page: Sequence[Row], matching: Sequence[Row], grouping: Grouping[Row] | None, spec: ListSpec[Row]
) -> list[RowGroup[Row]]:
    if grouping is None:
        return [RowGroup("", "", page)]
    rows: dict[str, list[Row]] = {}
    for row in page:
        rows.setdefault(grouping.of(row), []).append(row)
    states: dict[str, Counter[str]] = {title: Counter() for title in rows}
    for row in matching:
        if (title := grouping.of(row)) in states:
            states[title][spec.state(row)] += 1
    return [
        RowGroup(title, grouping.href(some[0]), some, states[title].total(), states[title].most_common())
        for title, some in rows.items()
    ]
