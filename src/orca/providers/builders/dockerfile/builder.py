"""Finds the Dockerfile of a tree and builds with it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel

from orca.errors import StepFailed
from orca.providers.builders.buildkit import BuildKitConfig, DockerClient, build_image
from orca.providers.builders.dockerfile.describe import describe
from orca.sdk.builders import BuildRequest, BuiltImage, Detection, Log, Refusal
from orca.sdk.connectors import Connector
from orca.sdk.trees import Tree

USUAL = ("Dockerfile", "Containerfile")


class DockerfileMissing(StepFailed):
    """The Dockerfile that was named is not in the source tree."""

    code = "dockerfile-missing"


class DockerfileBuilder:
    """Builds a Dockerfile with BuildKit."""

    def __init__(self, docker: DockerClient) -> None:
        self._docker = docker

    async def detect(self, tree: Path, options: Mapping[str, str] | None = None) -> Detection | Refusal | None:
        """Detect the Dockerfile, if there is one. Raises UnsafePath when it is a link that leads out of the tree."""
        chosen = options or {}
        found = await asyncio.to_thread(_find, tree, chosen.get("dockerfile", USUAL[0]))
        return await asyncio.to_thread(describe, Tree(tree), *found, chosen.get("target")) if found else None

    async def build(self, request: BuildRequest, log: Log) -> BuiltImage:
        """Like `build_image`, but also raises DockerfileMissing."""
        found = await asyncio.to_thread(_find, request.tree, request.dockerfile)
        if found is None:
            raise DockerfileMissing(
                f"There is no {request.dockerfile} in the source tree.",
                hint="Check the path; it is relative to the subdirectory that is built.",
            )
        return await build_image(self._docker, request, found[1], log)


def _find(tree: Path, name: str) -> tuple[str, str] | None:
    """Return path and text of the Dockerfile."""
    for path in USUAL if name == USUAL[0] else (name,):
        text = Tree(tree).find_text(path)
        if text is not None:
            return path, text
    return None


class DockerfileBuilderProvider:
    """Opens the builder for Dockerfiles."""

    name: ClassVar[str] = "dockerfile"
    Config: ClassVar[type[BaseModel]] = BuildKitConfig
    order: ClassVar[int] = 10

    @asynccontextmanager
    async def open(self, config: BaseModel, connector: Connector) -> AsyncIterator[DockerfileBuilder]:
        """Return the builder. It connects on first use, and nothing needs closing."""
        yield DockerfileBuilder(DockerClient(connector, BuildKitConfig.model_validate(config.model_dump())))
