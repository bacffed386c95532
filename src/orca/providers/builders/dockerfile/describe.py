"""Says in a line what a Dockerfile builds. Pure."""

from orca.kit.text import clean_output, shorten
from orca.sdk.builders import Detection
from orca.sdk.buildkit.dockerfile import Dockerfile, Instruction, parse_dockerfile
from orca.sdk.buildkit.errors import BadDockerfile


def describe(path: str, text: str) -> Detection:
    """What the Dockerfile at `path` is; one that cannot be read is described too, and refused when it is built."""
    try:
        stages = _stages(parse_dockerfile(text, heredocs=True))
    except BadDockerfile as error:
        return _detection(path, text, error.message, None)
    base = stages[-1][0].rest
    count = f"{len(stages)} stages" if len(stages) > 1 else "1 stage"
    return _detection(path, text, f"{count}, ends on {base}", _port(stages[-1]))


def _detection(path: str, text: str, what: str, port: int | None) -> Detection:
    summary = shorten(clean_output(f"{path} · {what}", colours=False), 200)
    return Detection("dockerfile", "dockerfile", summary, text, port=port, evidence=(path,))


def _stages(dockerfile: Dockerfile) -> list[list[Instruction]]:
    stages: list[list[Instruction]] = []
    for instruction in dockerfile.instructions:
        if instruction.keyword == "FROM":
            stages.append([])
        if stages:
            stages[-1].append(instruction)
    return stages


def _port(stage: list[Instruction]) -> int | None:
    """The first TCP port that the stage exposes with a plain number."""
    for instruction in stage:
        for word in instruction.rest.split() if instruction.keyword == "EXPOSE" else ():
            number, _, protocol = word.partition("/")
            if number.isdecimal() and protocol.lower() in {"", "tcp"}:
                return int(number)
    return None
