"""Lists as the address asks for them: search, filters with counts, order, groups and pages."""

import base64
from dataclasses import dataclass

from orca.web.lists import Column, Grouping, Listing, ListQuery, ListSpec, arrange


@dataclass(frozen=True)
class Thing:
    id: str
    name: str
    state: str
    project: str


THINGS = [
    Thing("1", "web", "running", "shop"), Thing("2", "api", "failed", "shop"), Thing("3", "Worker", "running", "blog"),
    Thing("4", "cache", "stopped", "blog"),
]  # fmt: skip
SPEC: ListSpec[Thing] = ListSpec(
    name="things", columns=(Column("name", "Name", sorts=True),), text=lambda thing: f"{thing.name} {thing.project}",
    keys={"name": lambda thing: thing.name.casefold(), "state": lambda thing: thing.state}, usual_sort="name",
    identity=lambda thing: thing.id, state=lambda thing: thing.state,
    states=(("bad", "Failed", frozenset({"failed", "crashed"})), ("good", "Running", frozenset({"running"}))),
    groups=(Grouping("project", "Project", lambda thing: thing.project),),
)  # fmt: skip


def ask(limit: int = 200, **asked: str) -> Listing[Thing]:
    return arrange(THINGS, ListQuery(**asked), SPEC, "/things", limit=limit)


def names(listing: Listing[Thing]) -> list[str]:
    return [thing.name for thing in listing.rows]


def test_the_usual_order_and_the_other_way_round() -> None:
    assert names(ask()) == ["api", "cache", "web", "Worker"]
    assert names(ask(sort="-name")) == ["Worker", "web", "cache", "api"]
    assert names(ask(sort="state")) == ["api", "web", "Worker", "cache"]
    assert names(ask(sort="unknown")) == names(ask())
    assert ask(sort="name").sort_href(SPEC.columns[0]) == "/things?sort=-name"


def test_search_looks_for_every_word_and_filters_count_what_was_found() -> None:
    found = ask(q="SHOP e")
    assert names(found) == ["web"]
    assert [(chip.label, chip.count) for chip in ask(q="shop").chips] == [("All", 2), ("Failed", 1), ("Running", 1)]
    assert [chip.href for chip in ask(q="shop").chips] == [
        "/things?q=shop", "/things?q=shop&state=bad", "/things?q=shop&state=good",
    ]  # fmt: skip
    assert (found.total, found.matching) == (4, 1)


def test_a_filter_by_state_is_put_away_by_a_second_click() -> None:
    listing = ask(state="good")
    assert names(listing) == ["web", "Worker"]
    assert [chip.count for chip in listing.chips] == [4, 1, 2]
    assert listing.chips[2].href == "/things"
    assert names(ask(state="nonsense")) == names(ask())


def test_groups_stand_together_and_say_how_many_are_in_each_state() -> None:
    groups = ask(group="project").groups
    assert [(group.title, [thing.name for thing in group.rows]) for group in groups] == [
        ("blog", ["cache", "Worker"]), ("shop", ["api", "web"]),
    ]  # fmt: skip
    assert sorted(groups[1].states) == [("failed", 1), ("running", 1)]


def test_pages_follow_each_other_and_a_row_that_is_gone_leaves_no_gap() -> None:
    first = ask(limit=2)
    assert names(first) == ["api", "cache"]
    after = first.next_href.partition("after=")[2]
    second = ask(limit=2, after=after)
    assert names(second) == ["web", "Worker"]
    assert (second.next_href, second.first_href) == ("", "/things")
    rest = [thing for thing in THINGS if thing.name != "cache"]
    assert names(arrange(rest, ListQuery(after=after), SPEC, "/things", limit=2)) == ["Worker"]
    new = [*THINGS, Thing("5", "a first one", "running", "shop")]
    assert names(arrange(new, ListQuery(after=after), SPEC, "/things", limit=2)) == ["web", "Worker"]
    assert names(ask(limit=2, after="nonsense")) == ["api", "cache"]
    endless = base64.urlsafe_b64encode(b"[1e999, 1]").decode()
    assert names(ask(limit=2, after=endless)) == ["api", "cache"]
