"""Asks the builders, in their order, which of them can build a source tree."""

from collections.abc import Mapping
from pathlib import Path

from orca.features.services.schemas import BuildOptions
from orca.sdk.builders import Builder, Detection, Refusal


async def find_builder(
    builders: Mapping[str, Builder], folder: Path, build: BuildOptions
) -> tuple[Builder, Detection] | Refusal | None:
    """The first that fits, or the one that `build` names; and what it found. Files are only read.

    A Refusal when a builder knows the tree and says why it cannot be built, and no other one fits.

    Raises BadInput for options that a builder cannot use, UnsafePath for links that lead out of the folder.
    """
    options = {**build.options, "dockerfile": build.dockerfile}
    refusal: Refusal | None = None
    for name, builder in builders.items():
        if build.builder in {"auto", name}:
            detection = await builder.detect(folder, options)
            if isinstance(detection, Detection):
                return builder, detection
            refusal = refusal or detection
    return refusal
