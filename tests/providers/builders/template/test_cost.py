"""Files of a repository are read in time that grows linearly with their length, whatever they contain."""

from pathlib import Path

import pytest
from tests.processor_time import processor_seconds
from tests.providers.builders.template.test_template import make

from orca.providers.builders.template.languages import find_recipe
from orca.providers.builders.template.options import TemplateOptions

BESIDE: dict[str, dict[str, str]] = {
    "nginx.conf": {"index.html": ""},
    "build.sbt": {},
    "src/x.gleam": {"gleam.toml": 'name = "x"\n'},
    "Gemfile": {},
    "main.go": {"go.mod": "module x\n"},
    "action.yml": {"package.json": "{}"},
}
PIECES = (
    "{",
    "#",
    " ",
    "\n",
    " \n",
    "listen ",
    'ruby "',
    "ruby (",
    "run_service( ",
    'name := "',
    "//go:embed ",
    "a: b\n",
)


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("piece", PIECES)
def test_find_recipe_of_a_long_file_takes_time_in_proportion_to_it(name: str, piece: str, tmp_path: Path) -> None:
    def seconds(size: int) -> float:
        tree = make(tmp_path / str(size), {**BESIDE[name], name: (piece * size)[:size]})
        return processor_seconds(lambda: find_recipe(tree, TemplateOptions()))

    seconds(1000)
    assert seconds(800_000) < 12 * seconds(100_000) + 0.5
