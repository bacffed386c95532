"""Says in a line what a Dockerfile builds, where it listens, and whether what it copies is there."""

from orca.kit.text import clean_output, shorten
from orca.providers.builders.dockerfile.ports import find_port
from orca.providers.builders.dockerfile.sources import find_missing
from orca.sdk.builders import Detection, Refusal
from orca.sdk.buildkit.dockerfile import parse_dockerfile, resolve
from orca.sdk.buildkit.errors import BadDockerfile
from orca.sdk.trees import Tree

_ARCHITECTURE = "amd64"
"""Detection is about no machine in particular."""
_SHOWN = 5


def describe(tree: Tree, path: str, text: str, target: str | None = None) -> Detection | Refusal:
    """What the Dockerfile at `path` is; one that cannot be read is described too, and refused when it is built.

    A Refusal when it copies what is not in the tree, which no build can mend.
    """
    try:
        resolved = resolve(parse_dockerfile(text, heredocs=True), {}, _ARCHITECTURE, target)
    except BadDockerfile as error:
        return _detection(path, text, error.message)
    missing = [shorten(clean_output(name, colours=False), 80) for name in find_missing(tree, resolved)]
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        return Refusal(
            f"{path} copies what is not in the source: {', '.join(missing[:_SHOWN])}{more}.",
            "Add it to the repository, or choose the folder that the Dockerfile is meant to be built in.",
            (path,),
        )
    base = resolved.final.source.rest
    count = f"{len(resolved.stages)} stages" if len(resolved.stages) > 1 else "1 stage"
    port = find_port(resolved)
    return _detection(path, text, f"{count}, ends on {base}", port.number, port.warnings)


def _detection(path: str, text: str, what: str, port: int | None = None, warnings: tuple[str, ...] = ()) -> Detection:
    summary = shorten(clean_output(f"{path} · {what}", colours=False), 200)
    return Detection("dockerfile", "dockerfile", summary, text, port=port, evidence=(path,), warnings=warnings)
