"""A test's stand-in for a class of Orca overrides only what that class has: after a move it would replace nothing, silently.

The classes are found in the syntax trees of the tests; a base that is not in the tests is imported and asked. A method counts as
an override when it calls the one of its name in a base, is marked as one, or is named by no test. A stand-in that adds an
optional ability, which only Orca calls, names the Protocol of that ability as a base.
"""

import ast
import importlib
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
from tests.conftest import ROOT

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """A module of the tests."""

    name: str
    tree: ast.Module

    def list_classes(self) -> list[ast.ClassDef]:
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef)]

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        return {node.name: node for node in self.list_classes()}

    @cached_property
    def imported(self) -> dict[str, tuple[str, str]]:
        """Name -> module, and the name there; that is empty for a module itself."""
        found = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom):
                found |= {each.asname or each.name: (str(node.module), each.name) for each in node.names}
            elif isinstance(node, ast.Import):
                found |= {each.asname: (each.name, "") for each in node.names if each.asname}
                found |= {(top := each.name.split(".")[0]): (top, "") for each in node.names if not each.asname}
        return found


@dataclass(frozen=True)
class Tree:
    """All modules of the tests, by name."""

    modules: Mapping[str, Module]

    @cached_property
    def named(self) -> frozenset[str]:
        """The attributes that any test reads, and all words in quotes: what a test itself may call."""
        nodes = [node for module in self.modules.values() for node in ast.walk(module.tree)]
        attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        return frozenset(attributes | {str(node.value) for node in nodes if isinstance(node, ast.Constant)})

    def list_misses(self) -> Iterator[str]:
        """Yield the methods that can only be meant as overrides, where no base has them."""
        for module in self.modules.values():
            for node in module.list_classes():
                methods = [each for each in node.body if isinstance(each, Function)]
                claims = [each for each in methods if claims_to_override(each) or self.is_for_orca(each)]
                if claims and self.is_of_orca(module, node):
                    for each in claims:
                        if not self.inherits(module, node, each.name):
                            yield f"{module.name}:{each.lineno} {node.name}.{each.name}: no base has it"

    def is_for_orca(self, method: Function) -> bool:
        """Whether no test calls a method, so that it is there for Orca to call."""
        return method.name not in self.named and not method.decorator_list and not method.name.startswith("test_")

    def is_of_orca(self, module: Module, node: ast.ClassDef) -> bool:
        return any(
            self.is_of_orca(*base) if isinstance(base, tuple) else base.__module__.split(".")[0] == "orca"
            for base in self.bases(module, node)
        )

    def inherits(self, module: Module, node: ast.ClassDef, name: str) -> bool:
        return any(
            defines(base[1], name) or self.inherits(*base, name) if isinstance(base, tuple) else hasattr(base, name)
            for base in self.bases(module, node)
        )

    def bases(self, module: Module, node: ast.ClassDef) -> list[Any]:
        return [self.find(module, each.value if isinstance(each, ast.Subscript) else each) for each in node.bases]

    def find(self, module: Module, named: ast.expr) -> Any:
        """Return a class of the tests as module and node, and any other as itself."""
        path = ast.unparse(named).split(".")
        if path[0] in module.classes:
            return module, module.classes[path[0]]
        place, name = module.imported.get(path[0], ("builtins", path[0]))
        if place in self.modules and name in self.modules[place].classes:
            return self.modules[place], self.modules[place].classes[name]
        found: Any = importlib.import_module(place)
        for each in [name, *path[1:]] if name else path[1:]:
            found = getattr(found, each)
        return found


def claims_to_override(method: Function) -> bool:
    """Whether a method calls the one of its name in a base, or is marked as an override."""
    if any(ast.unparse(each).split(".")[-1] == "override" for each in method.decorator_list):
        return True
    calls = (each.value for each in ast.walk(method) if isinstance(each, ast.Attribute) and each.attr == method.name)
    return any(ast.unparse(each).startswith("super(") for each in calls)


def defines(node: ast.ClassDef, name: str) -> bool:
    named = [each.name for each in node.body if isinstance(each, Function)]
    for each in node.body:
        targets = (
            each.targets if isinstance(each, ast.Assign) else [each.target] if isinstance(each, ast.AnnAssign) else []
        )
        named += [ast.unparse(target) for target in targets]
    return name in named


def read_tests() -> Tree:
    paths = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted((ROOT / "tests").rglob("*.py"))
    }
    return Tree({name: Module(name, ast.parse(path.read_text())) for name, path in paths.items()})


def test_stand_ins_override_what_is_there():
    assert list(read_tests().list_misses()) == []


@pytest.mark.parametrize(
    ("base", "method", "is_there"),
    [
        ("FakeEngine", "async def apply(self, changes): await super().apply(changes)", True),
        ("FakeEngine", "def _start(self): super()._start()", False),
        ("FakeEngine", "def start_it(self): return super(Planted, self).start_it", False),
        ("FakeEngine", "@override\n    def crash(self, name): ...", True),
        ("FakeEngine", "@typing.override\n    def crash_it(self, name): ...", False),
        ("FakeEngine", "def crash_it(self, name): super().crash(name)\n\nPlanted.crash_it", True),
        ("Between", "def own(self): super().own()", True),
        ("Between", "def other(self): super().other()", False),
        ("testing.FakeEngine", "def other(self): super().other()", False),
        ("FakeEngine", "def unheard_of(self): ...", False),
        ("FakeEngine", "def asked(self): ...\n\nPlanted.asked", True),
        ("FakeEngine", "def crash(self, name): ...", True),
        ("dict[str, str]", "def other(self): super().other()", True),  # no class of Orca
    ],
)
def test_stand_ins_planted_ones_are_found(base: str, method: str, is_there: bool) -> None:
    source = f"""
from orca.sdk.testing import fake_engine as testing
from orca.sdk.testing.fake_engine import FakeEngine

class Between(FakeEngine):
    def own(self): ...

Between.own

class Planted({base}):
    {textwrap.dedent(method)}
"""
    misses = list(Tree({"planted": Module("planted", ast.parse(source))}).list_misses())
    assert [each.split(":")[0] for each in misses] == ([] if is_there else ["planted"])
