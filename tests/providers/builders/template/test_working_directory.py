"""The working directory belongs to the user that runs, in the image of each template."""

import posixpath
import re
from pathlib import Path

import pytest
from tests.providers.builders.template.test_template import PROJECTS, make

from orca.providers.builders.template.languages import find_recipe
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.recipe import Recipe
from orca.sdk.dockerfile import ResolvedInstruction, parse_dockerfile, resolve

PROCFILE = "web: ./run --port $PORT\nworker: ./work\n"
GO = {
    "go.mod": "module x\n",
    "main.go": 'package main\nimport "net/http"\nfunc main() { http.ListenAndServe("", nil) }\n',
}
RUST = {
    "Cargo.toml": '[package]\nname = "shop"\n[dependencies]\naxum = "1"\n',
    "src/main.rs": "fn main() { axum::serve() }\n",
}
MORE: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "go-files-alone": ({**GO, "templates/a.html": ""}, {}),
    "go-start": (GO, {"start": "x serve --port $PORT"}),
    "go-packages": (GO, {"packages": "ffmpeg"}),
    "rust-alone": (RUST, {}),
    "rust-files": ({**RUST, "templates/a.html": ""}, {}),
    "deno": ({"deno.json": "{}", "main.ts": "Deno.serve(() => new Response())\n"}, {}),
}  # fmt: skip
WITH_PROCFILE = {
    f"{name}-procfile": ({**files, "Procfile": PROCFILE}, options)
    for name, (files, options) in {**PROJECTS, **MORE}.items()
    if "Procfile" not in files
}
CASES = {**PROJECTS, **MORE, **WITH_PROCFILE}
OWNERS_OF_IMAGES = {"/usr/local/tomcat": "0"}
"""Working directories that come with a base image."""


def working_directory(dockerfile: str) -> tuple[str, str, str]:
    """Return the last stage's working directory, its owner, and the user that runs, as BuildKit makes them.

    A COPY makes missing folders with the owner of its files, a WORKDIR with the user at that line.
    """
    stages = resolve(parse_dockerfile(dockerfile, heredocs=False), {}, "amd64").lineage
    folder, user = ("/usr/local/tomcat" if "FROM tomcat" in dockerfile else "/"), "0"
    owners = {"/": "0", **OWNERS_OF_IMAGES}
    for instruction in (each for stage in stages for each in stage.instructions):
        if instruction.keyword == "USER":
            user = instruction.source.rest
        elif instruction.keyword == "WORKDIR":
            folder = posixpath.join(folder, instruction.source.rest)
            _make(owners, folder, user)
        elif instruction.keyword == "COPY":
            _copy(owners, folder, instruction)
        for owner, paths in re.findall(r"chown (?:-R )?([\w:-]+) ([^&]+)", instruction.source.rest):
            owners.update(dict.fromkeys(paths.split(), owner))
    return folder, owners[folder], user


def _copy(owners: dict[str, str], folder: str, instruction: ResolvedInstruction) -> None:
    owner = next((flag.value or "0" for flag in instruction.source.flags if flag.name == "chown"), "0")
    target = posixpath.normpath(posixpath.join(folder, instruction.source.words[-1]))
    _make(owners, target if instruction.source.words[-1].endswith("/") else posixpath.dirname(target), owner)


def _make(owners: dict[str, str], path: str, owner: str) -> None:
    for missing in (path, *(str(each) for each in Path(path).parents)):
        owners.setdefault(missing, owner)


@pytest.mark.parametrize("name", CASES)
def test_the_working_directory_belongs_to_the_user_that_runs(name: str, tmp_path: Path) -> None:
    files, options = CASES[name]
    recipe = find_recipe(make(tmp_path, files), TemplateOptions.parse(options))
    assert isinstance(recipe, Recipe)
    folder, owner, user = working_directory(recipe.dockerfile)
    assert user not in {"0", "root"}
    assert (folder, owner.partition(":")[0]) == (folder, user.partition(":")[0])
    assert folder != "/"


def test_working_directory_of_a_copy_without_an_owner_is_of_root() -> None:
    lines = ["FROM scratch", "COPY a /app/bin/", "COPY --chown=1:1 b /app/", "WORKDIR /app", "USER 1:1"]
    assert working_directory("\n".join(lines)) == ("/app", "0", "1:1")
    lines[1] = "COPY --chown=1:1 a /app/bin/"
    assert working_directory("\n".join(lines)) == ("/app", "1:1", "1:1")
