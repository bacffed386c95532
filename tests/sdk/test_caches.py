"""Whose a record of a shared build cache is, and which of ours go."""

from collections.abc import Sequence

import pytest

from orca.sdk.caches import CacheRecord, CacheWatch, choose_records

Look = Sequence[CacheRecord] | None


def layer(name: str, *parents: str, size: int = 1, used: float = 0, **more: bool) -> CacheRecord:
    return CacheRecord(name, size, "regular", "mount / from exec", parents, last_used=used, **more)


def trace(name: str, *, uses: int = 1, in_use: bool = False) -> CacheRecord:
    return CacheRecord(name, 1, "source.local", "local source for dockerfile", in_use=in_use, uses=uses)


OLD, MINE, THEIRS = layer("old"), layer("mine"), layer("theirs")


@pytest.mark.parametrize(
    ("before", "after", "mine"),
    [
        ([OLD], [OLD, trace("t"), MINE], ["t", "mine"]),
        ([OLD], [OLD], []),
        ([trace("t")], [trace("t", uses=2), MINE], ["mine"]),
        ([OLD], [OLD, trace("t"), trace("other"), MINE, THEIRS], []),
        ([trace("other")], [trace("other", uses=2), trace("t"), MINE], []),
        ([trace("other", uses=0, in_use=True)], [trace("other"), trace("t"), MINE], []),
        ([OLD], [OLD, trace("t"), MINE, CacheRecord("g", 1, "source.git.checkout", "git snapshot")], []),
        (None, [trace("t"), MINE], []),
        ([OLD], None, []),
    ],
)
def test_a_record_is_ours_when_nobody_else_built(before: Look, after: Look, mine: list[str]) -> None:
    watch = CacheWatch()
    assert watch.begin(before) == []
    assert watch.end(after) == mine
    assert watch.begin([OLD]) == []
    assert watch.end([OLD, trace("next"), THEIRS]) == ["next", "theirs"], "it begins anew"


def test_builds_of_ours_may_overlap() -> None:
    watch = CacheWatch()
    watch.begin([])
    running = trace("1", uses=0, in_use=True)
    assert watch.begin([running]) == ["1"]
    assert watch.end([trace("1"), trace("2"), MINE]) == ["2", "mine"]
    assert watch.end([trace("1"), trace("2"), MINE, OLD]) == ["old"]


def test_what_somebody_else_began_in_between_taints_all_that_follows() -> None:
    watch = CacheWatch()
    watch.begin([])
    assert watch.begin([trace("1"), trace("theirs")]) == []
    assert watch.end([trace("1"), trace("theirs"), trace("2"), MINE]) == []
    assert watch.end([trace("1"), trace("theirs"), trace("2"), MINE, THEIRS]) == []


@pytest.mark.parametrize(
    ("records", "ours", "budget", "gone"),
    [
        ([layer("a", used=1), layer("b", used=2), layer("c", used=3)], "abc", 2, ["a"]),
        ([layer("a", used=1), layer("b", used=2), layer("c", used=3)], "bc", 1, ["b"]),
        ([layer("a", used=1), layer("b", used=2)], "ab", 2, []),
        ([layer("a", used=1, is_shared=True), layer("b", used=2)], "ab", 1, []),
        ([layer("a", used=1, in_use=True), layer("b", used=2)], "ab", 0, ["b"]),
        # one that others stand on goes after them, and not at all when they stay
        ([layer("a", used=1), layer("b", "a", used=3), layer("c", used=2)], "abc", 2, ["c"]),
        ([layer("a", used=1), layer("b", "a", used=3), layer("c", used=2)], "abc", 0, ["c", "b", "a"]),
        ([layer("a", used=1), layer("x", "a", used=3), layer("c", used=2)], "ac", 0, ["c"]),
        ([layer("a", used=1), layer("d", "a", used=3, is_shared=True)], "ad", 0, []),
    ],
)  # fmt: skip
def test_choose_records(records: list[CacheRecord], ours: str, budget: int, gone: list[str]) -> None:
    assert choose_records(records, dict.fromkeys(ours, True), budget) == gone


def test_choose_records_of_deleted_services_in_any_case() -> None:
    records = [layer("a", used=1), layer("b", used=2)]
    assert choose_records(records, {"a": True, "b": False}, 10) == ["b"]
