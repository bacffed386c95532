"""Gleam on the Erlang machine: a shipment with everything that it needs."""

import re

from orca.providers.builders.template.files import read_code, walk
from orca.providers.builders.template.manifests import cut_lines, find_lines, find_toml, find_tool_version
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.procfile import read_procfile
from orca.providers.builders.template.recipe import (
    IGNORE,
    IGNORE_FILE,
    Recipe,
    Refusal,
    Result,
    header,
    place_app,
    shell_command,
)
from orca.sdk.trees import Tree

PORT = 8000
_MIST_PORT = 4000
_LATEST = (1, 13, 0)
_SHIPMENT = "build/erlang-shipment"
_FRAMEWORKS = {"wisp": "Wisp", "mist": "Mist", "ewe": "ewe", "elli": "Elli", "cowboy": "Cowboy"}
_PORT = re.compile(r"\bport\((\d{2,5})\)|\brun_service\(\s*(\d{2,5})")


def find_gleam(tree: Tree, options: TemplateOptions) -> Result:
    """A gleam.toml whose program has a main."""
    if not tree.is_file("gleam.toml"):
        return None
    manifest = find_toml(tree, "gleam.toml")
    name = str(manifest.get("name") or "")
    if manifest.get("target") == "javascript":
        reason = "A Gleam project for JavaScript: its target says nothing of what serves it."
        return Refusal(reason, "Add a Dockerfile, or deploy the finished pages.", ("gleam.toml",))
    main = find_lines(tree, f"src/{name}.gleam")
    if not re.search(r"\bpub fn main\b", main):
        reason = f"A Gleam library: src/{name[:60]}.gleam has no main function."
        return Refusal(reason, "Choose the folder of a program.", ("gleam.toml",))
    code = read_code(tree, walk(tree, "src", ".gleam", limit=60))
    return _render(tree, options, manifest.get("dependencies"), cut_lines("\n".join([main, *code])))


def _render(tree: Tree, options: TemplateOptions, dependencies: object, code: str) -> Recipe:
    names = dependencies if isinstance(dependencies, dict) else {}
    framework = next((title for package, title in _FRAMEWORKS.items() if package in names), "")
    procfile = read_procfile(tree)
    is_web = bool((framework and not procfile.is_worker) or options.start)
    port = _find_port(code, framework)
    version, pinned = _version(tree, options)
    title = f"Gleam {version} ({framework or 'program'})"
    build = options.build or "gleam export erlang-shipment"
    start = options.start or (procfile.main[1] if procfile.main else f"./{_SHIPMENT}/entrypoint.sh run")
    image = options.base or f"ghcr.io/gleam-lang/gleam:v{version}-erlang-slim"
    lines = [
        header(title), f"FROM {image} AS build", "WORKDIR /app", "COPY . .", f"RUN {build}", "",
        f"FROM {image}", *place_app(), "ENV HOME=/tmp",
        *((f"ENV PORT={port}", f"EXPOSE {port}") if is_web else ()), shell_command(start, options.base), "",
    ]  # fmt: skip
    local = framework in {"Wisp", "Mist"} and ".bind(" not in code
    return Recipe(
        "gleam", title, "\n".join(lines), port if is_web else None, ("gleam.toml",), {IGNORE_FILE: IGNORE},
        "web" if is_web else "worker", framework=framework, version=pinned, package_manager="gleam", build=build,
        start=start, processes=procfile.processes, release=procfile.release,
        warnings=('Mist answers only inside of its container: add `mist.bind("0.0.0.0")` before the start.',)
        if local else (),
    )  # fmt: skip


def _find_port(code: str, framework: str) -> int:
    if '"PORT"' in code:
        return PORT
    found = _PORT.search(code)
    return int(found[1] or found[2]) if found else _MIST_PORT if framework in {"Wisp", "Mist"} else PORT


def _version(tree: Tree, options: TemplateOptions) -> tuple[str, str | None]:
    """Return the version pinned in a tool file; the one in gleam.toml is only the minimum."""
    tool = find_tool_version(tree, "gleam")
    pin = re.fullmatch(r"\d+\.\d+\.\d+", options.version or (tool[0] if tool else ""))
    if pin:
        return pin[0], pin[0]
    wanted = str(find_toml(tree, "gleam.toml").get("gleam") or "")
    lowest = re.match(r">= ?(\d{1,3})\.(\d{1,3})\.(\d{1,3})", wanted)
    newest = max(_LATEST, tuple(map(int, lowest.groups()))) if lowest else _LATEST
    return ".".join(map(str, newest)), None
