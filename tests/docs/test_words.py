"""Plain words: those that the design bans do not come back."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

BANNED = re.compile(r"\b(nobody|somebody|whoever|anybody)\b", re.IGNORECASE)
"""A sentence says what a function, a person with a role or a client does."""
BANNED_MODULES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "processor"}
BANNED_CLASSES = re.compile(r"^class (?!PackageManager\b)\w*(Manager|Processor|Impl|Factory)\b", re.MULTILINE)
FOLDERS = {"src": ("*.py", "*.html"), "docs": ("*.md", "*.yml"), "frontend/src": ("*.ts",), "benchmarks": ("*.py",)}


def written() -> Iterator[Path]:
    for folder, patterns in FOLDERS.items():
        for pattern in patterns:
            yield from (ROOT / folder).rglob(pattern)


def test_texts_use_no_banned_word() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in written()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if BANNED.search(line)
    ]
    assert not found, "\n".join(found)


def test_loop_variables_are_called_what_they_hold() -> None:
    loops = [path for path in (ROOT / "src").rglob("*.py") if re.search(r"\bfor each in\b", path.read_text())]
    assert not loops, "for route in routes, not for each: " + ", ".join(str(path) for path in loops)


def test_modules_and_classes_are_named_for_what_they_do() -> None:
    modules = [path for path in (ROOT / "src").rglob("*.py") if path.stem.strip("_") in BANNED_MODULES]
    classes = [path for path in (ROOT / "src").rglob("*.py") if BANNED_CLASSES.search(path.read_text())]
    assert modules == []
    assert classes == []
