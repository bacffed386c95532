"""Tries the languages in turn, and builds what the first one that fits has written."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel

from orca.errors import StepFailed
from orca.providers.builders.template.dotnet import find_dotnet
from orca.providers.builders.template.elixir import find_elixir
from orca.providers.builders.template.generators import find_generator
from orca.providers.builders.template.go import find_go
from orca.providers.builders.template.hints import Hints, apply_hints, read_hints
from orca.providers.builders.template.java import find_java
from orca.providers.builders.template.node import find_member, find_node
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.php import find_php
from orca.providers.builders.template.python import find_python
from orca.providers.builders.template.recipe import Recipe, Refusal, Result
from orca.providers.builders.template.ruby import find_ruby
from orca.providers.builders.template.rust import find_rust
from orca.providers.builders.template.shape import explain, find_template
from orca.providers.builders.template.static import find_static
from orca.sdk.builders import BuildRequest, BuiltImage, Detection, Log
from orca.sdk.buildkit import BuildKitConfig, DockerClient, build_image
from orca.sdk.connectors import Connector
from orca.sdk.trees import Tree

# Servers before Node.js, because their repositories often have a package.json for the styles.
LANGUAGES: tuple[Callable[[Tree, TemplateOptions], Result], ...] = (
    find_go, find_rust, find_java, find_dotnet, find_elixir, find_ruby, find_python, find_php, find_node,
    find_generator, find_static,
)  # fmt: skip


class NothingRecognised(StepFailed):
    """No template fits the source tree."""

    code = "nothing-recognised"


class TemplateBuilder:
    """Builds without a Dockerfile in the repository."""

    name: ClassVar[str] = "template"

    def __init__(self, docker: DockerClient) -> None:
        self._docker = docker

    async def detect(self, tree: Path, options: Mapping[str, str] | None = None) -> Detection | Refusal | None:
        """What the tree is, and the Dockerfile for it. BadInput for options that cannot be."""
        result = await asyncio.to_thread(find_recipe, tree, TemplateOptions.parse(options or {}))
        return _detection(self.name, result) if isinstance(result, Recipe) else result

    async def detect_member(
        self, root: Path, folder: Path, options: Mapping[str, str] | None = None
    ) -> Detection | Refusal | None:
        """A package of a workspace: the workspace is the context of its build."""
        member = await asyncio.to_thread(find_member, root, folder, TemplateOptions.parse(options or {}))
        return _detection(self.name, member.recipe) if member else None

    async def build(self, request: BuildRequest, log: Log) -> BuiltImage:
        """See `build_image`; NothingRecognised and BadInput (options) too."""
        options = TemplateOptions.parse(request.options)
        member = await asyncio.to_thread(find_member, request.source, request.tree, options) if request.source else None
        recipe = member.recipe if member else await asyncio.to_thread(find_recipe, request.tree, options)
        request = replace(request, tree=member.context) if member else request
        if isinstance(recipe, Refusal):
            raise NothingRecognised(recipe.reason, hint=recipe.hint)
        if recipe is None:
            raise NothingRecognised(
                "The source tree is nothing that a template knows.",
                hint="Add a Dockerfile, or check the subdirectory; docs: which projects are recognised.",
            )
        await asyncio.to_thread(_add_files, request.tree, recipe.files)
        return await build_image(self._docker, request, recipe.dockerfile, log, inject_variables=True)


def find_recipe(tree: Path, options: TemplateOptions) -> Result:
    """What the first language that fits says, or why none does and which folders could be built. Blocking."""
    root = Tree(tree)
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
    if isinstance(result, Recipe):
        return _with_hints(result, hints, taken=informed != options)
    return explain(root, result, lambda folder: _try_languages(folder, TemplateOptions()))


def _with_hints(recipe: Recipe, hints: Hints, *, taken: bool) -> Recipe:
    """The recipe, with what files of other platforms say beside it."""
    said = hints if taken or (hints.release and not recipe.release) else replace(hints, sources=())
    return replace(
        recipe,
        evidence=tuple(dict.fromkeys((*recipe.evidence, *said.sources))),
        release=recipe.release or hints.release or None,
        warnings=(*recipe.warnings, *said.warnings),
    )


def _try_languages(tree: Tree, options: TemplateOptions) -> Result:
    """A Refusal counts when no later language fits."""
    refusal: Refusal | None = None
    for find in LANGUAGES:
        if find is find_static and refusal:
            break  # a page beside a program that cannot be deployed is its documentation
        result = find(tree, options)
        if isinstance(result, Recipe):
            return result
        refusal = refusal or result
    return refusal


def _detection(builder: str, recipe: Recipe) -> Detection:
    shared = (each.name for each in fields(recipe) if each.name not in {"title", "language"})
    found = {name: getattr(recipe, name) for name in shared}
    return Detection(builder=builder, summary=recipe.title, language=recipe.language or recipe.kind, **found)


def _add_files(tree: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        Tree(tree).add_file(path, text)


class TemplateBuilderProvider:
    """Opens the builder for repositories without a Dockerfile."""

    name: ClassVar[str] = "template"
    Config: ClassVar[type[BaseModel]] = BuildKitConfig
    order: ClassVar[int] = 100

    @asynccontextmanager
    async def open(self, config: BaseModel, connector: Connector) -> AsyncIterator[TemplateBuilder]:
        """Nothing is connected yet, so nothing needs closing."""
        yield TemplateBuilder(DockerClient(connector, BuildKitConfig.model_validate(config.model_dump())))
