"""A third of each long loop in an ordinary run, chosen by a seed that is printed; all of it with ORC_TEST_ALL=1.

A plugin of pytest: `pytest.mark.sampled` on a parametrized test makes its cases such a loop.
"""

import os
import random
from collections import defaultdict

import pytest
from tests.providers.builders.corpus.entries import FOLDER

SHARE = 3


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "sampled: a long loop; an ordinary run takes a third of its cases")
    # In the environment, so that the workers of pytest-xdist, which collect for themselves, choose the same cases.
    os.environ.setdefault("ORC_TEST_SEED", str(random.SystemRandom().randrange(10_000)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    seed = os.environ["ORC_TEST_SEED"]
    chosen = "every case" if takes_all() else f"a third of their cases, by ORC_TEST_SEED={seed}"
    terminalreporter.write_line(f"long loops: {chosen}")
    if not FOLDER.is_dir():
        terminalreporter.write_line(f"labelled repositories: none in {FOLDER}, so that detection is not tried on them")


def takes_all() -> bool:
    return os.environ.get("ORC_TEST_ALL", "") == "1"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this seed does not choose. A test that is named on the command line is run."""
    if takes_all() or any("::" in argument for argument in config.args):
        return
    loops: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("sampled"):
            loops[item.nodeid.partition("[")[0]].append(item)
    left_out: set[pytest.Item] = set()
    for name, cases in loops.items():
        chance = random.Random(f"{os.environ['ORC_TEST_SEED']} {name}")
        left_out.update(chance.sample(cases, len(cases) - -(-len(cases) // SHARE)))
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]
