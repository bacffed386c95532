"""The entries: one JSON file for each repository, beside the project."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.providers.builders.corpus import supplements


def _folder() -> Path:
    """Beside the project, or beside the folder that holds several checkouts of it."""
    beside = [folder / "shared/repositories" for folder in Path(__file__).resolve().parents[4:7]]
    return next((folder for folder in beside if folder.is_dir()), beside[1])


FOLDER = _folder()


@dataclass(frozen=True)
class Entry:
    """One repository: what lies in it, what its code does, and what a detector should say of it."""

    name: str
    tree: list[str]
    files: dict[str, str]
    facts: dict[str, Any]
    expected: dict[str, Any]
    is_certain: bool


def read_entries() -> list[Entry]:
    """All of them, by name; none where the folder is not there."""
    entries = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
    return [_entry(each) for each in entries]


def _entry(data: dict[str, Any]) -> Entry:
    name = data["name"]
    files = data["files"] | supplements.FILES.get(name, {})
    facts = data["facts"] | supplements.FACTS.get(name, {})
    return Entry(name, data["tree"], files, facts, data["expected"], data["confidence"] == "high")
