"""Describes in a line what a Dockerfile builds and its port, and checks that the files that it copies exist."""

from orca.kit.text import clean_output, shorten
from orca.kit.yaml import BadYaml, read_yaml
from orca.providers.builders.dockerfile.ports import FoundPort, find_port
from orca.providers.builders.dockerfile.sources import find_missing
from orca.sdk.builders import Detection, Refusal
from orca.sdk.dockerfile import BaseImage, parse_dockerfile, resolve
from orca.sdk.dockerfile.errors import BadDockerfile
from orca.sdk.trees import Tree

_ARCHITECTURE = "amd64"
"""Used for detection, which does not depend on a machine."""
_SHOWN = 5
_BYTES = 1 << 16


def describe(tree: Tree, path: str, text: str, target: str | None = None) -> Detection | Refusal:
    """Describe the Dockerfile at `path`; an invalid one is described as well, and refused when it is built.

    Returns a Refusal if it copies files that are not in the tree, because every build would fail.
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
    port = find_port(resolved)
    if port.number is None and not port.candidates and (action := _find_action(tree)):
        return Refusal(
            f"A GitHub action: {action} runs {path} once for each job, and it serves nothing.",
            "Use it in a workflow; a Dockerfile that serves says so with EXPOSE.",
            (action, path),
        )
    lowest, written = resolved.lineage[0].base, resolved.final.source.rest
    # The image as written in the file, unless it contains variables or is the name of a stage.
    base = lowest.name if isinstance(lowest, BaseImage) and ("$" in written or len(resolved.lineage) > 1) else written
    base = base.removeprefix("docker.io/library/").split()[0]
    count = f"{len(resolved.stages)} stages" if len(resolved.stages) > 1 else "1 stage"
    return _detection(path, text, f"{count}, ends on {base}", port)


def _find_action(tree: Tree) -> str | None:
    """Return the file that makes the repository a GitHub action which runs in a container."""
    for name in ("action.yml", "action.yaml"):
        try:
            data = read_yaml(tree.find_head(name, limit=_BYTES) or "").value
        except BadYaml:
            continue
        runs = data.get("runs") if isinstance(data, dict) else None
        if isinstance(runs, dict) and runs.get("using") == "docker":
            return name
    return None


def _detection(path: str, text: str, what: str, port: FoundPort | None = None) -> Detection:
    summary, port = shorten(clean_output(f"{path} · {what}", colours=False), 200), port or FoundPort(None)
    return Detection(
        "dockerfile", "dockerfile", summary, text, port=port.number, port_choices=port.candidates, evidence=(path,),
        warnings=port.warnings,
    )  # fmt: skip
