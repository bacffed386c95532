"""Reads how other platforms build and run the project: app.json, render.yaml, fly.toml and similar files.

Each has its own parser. Their settings are used where the user has chosen nothing; the Procfile and the options in
`orca.yaml` have precedence. A warning states which settings were used, and from which file.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from orca.errors import BadInput
from orca.kit.text import clean_output, shorten
from orca.providers.builders.template.manifests import dig, find_json, find_toml, find_yaml, texts
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.procfile import read_procfile
from orca.sdk.trees import Tree

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,80}")
# Parts of a build command that only install what the template itself installs, including scripts that do so.
_INSTALLS = re.compile(
    r"(?:npm (?:ci|install|i)|yarn(?: install)?|pnpm (?:i|install)|bun install|go mod download|mix deps\.get)"
    r"(?: -[\w=-]+)*"
    r"|(?:pip3?|python3? -m pip|poetry|bundle|composer) install\b.*|uv sync\b.*|(?:ba|)sh .*|\./.*|/.*"
)
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Hints:
    """The settings of one or several of these files."""

    start: str = ""
    build: str = ""
    output: str = ""
    packages: tuple[str, ...] = ()
    release: str = ""
    environment: tuple[str, ...] = ()
    """Variables that have to be set."""
    sources: tuple[str, ...] = ()
    """Files with settings."""
    port: int = 0
    """Where the service listens; 0 where that is not said."""
    expecting: tuple[str, ...] = ()
    """Files that name the variables."""
    remarks: tuple[str, ...] = ()
    """What is in the files and was not taken, for people."""

    def over(self, other: "Hints") -> "Hints":
        """Merge both; these settings take precedence."""
        return Hints(
            self.start or other.start, self.build or other.build, self.output or other.output,
            (*self.packages, *other.packages), self.release or other.release,
            tuple(dict.fromkeys((*self.environment, *other.environment))), (*self.sources, *other.sources),
            self.port or other.port, (*self.expecting, *other.expecting), (*self.remarks, *other.remarks),
        )  # fmt: skip

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return warnings about the settings used, and about variables that have to be set."""
        said = []
        if self.sources:
            said.append(f"Commands, folders or packages were taken from {', '.join(self.sources)}.")
        if self.environment:
            more = f" and {len(self.environment) - _SHOWN} more" if len(self.environment) > _SHOWN else ""
            said.append(
                f"It expects the variables {', '.join(self.environment[:_SHOWN])}{more} ({', '.join(self.expecting)})."
            )
        return (*said, *self.remarks)


def read_hints(tree: Tree) -> Hints:
    """Read the hints of all existing files."""
    hints = Hints()
    for name, read in _READERS.items():
        if tree.is_file(name):
            found = read(tree, name)
            says = bool(found.start or found.build or found.output or found.packages or found.release)
            expecting = (name,) if found.environment else ()
            hints = hints.over(replace(found, sources=(name,) if says else (), expecting=expecting))
    return hints


def apply_hints(tree: Tree, options: TemplateOptions, hints: Hints, *, with_build: bool = False) -> TemplateOptions:
    """Fill in options from the hints where the user and the Procfile set none; invalid values are left out.

    Build commands of other platforms depend on their machines, so they are used only if no build is known.
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
    """Return a build command without the parts that only install; empty if nothing else is left."""
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
    commands = [_build_command(text) for text in texts(dig(data, "phases", "build", "cmds"))]
    packages = tuple(text for text in texts(dig(data, "phases", "setup", "aptPkgs")) if text != "...")
    build = " && ".join(command for command in commands if command and command != "...")
    return Hints(_command(dig(data, "start", "cmd")), build, packages=packages)


def _railpack(tree: Tree, name: str) -> Hints:
    data = find_json(tree, name)
    commands = dig(data, "steps", "build", "commands")
    lines = [
        command if isinstance(command, str) else dig(command, "cmd") for command in commands or () if command != "..."
    ]
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
    """Read the hints of the first service that is built from this folder."""
    services = [entry for entry in find_yaml(tree, name).get("services") or () if isinstance(entry, dict)]
    service = next(
        (candidate for candidate in services if not candidate.get("rootDir") and not candidate.get("image")), None
    )
    if len(services) > 1:
        names = ", ".join(
            shorten(clean_output(str(candidate.get("name") or "?"), colours=False), 40)
            for candidate in services[:_SHOWN]
        )
        remark = f"{name} describes {len(services)} services ({names}): make a service here for each of them."
        return Hints(remarks=(remark,))
    if service is None or service.get("type") not in {"web", "pserv", "static", None}:
        return Hints()
    needed = [dig(variable, "key") for variable in service.get("envVars") or () if dig(variable, "sync") is False]
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
    if base := _folder(dig(build, "base")):
        shown = shorten(clean_output(base, colours=False), 100)
        return Hints(remarks=(f"{name} builds the folder {shown}: choose it as the subdirectory.",))
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
    return Hints(_command(start), release=_command(release), port=_fly_port(data))


def _fly_port(data: dict[str, Any]) -> int:
    """The port of [http_service], or of the first of [[services]]."""
    services = data.get("services")
    places = [data.get("http_service"), *(services if isinstance(services, list) else ())]
    ports = (dig(place, "internal_port") for place in places)
    return next((port for port in ports if isinstance(port, int) and 0 < port < 1 << 16), 0)


_READERS: dict[str, Callable[[Tree, str], Hints]] = {
    "railpack.json": _railpack, "nixpacks.toml": _nixpacks, "railway.json": _railway, "railway.toml": _railway,
    "render.yaml": _render, "fly.toml": _fly, "vercel.json": _vercel, "netlify.toml": _netlify, "app.json": _app_json,
}  # fmt: skip
