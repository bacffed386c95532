"""What files of other platforms say about building and running: app.json, render.yaml, fly.toml and their like.

Each is read with its own parser. What they say fills in for what the user has not chosen; the Procfile and the options
in `orca.yaml` come first, and what was taken from where is said.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from orca.errors import BadInput
from orca.providers.builders.template.manifests import dig, find_json, find_toml, find_yaml, texts
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.procfile import read_procfile
from orca.sdk.trees import Tree

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,80}")
# Parts of a build command that only install what the template installs by itself; and scripts, which do so, too.
_INSTALLS = re.compile(
    r"(?:npm (?:ci|install|i)|yarn(?: install)?|pnpm (?:i|install)|bun install|go mod download|mix deps\.get)"
    r"(?: -[\w=-]+)*"
    r"|(?:pip3?|python3? -m pip|poetry|bundle|composer) install\b.*|uv sync\b.*|(?:ba|)sh .*|\./.*|/.*"
)
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Hints:
    """What one or several of these files say."""

    start: str = ""
    build: str = ""
    output: str = ""
    packages: tuple[str, ...] = ()
    release: str = ""
    environment: tuple[str, ...] = ()
    """Variables that have to be set."""
    sources: tuple[str, ...] = ()
    """Files that say something."""

    def over(self, other: "Hints") -> "Hints":
        """Both, with what is said here first."""
        return Hints(
            self.start or other.start, self.build or other.build, self.output or other.output,
            (*self.packages, *other.packages), self.release or other.release,
            tuple(dict.fromkeys((*self.environment, *other.environment))), (*self.sources, *other.sources),
        )  # fmt: skip

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was taken, and what has to be set."""
        said = []
        if self.sources:
            said.append(f"Commands, folders or packages were taken from {', '.join(self.sources)}.")
        if self.environment:
            more = f" and {len(self.environment) - _SHOWN} more" if len(self.environment) > _SHOWN else ""
            said.append(f"It expects the variables {', '.join(self.environment[:_SHOWN])}{more}.")
        return tuple(said)


def read_hints(tree: Tree) -> Hints:
    """Of all files that are there."""
    hints = Hints()
    for name, read in _READERS.items():
        if tree.is_file(name):
            found = read(tree, name)
            says = bool(found.start or found.build or found.output or found.packages or found.release)
            hints = hints.over(replace(found, sources=(name,) if says else ()))
    return hints


def apply_hints(tree: Tree, options: TemplateOptions, hints: Hints, *, with_build: bool = False) -> TemplateOptions:
    """Options with the hints where the user and the Procfile say nothing; hints that cannot be options are left out.

    Build commands of others are made for their machines: they are for projects of which no build is known.
    """
    procfile = read_procfile(tree)
    wanted = {
        "start": "" if procfile.web or options.start else hints.start,
        "build": hints.build if with_build and not options.build else "",
        "root": "" if options.root else hints.output,
        "packages": " ".join(hints.packages),
    }
    taken = TemplateOptions()
    for name, value in wanted.items():
        try:
            checked = TemplateOptions.parse({name: value}) if value else TemplateOptions()
        except BadInput:
            continue
        taken = replace(taken, **{name: getattr(checked, name)})
    return replace(
        options, start=options.start or taken.start, build=options.build or taken.build,
        root=options.root or taken.root, packages=tuple(dict.fromkeys((*options.packages, *taken.packages))),
    )  # fmt: skip


def _command(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def _build_command(value: Any) -> str:
    """Without what only installs; empty where nothing else is left."""
    parts = [part.strip() for part in _command(value).split("&&")]
    return " && ".join(part for part in parts if part and not _INSTALLS.fullmatch(part))


def _folder(value: Any) -> str:
    folder = _command(value).removeprefix("./").strip("/")
    return folder if folder not in {"", "."} else ""


def _names(value: Any) -> tuple[str, ...]:
    return tuple(name for name in value if isinstance(name, str) and _VARIABLE.fullmatch(name)) if value else ()


def _app_json(tree: Tree, name: str) -> Hints:
    variables = find_json(tree, name).get("env")
    needed = {
        key: value for key, value in variables.items()
        if not isinstance(value, str) and not dig(value, "value") and not dig(value, "generator")
        and dig(value, "required") is not False
    } if isinstance(variables, dict) else {}  # fmt: skip
    release = dig(find_json(tree, name), "scripts", "dokku", "predeploy")
    return Hints(environment=_names(needed), release=_command(release))


def _nixpacks(tree: Tree, name: str) -> Hints:
    data = find_toml(tree, name)
    commands = [_build_command(each) for each in texts(dig(data, "phases", "build", "cmds"))]
    packages = tuple(each for each in texts(dig(data, "phases", "setup", "aptPkgs")) if each != "...")
    build = " && ".join(each for each in commands if each and each != "...")
    return Hints(_command(dig(data, "start", "cmd")), build, packages=packages)


def _railpack(tree: Tree, name: str) -> Hints:
    data = find_json(tree, name)
    commands = dig(data, "steps", "build", "commands")
    lines = [each if isinstance(each, str) else dig(each, "cmd") for each in commands or () if each != "..."]
    packages = (*texts(dig(data, "deploy", "aptPackages")), *texts(data.get("buildAptPackages")))
    build = " && ".join(filter(None, map(_build_command, lines)))
    return Hints(
        _command(dig(data, "deploy", "startCommand")), build, packages=tuple(p for p in packages if p != "...")
    )


def _railway(tree: Tree, name: str) -> Hints:
    data = find_json(tree, name) if name.endswith("json") else find_toml(tree, name)
    return Hints(
        _command(dig(data, "deploy", "startCommand")), _build_command(dig(data, "build", "buildCommand")),
        release=_command(dig(data, "deploy", "preDeployCommand")),
    )  # fmt: skip


def _render(tree: Tree, name: str) -> Hints:
    """Of the first service that is built from this folder."""
    services = [each for each in find_yaml(tree, name).get("services") or () if isinstance(each, dict)]
    service = next((each for each in services if not each.get("rootDir") and not each.get("image")), None)
    if service is None or len(services) > 1 or service.get("type") not in {"web", "pserv", "static", None}:
        return Hints()
    needed = [dig(each, "key") for each in service.get("envVars") or () if dig(each, "sync") is False]
    return Hints(
        _command(service.get("startCommand")), _build_command(service.get("buildCommand")),
        _folder(service.get("staticPublishPath")), release=_command(service.get("preDeployCommand")),
        environment=_names(needed),
    )  # fmt: skip


def _vercel(tree: Tree, name: str) -> Hints:
    data = find_json(tree, name)
    return Hints(build=_build_command(data.get("buildCommand")), output=_folder(data.get("outputDirectory")))


def _netlify(tree: Tree, name: str) -> Hints:
    build = find_toml(tree, name).get("build")
    if dig(build, "base"):
        return Hints()
    needed = dig(find_toml(tree, name), "template", "environment")
    return Hints(
        build=_build_command(dig(build, "command")), output=_folder(dig(build, "publish")),
        environment=_names(needed) if isinstance(needed, dict) else (),
    )  # fmt: skip


def _fly(tree: Tree, name: str) -> Hints:
    data = find_toml(tree, name)
    processes = data.get("processes")
    start = processes.get("app") or processes.get("web") if isinstance(processes, dict) else ""
    release = dig(data, "deploy", "release_command")
    return Hints(_command(start), release=_command(release))


_READERS: dict[str, Callable[[Tree, str], Hints]] = {
    "railpack.json": _railpack, "nixpacks.toml": _nixpacks, "railway.json": _railway, "railway.toml": _railway,
    "render.yaml": _render, "fly.toml": _fly, "vercel.json": _vercel, "netlify.toml": _netlify, "app.json": _app_json,
}  # fmt: skip
