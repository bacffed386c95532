"""Elixir: Phoenix, Plug and plain applications, as a release of Mix."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from orca.providers.builders.template.manifests import find_text, find_tool_version, minor_version
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.procfile import Procfile, read_procfile
from orca.providers.builders.template.recipe import (
    IGNORE,
    IGNORE_FILE,
    USER,
    Recipe,
    Refusal,
    Result,
    cached,
    copy,
    header,
    install_packages,
    shell_command,
    suggest_release,
)
from orca.sdk.trees import Tree

PORT = 4000
_LATEST = "1.18"
_COMMENT = re.compile(r"(?m)^[ \t]*#.*$|(?<=\s)#\s.*$")
_APP = re.compile(r"\bapp:\s*:([a-z][a-z0-9_]*)")
_DEPENDENCY = re.compile(r"\{\s*:([a-z][a-z0-9_]*)\s*,")
_SERVERS = {"phoenix", "plug_cowboy", "cowboy", "bandit", "ranch", "ace", "elli", "thousand_island"}


@dataclass(frozen=True, slots=True)
class _Mix:
    """What mix.exs says."""

    app: str
    dependencies: frozenset[str]
    deploys_assets: bool
    is_release: bool
    """Whether it runs as a release; old applications are configured for Mix only."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """How it is built and what runs."""

    version: str
    build: str
    start: str
    is_web: bool


def find_elixir(tree: Tree, options: TemplateOptions) -> Result:
    """A Mix project that is an application."""
    if not tree.is_file("mix.exs"):
        return None
    text = _COMMENT.sub("", find_text(tree, "mix.exs"))
    app = _APP.search(text)
    if app is None:
        reason = "An Elixir project whose mix.exs names no application: an umbrella, or a library."
        return Refusal(reason, "Add a Dockerfile that builds the release you want.", ("mix.exs",))
    dependencies = frozenset(_DEPENDENCY.findall(text))
    is_phoenix = "phoenix" in dependencies
    has_runtime = any(map(tree.is_file, ("config/runtime.exs", "config/releases.exs"))) or not is_phoenix
    procfile = read_procfile(tree)
    is_release = has_runtime and not procfile.web
    return _render(tree, options, _Mix(app[1], dependencies, '"assets.deploy"' in text, is_release), procfile)


def _render(tree: Tree, options: TemplateOptions, mix: _Mix, procfile: Procfile) -> Recipe:
    version, pinned = _version(tree, options)
    framework = "Phoenix" if "phoenix" in mix.dependencies else "Plug" if "plug" in mix.dependencies else ""
    title = f"Elixir {version} ({framework or 'application'}) · {mix.app}"
    listens = not _SERVERS.isdisjoint(mix.dependencies) and not procfile.is_worker
    is_web = listens or bool(options.start or procfile.web)
    steps = [
        "mix compile",
        *(("mix assets.deploy",) if mix.deploys_assets else ()),
        *(("mix release",) if mix.is_release else ()),
    ]
    build = options.build or " && ".join(steps)
    serve = "PHX_SERVER=true " if framework == "Phoenix" else ""
    own = f"{serve}_build/prod/rel/{mix.app}/bin/{mix.app} start" if mix.is_release else "mix phx.server"
    start = options.start or (procfile.main[1] if procfile.main else own)
    warnings = tuple(_warnings(tree, framework))
    plan = _Plan(version, build, start, is_web=is_web)
    return Recipe(
        "elixir", title, _dockerfile(tree, options, title, plan), PORT if is_web else None,
        tuple(name for name in ("mix.exs", "mix.lock") if tree.is_file(name)), {IGNORE_FILE: IGNORE},
        "web" if is_web else "worker", framework=framework, version=pinned, package_manager="mix",
        install="mix deps.get --only prod", build=build, start=start, processes=procfile.processes,
        release=procfile.release, warnings=(*warnings, *suggest_release(_migrate(tree, mix), procfile.release)),
    )  # fmt: skip


def _warnings(tree: Tree, framework: str) -> Iterator[str]:
    if framework == "Phoenix":
        yield "SECRET_KEY_BASE has to be set: make one with `mix phx.gen.secret`."
    if "PHX_HOST" in find_text(tree, "config/runtime.exs"):
        yield "PHX_HOST has to be the hostname of the site, or WebSockets of LiveView are refused."


def _migrate(tree: Tree, mix: _Mix) -> str | None:
    """The release task that Phoenix generates for migrations, where it is there."""
    if not mix.is_release or not tree.is_file(f"lib/{mix.app}/release.ex"):
        return None
    module = "".join(part.capitalize() for part in mix.app.split("_"))
    return f"_build/prod/rel/{mix.app}/bin/{mix.app} eval {module}.Release.migrate"


def _dockerfile(tree: Tree, options: TemplateOptions, title: str, plan: _Plan) -> str:
    image = options.base or f"elixir:{plan.version}-slim"
    environment = "ENV MIX_ENV=prod MIX_HOME=/mix HEX_HOME=/hex LANG=C.UTF-8"
    has_npm = tree.is_file("assets/package.json")
    npm = ("nodejs", "npm") if has_npm else ()
    lines = [
        header(title), f"FROM {image} AS build", "WORKDIR /app", environment,
        *install_packages(["build-essential", "git", "ca-certificates", *npm, *options.packages]),
        "RUN mix local.hex --force && mix local.rebar --force",
        copy([name for name in ("mix.exs", "mix.lock") if tree.is_file(name)], "./"),
        *(('COPY ["config/", "./config/"]',) if tree.is_directory("config") else ()),
        cached("mix deps.get --only prod && mix deps.compile", "/hex/packages"),
        "COPY . .", *(("RUN npm install --prefix assets",) if has_npm else ()), f"RUN {plan.build}", "",
        f"FROM {image}", *install_packages(options.packages), "COPY --from=build /mix /mix",
        copy(["/app/"], "/app/", flags=f"--from=build --chown={USER}"), "WORKDIR /app", f"USER {USER}",
        f"{environment} HOME=/tmp", *((f"ENV PORT={PORT}", f"EXPOSE {PORT}") if plan.is_web else ()),
        shell_command(plan.start, options.base), "",
    ]  # fmt: skip
    return "\n".join(lines)


def _version(tree: Tree, options: TemplateOptions) -> tuple[str, str | None]:
    tool = find_tool_version(tree, "elixir")
    config = re.search(r"^elixir_version=v?(\d+\.\d+)", find_text(tree, "elixir_buildpack.config"), re.MULTILINE)
    pinned = options.version or (minor_version(tool[0]) if tool else None) or (config[1] if config else None)
    return pinned or _LATEST, pinned
