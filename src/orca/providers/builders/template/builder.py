"""Builds with the Dockerfile that the first matching language generates."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel

from orca.errors import StepFailed
from orca.kit.threads import run_in_thread
from orca.providers.builders.buildkit import BuildKitConfig, DockerClient, build_image
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.recipe import Recipe, Refusal, Result
from orca.sdk.builders import BuildRequest, BuiltImage, Detection, Log
from orca.sdk.connectors import Connector
from orca.sdk.trees import Tree

if TYPE_CHECKING:
    from orca.providers.builders.template.node import WorkspaceMember


class NothingRecognised(StepFailed):
    """No template fits the source tree."""

    code = "nothing-recognised"


class TemplateBuilder:
    """Builds without a Dockerfile in the repository."""

    name: ClassVar[str] = "template"

    def __init__(self, docker: DockerClient) -> None:
        self._docker = docker

    async def detect(self, tree: Path, options: Mapping[str, str] | None = None) -> Detection | Refusal | None:
        """Detect what the tree is, and generate its Dockerfile. Raises BadInput for invalid options."""
        result = await asyncio.to_thread(_find_recipe, tree, TemplateOptions.parse(options or {}))
        return _detection(self.name, result) if isinstance(result, Recipe) else result

    async def detect_member(
        self, root: Path, folder: Path, options: Mapping[str, str] | None = None
    ) -> Detection | Refusal | None:
        """Detect a package of a workspace; the build context is the whole workspace."""
        member = await asyncio.to_thread(_find_member, root, folder, TemplateOptions.parse(options or {}))
        return _detection(self.name, member.recipe) if member else None

    async def build(self, request: BuildRequest, log: Log) -> BuiltImage:
        """Like `build_image`, but also raises NothingRecognised, and BadInput for invalid options."""
        options = TemplateOptions.parse(request.options)
        member = (
            await asyncio.to_thread(_find_member, request.source, request.tree, options) if request.source else None
        )
        recipe = member.recipe if member else await asyncio.to_thread(_find_recipe, request.tree, options)
        request = replace(request, tree=member.context) if member else request
        if isinstance(recipe, Refusal):
            raise NothingRecognised(recipe.reason, hint=recipe.hint)
        if recipe is None:
            raise NothingRecognised(
                "The source tree is nothing that a template knows.",
                hint="Add a Dockerfile, or check the subdirectory; docs: which projects are recognised.",
            )
        await run_in_thread(_add_files, request.tree, recipe.files)
        return await build_image(self._docker, request, recipe.dockerfile, log, inject_variables=True)


def _find_recipe(tree: Path, options: TemplateOptions) -> Result:
    from orca.providers.builders.template.languages import find_recipe  # noqa: PLC0415 - three megabytes

    return find_recipe(tree, options)


def _find_member(root: Path, folder: Path, options: TemplateOptions) -> "WorkspaceMember | None":
    from orca.providers.builders.template.node import find_member  # noqa: PLC0415 - part of the same

    return find_member(root, folder, options)


def _detection(builder: str, recipe: Recipe) -> Detection:
    shared = (field.name for field in fields(recipe) if field.name not in {"title", "language"})
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
        """Return the builder. It connects on first use, and nothing needs closing."""
        yield TemplateBuilder(DockerClient(connector, BuildKitConfig.model_validate(config.model_dump())))
