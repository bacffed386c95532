"""Benchmarks run seldom: that they still fit the code is seen here."""

from importlib import import_module

import pytest
from tests.conftest import ROOT

MODULES = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("name", MODULES)
def test_a_benchmark_can_be_loaded(name: str) -> None:
    import_module(f"benchmarks.{name}")
