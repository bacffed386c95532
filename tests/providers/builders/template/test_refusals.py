"""Trees that must not be built as one application: what is said, and which folders are offered."""

import json
from pathlib import Path

import pytest
from tests.providers.builders.template.test_template import make

from orca.providers.builders.template.languages import find_recipe
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.recipe import Recipe
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
    "python library with documentation": ({"setup.py": "", "x/__init__.py": "", "mkdocs.yml": "site_name: x\n", "docs/index.md": ""}, "A Python library", ["."]),
    "python module": ({"pyproject.toml": '[project]\nname="thing"\n', "thing.py": '"""A thing."""\nimport os\nLIMIT = 3\n\n\ndef double(x):\n    return 2 * x\n'}, "A Python library: thing.py only defines functions", []),
    "python tool": ({"pyproject.toml": '[build-system]\nrequires=[]\n[project]\nname="x"\nclassifiers=["Topic :: Utilities"]\nscripts={x="x:main"}\n', "x/__main__.py": "print(1)", "x/main.py": ""}, "A Python library", []),
    "shell scripts with pages": ({"install.sh": "", "docs/index.html": ""}, "there is a project in docs", ["docs"]),
    "procfile alone": ({"Procfile": "release: ./x\nweb: ./serve --port $PORT\n"}, "whose process web is `./serve --port $PORT`", []),
    "two levels": ({"backend/api/go.mod": "module x\n", "backend/api/main.go": MAIN, "backend/pages/index.html": "", "web/package.json": '{"scripts": {"start": "node a.js"}}', "web/inner/go.mod": "module x\n", "web/inner/main.go": MAIN}, "Several projects", ["web", "backend/api"]),
    "C++ with pages": ({"CMakeLists.txt": "", "src/a.cpp": "", "www/index.html": ""}, "there is a project in www", ["www"]),
    "library with finished pages": ({"composer.json": json.dumps({"name": "a/b"}), "src/A.php": "", "docs/index.html": ""}, "A PHP library", ["docs"]),
    "fixtures": ({"README.md": "", "app/index.html": "", "spec/fixtures/site/index.html": "", "e2e/package.json": '{"scripts": {"start": "node a.js"}}'}, "there is a project in app", ["app"]),
    "python without a program": ({"requirements.txt": "streamlit\n"}, "without a program", []),
    "python that does not exist": ({"main.py": "", ".python-version": "3.99\n"}, "Python 3.99, which does not exist", []),
    "go library": ({"go.mod": "module x\n", "x.go": "package x\n"}, "A Go library", []),
    "hugo theme": ({"go.mod": "module x\n", "theme.toml": "", "layouts/index.html": ""}, "A theme for Hugo", []),
    "go programs": ({"go.mod": "module x\n", "cmd/a/main.go": MAIN, "cmd/b/main.go": MAIN}, "2 Go programs", ["cmd/a", "cmd/b"]),
    "rust library": ({"Cargo.toml": '[package]\nname = "x"\n', "src/lib.rs": ""}, "A Rust library", []),
    "rust programs": ({"Cargo.toml": '[package]\nname = "x"\n', "src/bin/a.rs": "", "src/bin/b.rs": ""}, "2 Rust programs", [".", "."]),
    "php library": ({"composer.json": json.dumps({"name": "a/b"}), "src/A.php": ""}, "A PHP library", []),
    "gem with a Rakefile": ({"Gemfile": 'gemspec\ngem "rake"\n', "x.gemspec": "", "Rakefile": ""}, "A Ruby library", []),
    "library with an example": ({"setup.py": "", "shop/views.py": "", "example_project/manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'a.settings')\n", "example_project/a/settings.py": ""}, "A Python library", []),
    "library with one script": ({"setup.py": "", "shop/views.py": "", "runtests.py": "print(1)"}, "A Python library", []),
    "manual beside folders of code": ({"docs/conf.py": "extensions = []\n", "docs/index.rst": "", "desktop/pyproject.toml": "", "desktop/main.py": "print(1)"}, "there is a project in desktop", ["desktop"]),
    "tool on npm with a manual": ({"package.json": json.dumps({"name": "x", "bin": "a.js"}), "docs/conf.py": "extensions = []\n", "docs/index.rst": ""}, "x is a library", ["."]),
    "gem": ({"Gemfile": "gemspec\n", "x.gemspec": ""}, "A Ruby library", []),
    ".NET library": ({"x.csproj": '<Project Sdk="Microsoft.NET.Sdk"></Project>'}, "A .NET library", []),
    "rust tool that can serve": ({"Cargo.toml": '[package]\nname = "x"\n[dependencies]\nclap = "4"\naxum = { version = "0.8", optional = true }\n', "src/main.rs": "fn main() { axum::serve(listener, app) }"}, "A command line tool", []),
    "scala without a packed program": ({"build.sbt": "", "project/plugins.sbt": "// sbt-native-packager\n"}, "packs no program", []),
    "gleam library": ({"gleam.toml": 'name = "x"\n', "src/x.gleam": "fn main() {}"}, "A Gleam library", []),
    "action": ({"action.yml": "runs:\n  using: node20\n  main: index.js\n", "package.json": "{}", "index.js": "console.log(1)"}, "A GitHub action", []),
    "site of another program": ({"package.json": '{"workspaces": ["web"]}', "web/package.json": '{"scripts": {"build": "vite build"}, "devDependencies": {"vite": "7"}}', "web/index.html": "", "api/go.mod": "module x\n", "api/main.go": MAIN}, "of another language (api/go.mod)", ["api", "web"]),
    "dockerfile elsewhere": ({"docker/Dockerfile": "FROM x\n", "api/main.py": "print(1)"}, "there is a project in api", ["api"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_built_is_named_with_the_folders_that_can(case: str, tmp_path: Path) -> None:
    files, reason, folders = CASES[case]
    found = find_recipe(make(tmp_path, files), TemplateOptions())
    assert isinstance(found, Refusal)
    assert reason in found.reason
    assert found.hint
    assert [each.folder for each in found.candidates] == folders


def test_pages_in_docs_are_a_site_where_nothing_else_is(tmp_path: Path) -> None:
    files = {"README.md": "", "LICENSE": "", "docs/index.html": "", "docs/CNAME": "", "images/a.png": ""}
    found = find_recipe(make(tmp_path, files), TemplateOptions())
    assert isinstance(found, Recipe)
    assert (found.service_kind, found.output) == ("static", "docs")


@pytest.mark.parametrize(
    ("files", "framework", "output"),
    [
        ({"conf.py": "project = 'x'\nhtml_theme = 'furo'\n", "index.rst": "x\n=\n"}, "Sphinx", "_build/html"),
        ({"requirements.txt": "sphinx\n", "docs/conf.py": "extensions = ['myst_parser']\n", "docs/index.md": ""}, "Sphinx", "docs/_build/html"),
        ({"requirements.txt": "mkdocs\n", "mkdocs.yml": "site_name: x\n", "docs/index.md": ""}, "MkDocs", "site"),
    ],
)  # fmt: skip
def test_documentation_on_its_own_is_a_site(files: dict[str, str], framework: str, output: str, tmp_path: Path) -> None:
    found = find_recipe(make(tmp_path, files), TemplateOptions())
    assert isinstance(found, Recipe)
    assert (found.service_kind, found.framework, found.output) == ("static", framework, output)
    assert "install sphinx furo" in found.dockerfile or "requirements.txt" in found.dockerfile


def test_the_documentation_of_a_library_is_built_where_it_is_asked_for(tmp_path: Path) -> None:
    files = {"setup.py": "", "mkdocs.yml": "site_name: x\n", "docs/index.md": ""}
    found = find_recipe(make(tmp_path, files), TemplateOptions(root="site"))
    assert isinstance(found, Recipe)
    assert found.framework == "MkDocs"


def test_documents_alone_are_nothing(tmp_path: Path) -> None:
    assert find_recipe(make(tmp_path, {"README.md": "", "docs/a.md": ""}), TemplateOptions()) is None


@pytest.mark.parametrize(
    ("manifest", "code"),
    [
        ('[project]\nname="x"\n', "def run():\n    print(1)\n\n\nif __name__ == '__main__':\n    run()\n"),
        ('[project]\nname="x"\n', "def run():\n    print(1)\n\n\nrun()\n"),
        ('[tool.other]\nname="x"\n', "def run():\n    print(1)\n"),
    ],
)
def test_a_module_that_does_something_is_a_program(manifest: str, code: str, tmp_path: Path) -> None:
    found = find_recipe(make(tmp_path, {"pyproject.toml": manifest, "thing.py": code}), TemplateOptions())
    assert isinstance(found, Recipe)
    assert found.start == "python3 thing.py"
