"""The settings that scripts/up was given: kept in the data directory, so that the next call means the same Orca.

Values go from variables into a private file and back; no command line and no log ever holds one.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FILE = "up-settings.json"
ALONE = "DATABASE_URL"
ELSEWHERE = frozenset({"ORC_DATA_DIR", "ORC_URL", "ORC_TOKEN"})
"""Where the settings lie, and what is for the command line only."""

_CHECK = """
import json, os, sys
from pydantic import ValidationError
from orca.kit.validation import explain
from orca.settings import Group, Settings

known = set()
for name, field in Settings.model_fields.items():
    if isinstance(field.annotation, type) and issubclass(field.annotation, Group):
        known.update(f"ORC_{name}_{inner}".upper() for inner in field.annotation.model_fields)
    else:
        known.add(str(field.validation_alias or f"ORC_{name}".upper()))
problems = []
try:
    Settings()
except ValidationError as error:
    for each in error.errors(include_input=False):
        place = "_".join(str(part) for part in each["loc"] if isinstance(part, str)).upper()
        problems.append(f"{'ORC_' * bool(place)}{place}{': ' * bool(place)}{explain(each)}")
json.dump({"known": sorted(known), "problems": problems}, sys.stdout)
"""


def settings_in(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings among variables."""
    return {
        name: value
        for name, value in environment.items()
        if name == ALONE or (name.startswith("ORC_") and name not in ELSEWHERE)
    }


@dataclass(frozen=True)
class Kept:
    """The settings of this call: those of earlier ones, and what it was given itself."""

    data: Path
    known: frozenset[str]
    before: dict[str, str]
    wanted: dict[str, str]

    def describe(self) -> str:
        """Which ones, never what they are."""
        changed = differing(self.before, self.wanted)
        others = sorted(set(self.wanted) - set(changed))
        told = [f"{what}: {', '.join(names)}" for what, names in (("changed", changed), ("kept", others)) if names]
        return "; ".join(told) or "as they come"

    def changes_from(self, running: Mapping[str, str]) -> list[str]:
        """What a panel that runs was started with differently. Proxy ports that were chosen here count as well."""
        now = settings_in(os.environ)
        return [name for name in differing(running, now) if name in self.known]

    def apply(self) -> None:
        """To this process and all that it starts."""
        for name in (*settings_in(os.environ), *self.before):
            if name in self.known:
                os.environ.pop(name, None)
        os.environ.update(self.wanted)

    def save(self) -> None:
        """For the next call. The file is replaced as a whole, and born private."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self.data / f"{FILE}.new"
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(self.wanted, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.data / FILE)


def load(data: Path) -> dict[str, str]:
    """What earlier calls were given."""
    try:
        kept = json.loads((data / FILE).read_text())
        return {str(name): str(value) for name, value in kept.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError) as error:
        raise SystemExit(
            f"✗ {data / FILE} cannot be read ({error}). Mend it, or remove it and give them again."
        ) from None


def collect(data: Path, python: Path) -> tuple[Kept, list[str]]:
    """What is wanted, and what is wrong with it. An empty value takes a kept one away."""
    before, given = load(data), settings_in(os.environ)
    wanted = {name: value for name, value in {**before, **given}.items() if value}
    known, problems = examine(python, wanted)
    for name in sorted(set(wanted) - known):
        print(f"{name} is no setting of Orca, and is not kept.")
    return Kept(data, known, before, {name: value for name, value in wanted.items() if name in known}), problems


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Names of the settings that are not the same."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def examine(python: Path, settings: Mapping[str, str]) -> tuple[frozenset[str], list[str]]:
    """The names of all settings, and what is wrong with the values of these; the values go by environment."""
    others = {name: value for name, value in os.environ.items() if name not in settings_in(os.environ)}
    done = subprocess.run(
        [python, "-P", "-c", _CHECK], env={**others, **settings}, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    return frozenset(found["known"]), found["problems"]


def environment_of(pid: int) -> dict[str, str] | None:
    """The settings that a process was started with; None when that cannot be seen."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    pairs = (line.partition("=") for line in os.fsdecode(raw).split("\0") if "=" in line)
    return settings_in({name: value for name, _, value in pairs})
