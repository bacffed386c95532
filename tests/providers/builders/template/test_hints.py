"""What files of other platforms fill in, and what comes before them."""

import json
from pathlib import Path

import pytest
from tests.providers.builders.template.test_template import make

from orca.providers.builders.template.languages import find_recipe
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.recipe import Recipe

APP = {"requirements.txt": "", "job.py": "", "other.py": ""}
START = "python3 -m shop"
CASES: dict[str, tuple[dict[str, str], str]] = {
    "nixpacks": ({"nixpacks.toml": f'[start]\ncmd = "{START}"\n[phases.setup]\naptPkgs = ["...", "ffmpeg"]\n'}, "ffmpeg"),
    "railpack": ({"railpack.json": json.dumps({"deploy": {"startCommand": START, "aptPackages": ["ffmpeg"]}})}, "ffmpeg"),
    "railway": ({"railway.json": json.dumps({"deploy": {"startCommand": START}})}, ""),
    "render": ({"render.yaml": f"services:\n  - type: web\n    startCommand: {START}\n    buildCommand: pip install -r requirements.txt && make pages\n"}, "RUN make pages"),
    "fly": ({"fly.toml": f'[processes]\napp = "{START}"\n[deploy]\nrelease_command = "migrate"\n'}, ""),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_start_command_of_another_platform_fills_in(case: str, tmp_path: Path) -> None:
    files, text = CASES[case]
    recipe = find_recipe(make(tmp_path, {**APP, **files}), TemplateOptions())
    assert isinstance(recipe, Recipe)
    assert recipe.start == START
    assert text in recipe.dockerfile
    assert recipe.release == ("migrate" if case == "fly" else None)
    assert set(files) <= set(recipe.evidence)
    assert any(next(iter(files)) in each for each in recipe.warnings)


def test_options_and_the_procfile_come_before_hints(tmp_path: Path) -> None:
    tree = make(
        tmp_path, {**APP, "fly.toml": '[processes]\napp = "theirs"\n', "Procfile": "web: python3 -m http.server\n"}
    )
    recipe = find_recipe(tree, TemplateOptions())
    assert isinstance(recipe, Recipe)
    assert recipe.start == "python3 -m http.server"
    chosen = find_recipe(tree, TemplateOptions(start="ours"))
    assert isinstance(chosen, Recipe)
    assert chosen.start == "ours"


def test_folders_and_variables_are_read_and_nonsense_is_left_out(tmp_path: Path) -> None:
    files = {
        "netlify.toml": '[build]\npublish = "made/site"\ncommand = "echo"\n', "made/site/index.html": "", "index.html": "",
        "app.json": json.dumps({"env": {"KEY": {"required": True}, "EMPTY": {"required": False}, "SET": "x", "MADE": {"generator": "secret"}, "a b": {}}}),
        "nixpacks.toml": "[start\n", "railpack.json": "[]", "fly.toml": 'processes = "x"\n', "vercel.json": "{",
        "render.yaml": "services: [1, {type: web, startCommand: {}}]\n",
    }  # fmt: skip
    recipe = find_recipe(make(tmp_path, files), TemplateOptions())
    assert isinstance(recipe, Recipe)
    assert recipe.output == "made/site"
    assert recipe.warnings[-1] == "It expects the variables KEY (app.json)."


@pytest.mark.parametrize(
    "text", ["[http_service]\ninternal_port = 9100\n", '[[services]]\ninternal_port = 9100\nprotocol = "tcp"\n']
)
def test_the_port_of_fly_toml_is_where_the_program_listens(text: str, tmp_path: Path) -> None:
    files = {
        "requirements.txt": "flask\n",
        "app.py": "from flask import Flask\napp = Flask(__name__)\n",
        "fly.toml": text,
    }
    recipe = find_recipe(make(tmp_path, files), TemplateOptions())
    assert isinstance(recipe, Recipe)
    assert recipe.port == 9100
    assert "ENV PORT=9100\nEXPOSE 9100\n" in recipe.dockerfile
    assert "The port 9100 was taken from fly.toml." in recipe.warnings


@pytest.mark.parametrize(
    "text", ["", "[http_service]\ninternal_port = 80\n", "[http_service]\ninternal_port = 'x'\n", "services = 3\n"]
)
def test_a_port_that_cannot_be_used_changes_nothing(text: str, tmp_path: Path) -> None:
    files = {"package.json": json.dumps({"scripts": {"start": "node a.js"}}), "fly.toml": text}
    recipe = find_recipe(make(tmp_path, files), TemplateOptions())
    assert isinstance(recipe, Recipe)
    assert recipe.port == 3000


def test_the_port_of_fly_toml_reaches_a_line_with_other_variables(tmp_path: Path) -> None:
    files = {
        "package.json": json.dumps({"scripts": {"start": "node a.js"}}),
        "fly.toml": "[http_service]\ninternal_port = 9100\n",
    }
    recipe = find_recipe(make(tmp_path, files), TemplateOptions())
    assert isinstance(recipe, Recipe)
    assert " PORT=9100 " in recipe.dockerfile
    assert "EXPOSE 9100" in recipe.dockerfile


def test_files_from_which_nothing_is_taken_are_said(tmp_path: Path) -> None:
    render = "services:\n  - {type: web, name: shop}\n  - {type: worker, name: mail}\n"
    recipe = find_recipe(
        make(tmp_path, {**APP, "main.py": "", "render.yaml": render, "netlify.toml": '[build]\nbase = "web/"\n'}),
        TemplateOptions(),
    )
    assert isinstance(recipe, Recipe)
    assert "render.yaml describes 2 services (shop, mail): make a service here for each of them." in recipe.warnings
    assert "netlify.toml builds the folder web: choose it as the subdirectory." in recipe.warnings
