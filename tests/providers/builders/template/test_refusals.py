"""Trees that must not be built as one application: what is said, and which folders are offered."""

import json
from pathlib import Path

import pytest
from tests.providers.builders.template.test_template import make

from orca.providers.builders.template.builder import find_recipe
from orca.providers.builders.template.options import TemplateOptions
from orca.sdk.builders import Refusal

COMPOSE = "services:\n  api:\n    build: ./api\n  web:\n    build: {context: web}\n  db:\n    image: postgres\n"
MAIN = "package main\n\nfunc main() {}\n"
CASES: dict[str, tuple[dict[str, str], str, list[str]]] = {
    "compose": ({"compose.yaml": COMPOSE, "api/x": "", "web/y": ""}, "Compose project", ["api", "web"]),
    "folders": ({"backend/main.py": "print(1)", "frontend/index.html": ""}, "Several projects", ["backend", "frontend"]),
    "one folder": ({"README.md": "", "app/Dockerfile": "FROM x\n"}, "there is a project in app", ["app"]),
    "collection": ({f"example-{number}/index.php": "" for number in range(9)}, "A collection of projects", [f"example-{number}" for number in range(9)]),
    "template": ({"{{cookiecutter.slug}}/main.py": "", "pyproject.toml": ""}, "A template for projects", []),
    "copier": ({"copier.yml": "", "index.html": ""}, "Copier", []),
    "python library": ({"pyproject.toml": '[build-system]\nrequires=[]\n[project]\nname="x"\n', "x/__init__.py": ""}, "A Python library", []),
    "python without a program": ({"requirements.txt": "streamlit\n"}, "without a program", []),
    "python that does not exist": ({"main.py": "", ".python-version": "3.99\n"}, "Python 3.99, which does not exist", []),
    "go library": ({"go.mod": "module x\n", "x.go": "package x\n"}, "A Go library", []),
    "hugo theme": ({"go.mod": "module x\n", "theme.toml": "", "layouts/index.html": ""}, "A theme for Hugo", []),
    "go programs": ({"go.mod": "module x\n", "cmd/a/main.go": MAIN, "cmd/b/main.go": MAIN}, "2 Go programs", ["cmd/a", "cmd/b"]),
    "rust library": ({"Cargo.toml": '[package]\nname = "x"\n', "src/lib.rs": ""}, "A Rust library", []),
    "rust programs": ({"Cargo.toml": '[package]\nname = "x"\n', "src/bin/a.rs": "", "src/bin/b.rs": ""}, "2 Rust programs", [".", "."]),
    "php library": ({"composer.json": json.dumps({"name": "a/b"}), "src/A.php": ""}, "A PHP library", []),
    "gem": ({"Gemfile": "gemspec\n", "x.gemspec": ""}, "A Ruby library", []),
    ".NET library": ({"x.csproj": '<Project Sdk="Microsoft.NET.Sdk"></Project>'}, "A .NET library", []),
    "scala": ({"build.sbt": ""}, "looks like Scala", []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_built_is_named_with_the_folders_that_can(case: str, tmp_path: Path) -> None:
    files, reason, folders = CASES[case]
    found = find_recipe(make(tmp_path, files), TemplateOptions())
    assert isinstance(found, Refusal)
    assert reason in found.reason
    assert found.hint
    assert [each.folder for each in found.candidates] == folders


def test_documents_alone_are_nothing(tmp_path: Path) -> None:
    assert find_recipe(make(tmp_path, {"README.md": "", "docs/a.md": ""}), TemplateOptions()) is None
