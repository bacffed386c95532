"""Looking at code takes a few seconds at most, however much of it there is, and finds the application all the same."""

from pathlib import Path

import pytest
from tests.processor_time import processor_seconds
from tests.providers.builders.template.test_template import make

from orca.providers.builders.template.languages import find_recipe
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.python_code import ReadBudget
from orca.providers.builders.template.recipe import Recipe

PIECES = ("a\n", "[a]\n", "def f(a, b):\n    return a.b(c, 3)\n")
LENGTH = 200_000


def many(files: int, piece: str, folder: str = "") -> dict[str, str]:
    """Return as many files, each of them with a text of its own."""
    return {f"{folder}m{each}.py": (f"# {folder}{each}\n{piece * LENGTH}")[:LENGTH] for each in range(files)}


def seconds(tree: Path) -> float:
    return processor_seconds(lambda: find_recipe(tree, TemplateOptions()))


@pytest.mark.parametrize("piece", PIECES)
def test_one_file_takes_time_in_proportion_to_its_length(piece: str) -> None:
    def spent(length: int) -> float:
        return processor_seconds(lambda: ReadBudget().read((piece * length)[:length]))

    spent(1000)
    assert spent(120_000) < 8 * spent(30_000) + 0.2


def test_many_files_take_no_longer_than_a_few(tmp_path: Path) -> None:
    few = seconds(make(tmp_path / "few", {"requirements.txt": "", **many(5, PIECES[-1])}))
    most = seconds(make(tmp_path / "many", {"requirements.txt": "", **many(60, PIECES[-1])}))
    assert most < 2 * few + 0.5


def test_many_folders_take_no_longer_than_one(tmp_path: Path) -> None:
    one = seconds(make(tmp_path / "one", {"requirements.txt": "", **many(8, "a\n")}))
    files = {name: text for at in range(12) for name, text in many(4, "a\n", f"service{at}/").items()}
    manifests = {f"service{at}/requirements.txt": "" for at in range(12)}
    assert seconds(make(tmp_path / "all", {**files, **manifests})) < 2 * one + 0.5


def test_likely_files_are_read_before_the_bound_is_reached(tmp_path: Path) -> None:
    application = "from fastapi import FastAPI\napi = FastAPI()\n"
    recipe = find_recipe(
        make(tmp_path, {"requirements.txt": "", "app/main.py": application, **many(30, "a\n")}), TemplateOptions()
    )
    assert isinstance(recipe, Recipe)
    assert "uvicorn app.main:api" in (recipe.start or "")


def test_a_text_that_comes_again_costs_nothing_and_a_long_one_is_not_read() -> None:
    reading = ReadBudget()
    assert reading.read("a = 1\n").names == {"a"}
    left = (reading.bytes_left, reading.parts_left)
    reading.read("a = 1\n")
    assert not reading.read("a\n" * LENGTH).readable
    assert (reading.bytes_left, reading.parts_left) == left


@pytest.mark.parametrize(
    ("beside", "name"),
    [
        ({"go.mod": "module x\n"}, "f{}.go"),
        ({"Cargo.toml": '[package]\nname="x"\n', "src/main.rs": ""}, "src/f{}.rs"),
        ({"build.sbt": "x\n"}, "project/f{}.sbt"),
        ({"pom.xml": "<project/>"}, "src/main/java/F{}.java"),
        ({"gleam.toml": 'name = "x"\n', "src/x.gleam": "pub fn main() {}\n"}, "src/f{}.gleam"),
        ({"go.mod": "module x\n"}, "cmd/f{}/main.go"),
    ],
)
def test_many_files_of_other_languages_take_no_longer_than_a_few(
    beside: dict[str, str], name: str, tmp_path: Path
) -> None:
    def files(count: int) -> dict[str, str]:
        return beside | {name.format(each): ("a\n" * 500_000)[:1_000_000] for each in range(count)}

    few = seconds(make(tmp_path / "few", files(2)))
    assert seconds(make(tmp_path / "many", files(40))) < 4 * few + 0.5
