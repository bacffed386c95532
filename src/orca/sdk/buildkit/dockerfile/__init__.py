"""Dockerfiles: read as BuildKit reads them, resolved, and rendered again for the engine.

What a build passes to the engine is never the user's own text: it is rendered from what was read here, one line for
each instruction, with plain flags and with the references that were checked. So nothing that the engine could read in
another way is left, and what was checked is what is used. Pure.

`parse_dockerfile` gives instructions, `resolve` stages with their images and the values of ARG and ENV, `render` the
text for the engine.
"""

from orca.sdk.buildkit.dockerfile.flags import Flag
from orca.sdk.buildkit.dockerfile.read import Dockerfile, Instruction, parse_dockerfile, read_json
from orca.sdk.buildkit.dockerfile.render import RESERVED_NAME, Rewritten, render
from orca.sdk.buildkit.dockerfile.resolve import Image, Resolved, ResolvedInstruction, Stage, resolve

__all__ = [
    "RESERVED_NAME", "Dockerfile", "Flag", "Image", "Instruction", "Resolved", "ResolvedInstruction", "Rewritten",
    "Stage", "parse_dockerfile", "read_json", "render", "resolve",
]  # fmt: skip
