"""Asks the builders, in their order, which of them can build a source tree."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from orca.features.services.schemas import BuildOptions
from orca.sdk.builders import Builder, Detection, MemberBuilder, Refusal


async def find_builder(
    builders: Mapping[str, Builder], folder: Path, build: BuildOptions, *, source: Path | None = None, before: str = ""
) -> tuple[Builder, Detection] | Refusal | None:
    """The first that fits, or the one that `build` names; and what it found. Files are only read.

    `source` is the whole source where `folder` is a subdirectory of it: one of a workspace is built with the workspace.

    A Refusal when a builder knows the tree and says why it cannot be built, and no other one fits. One that has built
    this service `before` is not passed over: a mistake in a Dockerfile must not put something else live.

    Raises BadInput for options that a builder cannot use, UnsafePath for links that lead out of the folder.
    """
    options = {**build.options, "dockerfile": build.dockerfile, **({"target": build.target} if build.target else {})}
    refusal: Refusal | None = None
    for name, builder in builders.items():
        if build.builder in {"auto", name}:
            detection = await _detect_member(builder, source, folder, options) or await builder.detect(folder, options)
            if isinstance(detection, Detection):
                # Why an earlier one, such as the Dockerfile, was passed over.
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
