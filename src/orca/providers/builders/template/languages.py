"""Finds the language of a source tree by trying each in turn. The builder imports this with its first tree."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from orca.providers.builders.template.dotnet import find_dotnet
from orca.providers.builders.template.elixir import find_elixir
from orca.providers.builders.template.generators import find_generator
from orca.providers.builders.template.gleam import find_gleam
from orca.providers.builders.template.go import find_go
from orca.providers.builders.template.hints import Hints, apply_hints, read_hints
from orca.providers.builders.template.java import find_java
from orca.providers.builders.template.nginx import find_nginx
from orca.providers.builders.template.node import find_node
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.php import find_php
from orca.providers.builders.template.procfile import read_procfile
from orca.providers.builders.template.python import find_python
from orca.providers.builders.template.python_code import bounded_reading
from orca.providers.builders.template.recipe import Recipe, Refusal, Result
from orca.providers.builders.template.ruby import find_ruby
from orca.providers.builders.template.rust import find_rust
from orca.providers.builders.template.scala import find_scala
from orca.providers.builders.template.shape import explain, find_action, find_template
from orca.providers.builders.template.static import find_static
from orca.sdk.trees import Tree

# Servers before Node.js, because their repositories often have a package.json for the styles.
LANGUAGES: tuple[Callable[[Tree, TemplateOptions], Result], ...] = (
    find_go, find_rust, find_scala, find_java, find_dotnet, find_elixir, find_gleam, find_ruby, find_python, find_php,
    find_node, find_generator, find_nginx, find_static,
)  # fmt: skip


_UNPRIVILEGED = 1024


def find_recipe(tree: Path, options: TemplateOptions) -> Result:
    """Return the first matching language's recipe, or why none matches and which folders can be built. Blocking."""
    with bounded_reading():
        return _find(Tree(tree), options)


def _find(root: Tree, options: TemplateOptions) -> Result:
    if template := find_template(root):
        return template
    hints = read_hints(root)
    informed = apply_hints(root, options, hints)
    result = _try_languages(root, informed)
    if isinstance(result, Recipe) and not result.build and hints.build:
        informed = apply_hints(root, options, hints, with_build=True)
        result = _try_languages(root, informed)
    if not isinstance(result, Recipe) and informed != options:
        result, informed = _try_languages(root, options), options
    if not isinstance(result, Recipe) or (result.service_kind == "worker" and not (result.processes or options.start)):
        result = find_action(root) or result
    if isinstance(result, Recipe):
        return _with_hints(_with_process(root, informed, result), hints, taken=informed != options)
    return explain(root, result, lambda folder: _try_languages(folder, TemplateOptions()))


def _with_process(tree: Tree, options: TemplateOptions, recipe: Recipe) -> Recipe:
    """Warn where a Procfile without `web` makes a worker of what is a web application otherwise."""
    procfile = read_procfile(tree)
    if options.start or not procfile.is_worker or not procfile.main or recipe.framework in {"", "Rake"}:
        return recipe
    if recipe.service_kind != "worker":
        return recipe
    warning = (
        f"The Procfile has no `web`, so this is a worker that runs its process `{procfile.main[0]}`. To serve the "
        f"{recipe.framework} application, add a `web` line or set build.options.start."
    )
    return replace(recipe, warnings=(*recipe.warnings, warning))


def _with_port(recipe: Recipe, port: int) -> Recipe:
    """Let the service listen where fly.toml says it does; only programs, because Orca's own server has its port."""
    if recipe.service_kind != "web" or recipe.port in {None, port} or port < _UNPRIVILEGED:
        return recipe
    old = re.compile(rf"^(ENV (?:[^\n]{{0,500}} )?PORT=|EXPOSE ){recipe.port}\b", re.MULTILINE)
    text = old.sub(lambda match: f"{match[1]}{port}", recipe.dockerfile)
    warning = f"The port {port} was taken from fly.toml."
    return replace(recipe, dockerfile=text, port=port, warnings=(*recipe.warnings, warning))


def _with_hints(recipe: Recipe, hints: Hints, *, taken: bool) -> Recipe:
    """Complete the recipe by the hints of other platforms' files."""
    recipe = _with_port(recipe, hints.port)
    said = hints if taken or (hints.release and not recipe.release) else replace(hints, sources=())
    return replace(
        recipe,
        evidence=tuple(dict.fromkeys((*recipe.evidence, *said.sources))),
        release=recipe.release or hints.release or None,
        warnings=(*recipe.warnings, *said.warnings),
    )


def _try_languages(tree: Tree, options: TemplateOptions) -> Result:
    """Try all languages; a Refusal is returned only if no later language matches."""
    refusal: Refusal | None = None
    for find in LANGUAGES:
        if find is find_static and refusal:
            break  # a page beside a program that cannot be deployed is its documentation
        result = find(tree, options)
        if isinstance(result, Recipe):
            return result
        refusal = refusal or result
    return refusal
