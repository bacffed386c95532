"""Asks the builders, in their order, which of them can build a source tree."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from orca.features.services.schemas.settings import AUTO, BuildOptions
from orca.plugins import check_builder
from orca.sdk.builders import Builder, ChosenBuilder, Detection, MemberBuilder, Refusal

_NO_BUILDER = "image"
"""What is stored as the builder of an image that was not built here."""


async def find_builder(
    builders: Mapping[str, Builder], folder: Path, build: BuildOptions, *, source: Path | None = None, before: str = ""
) -> tuple[Builder, Detection] | Refusal | None:
    """Return the first builder that fits, or the one that `build` names, with its detection. Files are only read.

    `source` is the whole source if `folder` is a subdirectory: a member of a workspace is built with the workspace.

    Returns a Refusal when a builder recognises the tree but cannot build it, and no other one fits. The builder that
    built this service `before` is not skipped: a mistake in a Dockerfile must not make something else go live.

    Raises BadInput for options that a builder cannot use, UnsafePath for links that lead out of the folder,
    ProviderUnusable when the builder that is named, or that built it before, is not there.
    """
    wanted = before if build.builder == AUTO else build.builder
    if wanted not in {"", _NO_BUILDER}:
        check_builder(builders, wanted)
    options = {**build.options, "dockerfile": build.dockerfile, **({"target": build.target} if build.target else {})}
    refusal: Refusal | None = None
    for name, builder in builders.items():
        if build.builder == name or (build.builder == AUTO and not isinstance(builder, ChosenBuilder)):
            detection = await _detect_member(builder, source, folder, options) or await builder.detect(folder, options)
            if isinstance(detection, Detection):
                # Warn why an earlier builder, such as the Dockerfile's, was skipped.
                passed_over = (refusal.reason,) if refusal else ()
                return builder, replace(detection, warnings=(*passed_over, *detection.warnings))
            refusal = refusal or detection
            if refusal is not None and name == before:
                return refusal
    return refusal


async def _detect_member(
    builder: Builder, source: Path | None, folder: Path, options: Mapping[str, str]
) -> Detection | Refusal | None:
    if source is None or source == folder or not isinstance(builder, MemberBuilder):
        return None
    return await builder.detect_member(source, folder, options)
