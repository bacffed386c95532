"""Variables of every name reach the program that an image starts: its command is run here, with a stand-in program."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.providers.builders.template.test_template import PROJECTS, make

from orca.providers.builders.template.languages import find_recipe
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.recipe import Recipe
from orca.sdk.dockerfile import parse_dockerfile, resolve

NAMES = {"a.b-c": "1", "spring.datasource.url": "jdbc:x", "PLAIN": "2"}
SHOW = "exec /usr/bin/env\n"
PROGRAMS = (
    "bin/x", "bin/shop", "bin/server", "shop", "_build/prod/rel/shop/bin/shop", "build/erlang-shipment/entrypoint.sh", "target/universal/stage/bin/my-shop",
)  # fmt: skip
COMMANDS = (
    "node", "next", "java", "python3", "gunicorn", "uvicorn", "streamlit", "bundle", "apache2-foreground", "nginx", "run", "app",
)  # fmt: skip
STATIC = {name for name in PROJECTS if name.startswith(("site-", "static-"))} | {"ruby-jekyll", "node-next-export", "node-vite-pnpm", "python-project-chosen"}  # fmt: skip
MORE = {
    "python-shell": ({"requirements.txt": "flask\n", "app.py": "app = Flask(__name__)\n", "Procfile": "web: true && exec run $PORT\n"}, {}),
    "python-plain": ({"requirements.txt": "flask\n", "app.py": "app = Flask(__name__)\n", "Procfile": "web: run 'a b' --fast\n"}, {}),
    "python-variable": ({"requirements.txt": "flask\n", "app.py": "app = Flask(__name__)\n", "Procfile": "web: A=b run\n"}, {}),
    "node-own-base": ({"package.json": json.dumps({"main": "a.js"}), "a.js": "http.createServer().listen(8000)"}, {"base": "own:1"}),
}  # fmt: skip
CASES = {name: case for name, case in PROJECTS.items() if name not in STATIC} | MORE


def argv(dockerfile: str, home: Path) -> list[str]:
    """Return what the image starts, with `home` in the place of the file system's root."""
    stages = resolve(parse_dockerfile(dockerfile, heredocs=True), {}, "amd64").lineage
    words = {each.keyword: each.source.rest for stage in stages for each in stage.instructions}
    assert json.loads(words.get("ENTRYPOINT", "[]")) == []
    if re.search(r"/(node|php|eclipse-temurin):", str(stages[0].base)):  # their own one is a script of /bin/sh
        assert "ENTRYPOINT" in words
    return [word.replace("/app/", f"{home}/app/") for word in json.loads(words["CMD"])]


@pytest.mark.parametrize("name", CASES)
def test_variables_with_dots_and_dashes_reach_the_program(name: str, tmp_path: Path) -> None:
    files, options = CASES[name]
    recipe = find_recipe(make(tmp_path / "tree", files), TemplateOptions.parse(options))
    assert isinstance(recipe, Recipe)
    programs = [*(f"app/{each}" for each in PROGRAMS), *(f"path/{each}" for each in COMMANDS)]
    if name == "java-gradle-application":
        programs = ["app/bin/start"]
    # Start scripts of Gradle and Erlang name /bin/sh, and run in bash as well.
    made = make(tmp_path, {each: f"#!/bin/{'sh' if 'start' in each else 'bash'}\n{SHOW}" for each in programs})
    for each in programs:
        (made / each).chmod(0o755)
    (tmp_path / "app/nginx.conf").touch()
    command = argv(recipe.dockerfile, tmp_path)
    if name == "java-war":
        assert command == ["bash", "/usr/local/tomcat/bin/catalina.sh", "run"]
        command[1] = str(tmp_path / "app/shop")
    env = {**NAMES, "PORT": "80", "PATH": f"{tmp_path}/path:{os.environ['PATH']}"}
    shown = subprocess.run(
        ["/usr/bin/env", "-i", *(f"{key}={value}" for key, value in env.items()), *command],
        cwd=tmp_path / "app", check=True, capture_output=True, text=True, timeout=30,
    ).stdout.splitlines()  # fmt: skip
    assert {f"{key}={value}" for key, value in NAMES.items()} <= set(shown)
