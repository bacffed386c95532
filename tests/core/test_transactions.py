"""Who opens transactions: doors, steps and operations do; an action writes in the session it is given."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import ROOT

FEATURES = ROOT / "src" / "orca" / "features"
ACTIONS = sorted([*FEATURES.glob("*/actions.py"), *FEATURES.glob("*/actions/**/*.py")])
ENDS = {"commit", "rollback"}
OPENS = {"read", "write"}
LIVE = {"connector", "containers", "engine", "on_each", "proxy"}
"""Live handles of `resources.systems`."""


def find_violations(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called, of = node.func.attr, ast.unparse(node.func.value)
            if called in ENDS or (called in OPENS and of.endswith("db")) or (called in LIVE and of.endswith("systems")):
                yield ast.unparse(node.func)


@pytest.mark.parametrize("path", ACTIONS, ids=[str(path.relative_to(FEATURES)) for path in ACTIONS])
def test_an_action_neither_opens_nor_ends_a_transaction_and_calls_no_machine(path: Path) -> None:
    assert list(find_violations(path.read_text())) == []


@pytest.mark.parametrize(
    "line",
    [
        "async with resources.db.write() as session: pass",
        "async with self._db.read() as session: pass",
        "await session.commit()",
        "engine = await resources.systems.engine(system_id)",
    ],
)
def test_a_planted_violation_is_found(line: str) -> None:
    assert list(find_violations(f"async def act():\n    {line}"))
