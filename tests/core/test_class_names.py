"""The name of a class means one thing in the whole package."""

import ast
from collections import defaultdict

from tests.conftest import ROOT

PACKAGE = ROOT / "src" / "orca"
OF_TWO_CONTRACTS = {"SupportsExec", "SupportsListeners", "SupportsTerminals", "SupportsVolumeOwners"}
"""Abilities of an engine, which has workloads, and of a container host: one word for one ability."""


def test_class_names_public_ones_are_defined_once() -> None:
    """The command line imports nothing of the server, so it counts as a package of its own."""
    found: defaultdict[tuple[bool, str], list[str]] = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[place.parts[0] == "cli", node.name].append(f"{place}:{node.lineno}")
    twice = {name: places for (_, name), places in found.items() if len(places) > 1}
    assert {name: places for name, places in twice.items() if name not in OF_TWO_CONTRACTS} == {}
