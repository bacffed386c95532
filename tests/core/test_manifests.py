"""The manifests of features: complete, without contradictions, and the only way by which features are wired."""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import ROOT

from orca.app import create_app
from orca.features import FEATURES, find_reader, load_features
from orca.features.manifest import ReaderKey
from orca.settings import Settings

SOURCE = ROOT / "src" / "orca"
FOLDER = SOURCE / "features"
EVENTS = set(re.findall(r"^([A-Z]\w+):", (ROOT / "docs" / "events.yml").read_text(), re.MULTILINE))
ON_OWN = {"take_routes", "unique_where"}
"""Functions that may be called at import time with something of the module itself: its router, its table."""


def test_every_feature_is_in_the_list() -> None:
    assert sorted(FEATURES) == sorted(path.parent.name for path in FOLDER.glob("*/feature.py"))
    assert sorted(FEATURES) == sorted(path.parent.name for path in FOLDER.glob("*/__init__.py"))
    assert [feature.name for feature in load_features()] == list(FEATURES)


def test_two_features_do_not_declare_the_same() -> None:
    features = load_features()
    for declared in (
        [name for feature in features for name in feature.owners],
        [permission.name for feature in features for permission in feature.permissions],
        [item.href for feature in features for item in feature.nav],
        [item.order for feature in features for item in feature.nav],
        [(tab.of, tab.key) for feature in features for tab in feature.tabs],
        [(tab.of, tab.order) for feature in features for tab in feature.tabs],
        [verb.order for feature in features for verb in feature.verbs],
        [kind.key for feature in features for kind in feature.event_kinds],
        [words.prefix for feature in features for words in feature.events],
        [name for feature in features for name in feature.directories],
        [name for feature in features for name in feature.counters],
        [reader.key for feature in features for reader in feature.readers],
        [task.name for feature in features for task in feature.tasks],
        [job.name for feature in features for job in feature.periodic],
        [consumer.name for feature in features for consumer in feature.consumers],
        [sent.name for feature in features for sent in feature.webhooks],
        [sent.event for feature in features for sent in feature.webhooks],
    ):
        assert [each for each, times in Counter(declared).items() if times > 1] == []


def test_what_a_manifest_names_is_declared() -> None:
    features = load_features()
    permissions = {permission.name for feature in features for permission in feature.permissions}
    kinds = {kind.key for feature in features for kind in feature.event_kinds}
    for feature in features:
        assert {item.permission for item in feature.nav} <= {None, *permissions}
        assert {verb.permission for verb in feature.verbs} <= permissions
        assert {words.kind for words in feature.events} <= kinds
        sent = {each.event for each in feature.webhooks}
        steps = {each for operation in feature.operations for each in (*operation.steps, operation.end)}
        assert sent | steps <= EVENTS
        assert all(operation.asked in operation.steps for operation in feature.operations)
        assert all(len(consumer.name) <= 40 and consumer.list_types() for consumer in feature.consumers)


def test_audit_knows_no_event_of_a_feature_above_it() -> None:
    above = {each for feature in load_features() for operation in feature.operations for each in operation.steps}
    text = "".join(path.read_text() for path in (FOLDER / "audit").rglob("*") if path.suffix in {".py", ".html"})
    assert [each for each in above if f'"{each}"' in text] == []


def test_menus_have_their_order() -> None:
    menus = create_app(Settings()).state.menus
    assert [item.label for item in menus.nav] == [
        "Home", "Projects", "Systems", "Disk", "Orphans", "Activity", "Instance", "Credentials", "Certificates", "Webhooks", "API tokens", "Account"
    ]  # fmt: skip
    assert [tab.label for tab in menus.tabs if tab.of == "service"] == [
        "Overview", "Deployments", "Logs", "Variables", "Domains", "Push hooks", "Volumes", "Settings"
    ]  # fmt: skip
    assert [tab.label for tab in menus.tabs if tab.of == "project"] == ["Services", "Variables", "Access"]


def test_every_reader_is_implemented() -> None:
    load_features()
    modules = [module for name, module in sys.modules.items() if name.startswith("orca.features.")]
    keys = {each for module in modules for each in vars(module).values() if isinstance(each, ReaderKey)}
    assert len(keys) >= 3
    assert [key.name for key in keys if find_reader(key) is None] == []


# ── nothing is wired by an import ────────────────────────────────────────────────────────────────────────────────


def find_side_effects(source: str) -> list[str]:
    """What a module does at import time to another one, or imports for what that does."""
    tree = ast.parse(source)
    own = {
        name.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for name in node.targets
        if isinstance(name, ast.Name)
    }
    own |= {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    return [ast.unparse(node) for node in _statements(tree.body) if _is_side_effect(node, own)] + [
        line.strip() for line in source.splitlines() if "noqa: F401" in line
    ]


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Those that run at import time, also in `if`, `for`, `with` and `try`; not what runs as a program."""
    for node in body:
        if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
            continue
        yield node
        for name in ("body", "orelse", "finalbody"):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from _statements(getattr(node, name, []))


def _is_side_effect(node: ast.stmt, own: set[str]) -> bool:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        call = node.value
        is_own = bool(call.args) and isinstance(call.args[0], ast.Name) and call.args[0].id in own
        return not (isinstance(call.func, ast.Name) and call.func.id in ON_OWN and is_own)
    if isinstance(node, ast.Assign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        changed = [each for each in targets if isinstance(each, ast.Subscript | ast.Attribute)]
        return any(_root(each) not in own for each in changed)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return any(_registers(each, own) for each in node.decorator_list)
    return False


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


KNOWN_DECORATORS = {
    "asynccontextmanager",
    "cache",
    "contextmanager",
    "guard",
    "lru_cache",
    "narrowed",
    "overload",
    "put_door",
}


def _registers(decorator: ast.expr, own: set[str]) -> bool:
    """Any decorator may register; these are known not to, and a method of the module's own router adds a route to it."""
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    return _root(function) not in own | KNOWN_DECORATORS


MODULES = sorted(FOLDER.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(FOLDER)) for path in MODULES])
def test_importing_a_feature_changes_nothing_elsewhere(path: Path) -> None:
    assert find_side_effects(path.read_text()) == []


def test_only_the_list_of_features_imports_by_name() -> None:
    users = {
        str(path.relative_to(FOLDER)) for path in MODULES if re.search(r'import_module\(f?"orca', path.read_text())
    }
    assert users == {"__init__.py"}


IN_FUNCTIONS = {"load_features", "find_reader", "all_permissions", "all_roles", "list_kinds"}
"""At import time the features are not complete."""


def find_early_calls(source: str) -> list[str]:
    """Calls at import time of what needs all features; also in the bodies of classes and in decorators."""
    found, rest = [], list(ast.parse(source).body)
    while rest:
        node = rest.pop()
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IN_FUNCTIONS:
            found.append(ast.unparse(node))
        inner = (
            node.decorator_list
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            else ast.iter_child_nodes(node)
        )
        rest += [] if isinstance(node, ast.Lambda) else inner
    return found


def test_features_are_asked_in_functions_only() -> None:
    assert [found for path in MODULES if (found := find_early_calls(path.read_text()))] == []


@pytest.mark.parametrize("planted", ["ROLES = all_roles()", "class A:\n    most = len(all_permissions())"])
def test_a_planted_early_call_is_found(planted: str) -> None:
    assert find_early_calls(planted) != []
    assert find_early_calls(f"def later():\n    {planted.splitlines()[-1].strip()}") == []


def test_one_rule_of_a_feature_does_not_load_the_feature() -> None:
    program = "import sys, orca.features.deployments.rules; print(*(name for name in sys.modules if name.startswith('orca.features.')))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert {"orca.features.deployments.rules", "orca.features.manifest"} <= set(loaded)
    assert [name for name in loaded if name.endswith((".feature", ".api", ".pages", ".tasks"))] == []


def test_nothing_is_imported_for_a_side_effect() -> None:
    assert [str(path) for path in SOURCE.rglob("*.py") if "noqa: F401" in path.read_text()] == []


@pytest.mark.parametrize(
    "planted",
    [
        'subscribe("ServiceDeleted", forget)',
        'directories["service"] = Names()',
        "events.subscribers['ServiceDeleted'] += [forget]",
        "registry.readers.append(read)",
        '@tenant_resolver("thing_id")\nasync def find_team(session, thing_id): ...',
        "@status_reader\nasync def read_status(session, service): ...",
        "import orca.features.dashboard.names  # noqa: F401 - registers names",
        'if True:\n    subscribe("ServiceDeleted", forget)',
        "for name in NAMES:\n    subscribers[name] = forget",
    ],
)
def test_a_planted_registration_is_found(planted: str) -> None:
    assert find_side_effects(planted) != []


@pytest.mark.parametrize(
    "allowed",
    [
        'router = Router()\n@router.get("/x")\n@guard("x.read")\nasync def show(): ...',
        "router = Router()\ntake_routes(router, other.router)",
        "table = {}\ntable['a'] = 1",
        'if __name__ == "__main__":\n    main()',
    ],
)
def test_what_stays_in_the_module_is_no_registration(allowed: str) -> None:
    assert find_side_effects(allowed) == []
