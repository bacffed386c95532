"""Says in a line what a Dockerfile builds. Pure."""

from orca.kit.text import clean_output, shorten
from orca.sdk.builders import Detection
from orca.sdk.buildkit.dockerfile import Resolved, parse_dockerfile, resolve
from orca.sdk.buildkit.errors import BadDockerfile

_ARCHITECTURE = "amd64"
"""Detection is about no machine in particular."""


def describe(path: str, text: str) -> Detection:
    """What the Dockerfile at `path` is; one that cannot be read is described too, and refused when it is built."""
    try:
        resolved = resolve(parse_dockerfile(text, heredocs=True), {}, _ARCHITECTURE)
    except BadDockerfile as error:
        return _detection(path, text, error.message, None)
    base = resolved.final.source.rest
    count = f"{len(resolved.stages)} stages" if len(resolved.stages) > 1 else "1 stage"
    return _detection(path, text, f"{count}, ends on {base}", _port(resolved))


def _detection(path: str, text: str, what: str, port: int | None) -> Detection:
    summary = shorten(clean_output(f"{path} · {what}", colours=False), 200)
    return Detection("dockerfile", "dockerfile", summary, text, port=port, evidence=(path,))


def _port(resolved: Resolved) -> int | None:
    """The first TCP port that the image exposes, whichever stage of it says so."""
    for stage in reversed(resolved.lineage):
        for instruction in stage.instructions:
            for word in instruction.words if instruction.keyword == "EXPOSE" else ():
                number, _, protocol = word.partition("/")
                if number.isascii() and number.isdecimal() and protocol.lower() in {"", "tcp"}:
                    return int(number[:6])
    return None
