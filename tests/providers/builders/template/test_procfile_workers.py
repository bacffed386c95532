"""A Procfile without `web`: its process runs, as a worker, and where there is a web application that is said."""

from pathlib import Path

import pytest
from tests.providers.builders.template.test_template import PROJECTS, make

from orca.providers.builders.template.languages import find_recipe
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.recipe import Recipe

GO = 'package main\nimport "github.com/gin-gonic/gin"\nfunc main() { gin.Default().Run() }\n'
CASES: dict[str, dict[str, str]] = {
    "Flask": {"requirements.txt": "flask\n", "app.py": "from flask import Flask\napp = Flask(__name__)\n"},
    "Rails": PROJECTS["ruby-rails"][0],
    "gin": {"go.mod": "module x\n\nrequire github.com/gin-gonic/gin v1.10.0\n", "main.go": GO},
    "Rocket": PROJECTS["rust-rocket"][0],
    "Spring Boot": PROJECTS["java-maven-spring"][0],
    "Phoenix": PROJECTS["elixir-phoenix"][0],
    "Wisp": PROJECTS["gleam-wisp"][0],
    "Play": PROJECTS["scala-play"][0],
}


@pytest.mark.parametrize("framework", CASES)
def test_a_procfile_without_web_makes_a_worker_and_says_so(framework: str, tmp_path: Path) -> None:
    tree = make(tmp_path, {**CASES[framework], "Procfile": "jobs: ./work hard\n"})
    recipe = find_recipe(tree, TemplateOptions())
    assert isinstance(recipe, Recipe)
    assert (recipe.service_kind, recipe.port, recipe.start) == ("worker", None, "./work hard")
    assert "EXPOSE" not in recipe.dockerfile
    assert any("no `web`" in each and "`jobs`" in each and framework in each for each in recipe.warnings)


@pytest.mark.parametrize("framework", CASES)
def test_a_procfile_with_web_is_served(framework: str, tmp_path: Path) -> None:
    tree = make(tmp_path, {**CASES[framework], "Procfile": "jobs: ./work hard\nweb: ./serve\n"})
    recipe = find_recipe(tree, TemplateOptions())
    assert isinstance(recipe, Recipe)
    assert recipe.service_kind == "web"
    assert not any("no `web`" in each for each in recipe.warnings)
