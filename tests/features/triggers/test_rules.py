"""Which pushes concern a service: branches, watched paths, and messages that ask to be ignored."""

import pytest

from orca.errors import BadInput
from orca.features.triggers.rules import asks_to_skip, is_branch_wanted, is_watched, parse_patterns


@pytest.mark.parametrize(
    ("branch", "patterns", "wanted"),
    [
        ("main", ["main"], True),
        ("main2", ["main"], False),
        ("release/1", ["release/*"], True),
        ("release/1/2", ["release/*"], False),
        ("release/1/2", ["release/**"], True),
        ("release", ["release/*"], False),
        ("release/old", ["release/*", "!release/old"], False),
        ("dev", ["!main"], True),
        ("main", ["!main"], False),
        ("v1", ["v?"], True),
        ("v10", ["v?"], False),
        ("anything", [], True),
        ("Main", ["main"], False),
    ],
)
def test_branch_patterns(branch: str, patterns: list[str], wanted: bool) -> None:
    assert is_branch_wanted(branch, patterns) is wanted


@pytest.mark.parametrize(
    ("changed", "patterns", "watched"),
    [
        (["apps/web/a.ts"], ["apps/web/**"], True),
        (["apps/web/a.ts"], ["apps/web"], True),
        (["apps/web/a.ts"], ["apps/web/"], True),
        (["apps/webs/a.ts"], ["apps/web"], False),
        (["apps/api/a.ts"], ["apps/web/**"], False),
        (["apps/web"], ["apps/web/"], False),
        (["apps/web"], ["apps/web/**"], False),
        (["docs/a.md", "b.md"], ["!**/*.md"], False),
        (["docs/a.md", "b.py"], ["!**/*.md"], True),
        (["a/b/c.md"], ["*.md"], True),
        (["a/b/c.md"], ["/*.md"], False),
        (["c.md"], ["/*.md"], True),
        (["a/node/x/y"], ["node"], True),
        (["a/b/c/d.py"], ["a/**/d.py"], True),
        (["a/d.py"], ["a/**/d.py"], True),
        (["apps/web/readme.md"], ["apps/web/**", "!*.md"], False),
        ([], ["apps/**"], False),
        (None, ["apps/**"], True),
        (["x"], [], True),
        (["x"] * 3000, ["apps/**"], True),
    ],
)
def test_watch_paths(changed: list[str] | None, patterns: list[str], watched: bool) -> None:
    assert is_watched(changed, patterns) is watched


def test_patterns_cannot_be_made_to_explode() -> None:
    pattern = "*a" * 60 + "b"
    assert not is_watched(["a" * 200, "/".join(["a"] * 200)], [pattern, "/".join(["**", "*a*"] * 20) + "/b"])
    with pytest.raises(BadInput):
        parse_patterns(["x"] * 51)
    with pytest.raises(BadInput):
        parse_patterns(["x" * 300])
    assert parse_patterns([" a ", "", "b"]) == ("a", "b")


@pytest.mark.parametrize(
    ("message", "skips"),
    [
        ("fix [skip orca]", True),
        ("fix\n\n[SKIP ORCA]\n", True),
        ("[orca skip] x", True),
        ("skip orca", False),
        ("[skip ci]", True),
        ("", False),
    ],
)
def test_commit_messages_can_ask_to_skip(message: str, skips: bool) -> None:
    assert asks_to_skip(message) is skips
