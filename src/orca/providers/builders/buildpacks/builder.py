"""Builds with the chosen builder image, and explains the exit codes of its lifecycle."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel

from orca.errors import StepFailed
from orca.providers.builders.buildkit import DockerClient, build_image
from orca.providers.builders.buildkit.errors import BaseImageUnavailable, BuildFailed
from orca.providers.builders.buildpacks.config import BuildpacksConfig, BuildpacksOptions
from orca.providers.builders.buildpacks.dockerfile import NO_BUILDER, NO_PROCESS, render_dockerfile
from orca.sdk.builders import BuildRequest, BuiltImage, Detection, Log
from orca.sdk.connectors import Connector
from orca.sdk.trees import Tree

_NOT_DETECTED = frozenset({20, 21})
_INCOMPATIBLE = frozenset({11, 12})
_STEPS = ("Phase: detector", "Phase: builder", "/cnb-process")
_SHOWN_FILES = 5
_NEEDS = (
    "Buildpacks come in images: this machine must reach their registry, or a copy of them elsewhere "
    "(ORC_BUILDPACKS_BUILDER, ORC_BUILDPACKS_RUN_IMAGE). `build.builder: template` needs none of them."
)


class NoBuildpackFits(StepFailed):
    """None of the builder's buildpacks recognises the source tree."""

    code = "no-buildpack-fits"


class BuildpacksBuilder:
    """Builds with Cloud Native Buildpacks."""

    only_when_chosen: ClassVar[bool] = True

    def __init__(self, docker: DockerClient, config: BuildpacksConfig) -> None:
        self._docker = docker
        self._config = config

    async def detect(self, tree: Path, options: Mapping[str, str] | None = None) -> Detection | None:
        """Accept any tree: the build finds out which buildpacks fit. Raises BadInput for bad options."""
        chosen = BuildpacksOptions.parse(options or {}, self._config)
        names = await asyncio.to_thread(_files, tree)
        if not names:
            return None
        return Detection(
            builder="buildpacks", kind="buildpacks", summary=f"Cloud Native Buildpacks ({chosen.builder})",
            dockerfile=render_dockerfile(chosen), evidence=names,
        )  # fmt: skip

    async def build(self, request: BuildRequest, log: Log) -> BuiltImage:
        """Like `build_image`, but also raises NoBuildpackFits, and BadInput for bad options."""
        options = BuildpacksOptions.parse(request.options, self._config)
        text = render_dockerfile(options, request.arguments, request.secrets)
        try:
            return await build_image(self._docker, request, text, log, inject_variables=True)
        except BaseImageUnavailable as error:
            raise BaseImageUnavailable(error.message, hint=f"{error.hint} {_NEEDS}", **error.details) from None
        except BuildFailed as error:
            raise _explain(error, options) or error from None


def _explain(error: BuildFailed, options: BuildpacksOptions) -> StepFailed | None:
    """Explain an exit code of the lifecycle; None for other failures."""
    step, code = str(error.details.get("step", "")), error.details.get("exit_code")
    if not any(known in step for known in _STEPS):
        return None
    if code in _NOT_DETECTED:
        return NoBuildpackFits(
            f"No buildpack of {options.builder} recognises the source.",
            hint="The log shows what each of them looked for. Check the subdirectory, or choose another builder.",
            **error.details,
        )
    if code in _INCOMPATIBLE:
        hint = "Choose a newer builder image, and the run image that belongs to it."
        return BuildFailed(f"The lifecycle in {options.builder} is too old or too new.", hint=hint, **error.details)
    if code == NO_BUILDER:
        hint = "`build.options.builder` names an image with buildpacks and their lifecycle, such as heroku/builder:24."
        return BuildFailed(f"{options.builder} is no builder image.", hint=hint, **error.details)
    if code == NO_PROCESS:
        hint = "Add a Procfile with that process, or name another one (`build.options.process`); the log lists them."
        return BuildFailed(f"The buildpacks name no process {options.process}.", hint=hint, **error.details)
    return None


def _files(tree: Path) -> tuple[str, ...]:
    root = Tree(tree)
    return tuple(sorted(name for name in root.names() if root.is_file(name)))[:_SHOWN_FILES]


class BuildpacksBuilderProvider:
    """Opens the builder that uses buildpacks."""

    name: ClassVar[str] = "buildpacks"
    Config: ClassVar[type[BaseModel]] = BuildpacksConfig
    order: ClassVar[int] = 200

    @asynccontextmanager
    async def open(self, config: BaseModel, connector: Connector) -> AsyncIterator[BuildpacksBuilder]:
        """Return the builder. It connects on first use, and nothing needs closing."""
        own = BuildpacksConfig.model_validate(config.model_dump())
        yield BuildpacksBuilder(DockerClient(connector, own), own)
