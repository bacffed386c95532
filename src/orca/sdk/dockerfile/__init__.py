"""Dockerfiles: parsed as BuildKit parses them, resolved, and rendered again for the engine.

A build never passes the user's own text to the engine: the text is rendered from the parsed instructions, one line per
instruction, with plain flags and with the references that were checked. So the engine cannot parse anything in
another way, and it uses exactly what was checked. Pure.

`parse_dockerfile` returns instructions, `resolve` stages with their images and the values of ARG and ENV, `render`
the text for the engine.
"""

from orca.sdk.dockerfile.flags import Flag
from orca.sdk.dockerfile.read import Dockerfile, Instruction, parse_dockerfile, read_json
from orca.sdk.dockerfile.render import RESERVED_NAME, Rewritten, render
from orca.sdk.dockerfile.resolve import BaseImage, Resolved, ResolvedInstruction, Stage, resolve

__all__ = [
    "RESERVED_NAME",
    "BaseImage",
    "Dockerfile",
    "Flag",
    "Instruction",
    "Resolved",
    "ResolvedInstruction",
    "Rewritten",
    "Stage",
    "parse_dockerfile",
    "read_json",
    "render",
    "resolve",
]  # fmt: skip
