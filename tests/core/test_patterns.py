"""Every regular expression of the package takes time in proportion to the text, in the way in which it is used.

The patterns are found in the syntax trees of the modules, so that a new one is tested without being named here. Each is
given long runs of the characters that it mentions, alone and in pairs, the second time four times as long: one that looks
back or ahead without a limit takes sixteen times as long, a linear one four times.
"""

import ast
import importlib
import re
import re._parser as parser
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import ROOT
from tests.processor_time import processor_seconds

PACKAGE = ROOT / "src" / "orca"
SCANS = {"search": "finditer", "sub": "finditer", "subn": "finditer", "split": "finditer", "findall": "finditer"}
"""How a pattern is used -> the method that looks at each place of the text, as that use may do."""
ONE_PLACE = ("match", "fullmatch", "finditer")
USES = frozenset(SCANS) | frozenset(ONE_PLACE)
SHORT, TIMES = 2_000, 4
NEGLIGIBLE, MOST = 0.004, 9.0
CHARACTERS = 9
PUT_TOGETHER = {
    "providers/builders/template/languages.py": "of a Dockerfile that Orca rendered; the blank in it ends after 500 characters",
}
"""Modules with a pattern that is made at the time of use, where this test cannot see it, and what bounds it."""


def list_patterns() -> dict[str, tuple["re.Pattern[Any]", frozenset[str]]]:
    found: dict[str, tuple[re.Pattern[Any], frozenset[str]]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if "migrations" in path.parts:
            continue
        text, where = path.read_text(), path.relative_to(PACKAGE).as_posix()
        if not re.search(r"\bre\.", text):  # most of them, whose trees would take each worker seconds
            continue
        nodes = list(ast.walk(ast.parse(text)))
        for line, pattern, uses in [*inline(nodes), *assigned(path, nodes)]:
            found[f"{where}:{line}"] = (pattern, uses)
    return found


def inline(nodes: list[ast.AST]) -> Iterator[tuple[object, re.Pattern[Any], frozenset[str]]]:
    """Yield those that are written where they are used: `re.search("…", text)`."""
    for call in nodes:
        if is_of_re(call) and call.func.attr in USES and isinstance(call.args[0], ast.Constant):
            flags = [flag for each in call.keywords if each.arg == "flags" for flag in read_flags(each.value)]
            yield call.lineno, re.compile(call.args[0].value, sum(flags)), frozenset({call.func.attr})


def is_of_re(node: ast.AST) -> Any:
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name) and node.func.value.id == "re"
    )  # fmt: skip


def read_flags(node: ast.AST) -> list[int]:
    return [int(getattr(re, each.attr)) for each in ast.walk(node) if isinstance(each, ast.Attribute)]


def assigned(path: Path, nodes: list[ast.AST]) -> Iterator[tuple[object, re.Pattern[Any], frozenset[str]]]:
    """Yield those that a module holds, also in tuples and mappings; each in the ways in which its module uses it."""
    if not any(is_of_re(node) and node.func.attr == "compile" for node in nodes):
        return
    module = importlib.import_module(".".join(path.relative_to(ROOT / "src").with_suffix("").parts))
    calls = [
        (each.value.id, each.attr)
        for each in nodes
        if isinstance(each, ast.Attribute) and each.attr in USES and isinstance(each.value, ast.Name)
    ]
    for name, value in vars(module).items():
        for at, pattern in enumerate(find_compiled(value)):
            yield f"{name}[{at}]", pattern, uses_of(name, calls, vars(module))


def find_compiled(value: object) -> Iterator["re.Pattern[Any]"]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict):
        yield from (found for each in [*value, *value.values()] for found in find_compiled(each))
    elif isinstance(value, tuple | list | set | frozenset):
        yield from (found for each in value for found in find_compiled(each))


def uses_of(name: str, calls: list[tuple[str, str]], held: dict[str, Any]) -> frozenset[str]:
    """Return how its module uses it: by its name, or, where it is handed on, by the names of variables."""
    own = frozenset(use for on, use in calls if on == name)
    # Text has a `split` of its own.
    return own or frozenset(use for on, use in calls if on not in held and on != "re" and use != "split") or USES


def characters(pattern: Any) -> Iterator[str]:
    """Yield a character of each set that a parsed pattern mentions."""
    for operation, argument in pattern:
        kind = str(operation)
        if kind == "LITERAL":
            yield chr(argument)
        elif kind in {"NOT_LITERAL", "ANY"}:
            yield "b" if argument == ord("a") else "a"
        elif kind == "IN":
            yield from members(argument)
        elif kind in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
            yield from characters(argument[2])
        elif kind == "SUBPATTERN":
            yield from characters(argument[3])
        elif kind == "BRANCH":
            yield from (found for branch in argument[1] for found in characters(branch))
        elif kind in {"ASSERT", "ASSERT_NOT"}:
            yield from characters(argument[1])


def members(parts: Any) -> Iterator[str]:
    for operation, argument in parts:
        kind = str(operation)
        if kind == "LITERAL":
            yield chr(argument)
        elif kind == "RANGE":
            yield chr(argument[0])
        elif kind == "CATEGORY":
            yield {"CATEGORY_SPACE": " ", "CATEGORY_DIGIT": "1"}.get(str(argument), "a")
        elif kind == "NEGATE":
            yield "~"


def fillers_of(pattern: "re.Pattern[Any]") -> Iterator[Any]:
    mentioned = list(dict.fromkeys(characters(parser.parse(pattern.pattern, pattern.flags))))[:CHARACTERS]
    for text in [*mentioned, *("".join(pair) for pair in product(mentioned, repeat=2) if pair[0] != pair[1])]:
        yield text.encode("latin-1") if isinstance(pattern.pattern, bytes) else text


def seconds(apply: Callable[[Any], Any], text: Any) -> float:
    return processor_seconds(lambda: [None for _ in apply(text) or ()], enough=NEGLIGIBLE)


def slow_texts(pattern: "re.Pattern[Any]", use: str) -> list[str]:
    scan = getattr(pattern, SCANS.get(use, use))

    def apply(text: Any) -> Any:
        found = scan(text)
        return found if use not in {"match", "fullmatch"} else None

    end = b"\0" if isinstance(pattern.pattern, bytes) else "\0"
    slow = []
    for filler in fillers_of(pattern):
        long = filler * (SHORT * TIMES // len(filler)) + end
        spent = seconds(apply, long)
        if spent > NEGLIGIBLE and spent > MOST * seconds(apply, filler * (SHORT // len(filler)) + end):
            slow.append(f"{use} of {filler!r} takes {spent:.3f} s")
    return slow


PATTERNS = list_patterns()


def test_patterns_made_at_the_time_of_use_are_listed() -> None:
    made = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if is_of_re(node) and node.func.attr in USES | {"compile"} and not isinstance(node.args[0], ast.Constant)
    }
    assert made == PUT_TOGETHER.keys()
    assert len(PATTERNS) > 200


@pytest.mark.sampled
@pytest.mark.parametrize("where", PATTERNS)
def test_a_pattern_takes_time_in_proportion_to_the_text(where: str) -> None:
    pattern, uses = PATTERNS[where]
    assert [text for use in sorted(uses) for text in slow_texts(pattern, use)] == []


def test_a_pattern_that_looks_ahead_without_end_is_noticed() -> None:
    assert slow_texts(re.compile(r"\s+#"), "search")
    assert slow_texts(re.compile(r"[ab]*[bc]*d"), "fullmatch")
    assert not slow_texts(re.compile(r"[ab]+c"), "fullmatch")
