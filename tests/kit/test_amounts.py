"""Amounts by tables."""

import pytest

from orca.kit.amounts import counted, show_bytes


@pytest.mark.parametrize(("number", "expected"), [(0, "0 files"), (1, "1 file"), (2, "2 files")])
def test_counted(number: int, expected: str) -> None:
    assert counted(number, "file") == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 B"), (19, "19 B"), (1000, "1.0 kB"), (1_500_000, "1.5 MB"), (12_340_000_000, "12.3 GB")],
)
def test_show_bytes(count: int, expected: str) -> None:
    assert show_bytes(count) == expected
