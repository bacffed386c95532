"""All variables of a project or service as the text of a `.env` file: written, read, and compared. Pure."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from orca.features.services.comparison import HIDDEN, ConfigChange
from orca.features.services.forms import read_assignments
from orca.features.services.models import Variable
from orca.features.services.rules import looks_secret
from orca.kit.dotenv import write_dotenv
from orca.kit.text import shorten

_SHOWN = 400


def write_raw(rows: Sequence[Variable]) -> str:
    """Return the variables as lines; secret ones are named in comments."""
    text = write_dotenv({row.key: row.value or "" for row in rows if not row.is_secret})
    return text + "".join(
        f"# {row.key} is a secret and stays; a line with its name replaces it\n" for row in rows if row.is_secret
    )


def revision_of(rows: Sequence[Variable]) -> str:
    """Return a short text that changes with every change of the variables."""
    return sha256(" ".join(f"{row.id} {row.revision}" for row in rows).encode()).hexdigest()[:16]


def raw_data(form: Mapping[str, str], rows: Sequence[Variable]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what a text changes as the API's JSON, and its errors."""
    found, problems = read_assignments(form.get("text", ""))
    stored, given = {row.key: row for row in rows}, {entry.key: entry.value for entry in found}
    proposes = form.get("looks") == "true"
    changed = [
        {
            "key": key, "value": value, "is_build_time": key in stored and stored[key].is_build_time,
            "is_secret": stored[key].is_secret if key in stored else proposes and looks_secret(key, value),
        }
        for key, value in given.items()
        if key not in stored or stored[key].is_secret or stored[key].value != value
    ]  # fmt: skip
    return {
        "variables": changed,
        "removed": [row.key for row in rows if not row.is_secret and row.key not in given],
    }, problems


def compare_raw(data: Mapping[str, Any], rows: Sequence[Variable]) -> list[ConfigChange]:
    """Return what the changes of `raw_data` do, with the values of secrets hidden."""
    stored = {row.key: row for row in rows}
    changes = []
    for given in data["variables"]:
        row = stored.get(given["key"])
        before = "" if row is None else HIDDEN if row.is_secret else shorten(row.value or "", _SHOWN)
        after = HIDDEN if given["is_secret"] else shorten(given["value"], _SHOWN)
        changes.append(ConfigChange("", given["key"], before, after))
    changes += [ConfigChange("", key, shorten(stored[key].value or "", _SHOWN), "") for key in data["removed"]]
    return sorted(changes, key=lambda change: change.what)
