"""Deno: deno.json with its tasks, or a program with imports that only Deno supports."""

import re
from dataclasses import dataclass

from orca.providers.builders.template import static
from orca.providers.builders.template.node.code import Reading, read_code
from orca.providers.builders.template.node.commands import ScriptCommand, expand
from orca.providers.builders.template.node.package import NodeProject, Package
from orca.providers.builders.template.node.programs import is_development
from orca.providers.builders.template.node.versions import LATEST, TOOL_FILES, version_of_tool
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.recipe import (
    IGNORE,
    IGNORE_FILE,
    USER,
    Recipe,
    Refusal,
    Result,
    copy,
    header,
    install_packages,
    place_app,
    shell_command,
)
from orca.sdk.trees import Tree

PORT = 8000
_NAMES = ("main", "server", "index", "app", "mod")
_FILES = tuple(
    f"{folder}{name}.{end}" for folder in ("", "src/") for name in _NAMES for end in ("ts", "tsx", "js", "mjs")
)
_SOURCES = ("https://deno.land/", "jsr:", "npm:", "https://esm.sh/", "https://jsr.io/")
_WATCHING = ("--watch", "--watch-hmr", "--watch-exclude")
_EXACT = re.compile(r"2\.\d{1,3}\.\d{1,3}")


@dataclass(frozen=True, slots=True)
class _Program:
    """The start command, and the build steps before it."""

    start: str
    entry: str
    reading: Reading
    build: str
    output: str = ""


def find_deno(tree: Tree, options: TemplateOptions) -> Result:
    """Detect a Deno project, unless its package.json defines the application."""
    config = next((name for name in ("deno.json", "deno.jsonc") if tree.is_file(name)), "")
    project = NodeProject(tree, _package(tree, config))
    program = _find_program(project, options, configured=bool(config))
    if program is None and not config:
        return None
    if program is None:
        return Refusal(
            f"{config} has no start task, and there is no main.ts or server.ts: there is nothing to start.",
            'Add a task ("start": "deno run --allow-all main.ts"), or set the start command.',
            (config,),
        )
    return _recipe(project, program, options, config)


def _package(tree: Tree, config: str) -> Package:
    tasks = NodeProject(tree, Package()).json(".", config).get("tasks") if config else None
    found: dict[str, str] = {}
    for name, task in tasks.items() if isinstance(tasks, dict) else ():
        text = task.get("command") if isinstance(task, dict) else task
        if isinstance(text, str):
            found[name] = text[:2000]
    return Package(scripts=found)


def _find_program(project: NodeProject, options: TemplateOptions, *, configured: bool) -> _Program | None:
    scripts = project.root.scripts
    task = next((name for name in ("start", "serve", "preview", "prod", "production") if name in scripts), "")
    commands = expand(project, scripts.get(task, "")) if task else []
    target = next((command for command in reversed(commands) if command.program == "deno"), None)
    entry = _entry(target, project) if target else next((name for name in _FILES if project.tree.is_file(name)), "")
    read = read_code(project, entry) if entry else Reading()
    if not configured and not (_is_for_deno(project, read) and entry):
        return None
    imports = project.json(".", "deno.json" if project.tree.is_file("deno.json") else "deno.jsonc").get("imports")
    build = "deno task build" if "build" in scripts else ""
    if isinstance(imports, dict) and any(name.startswith("lume/") for name in imports) and build:
        return _Program("", entry, read, build, "_site")
    start = options.start or _start(task, commands, entry)
    cache = f"deno cache {entry}" if entry else ""
    return _Program(start, entry, read, " && ".join(part for part in (build, cache) if part)) if start else None


def _entry(target: ScriptCommand, project: NodeProject) -> str:
    words = (word.removeprefix("./") for word in target.arguments)
    return next(
        (word for word in words if re.fullmatch(r"[\w@./-]+\.[cm]?[jt]sx?", word) and project.tree.is_file(word)), ""
    )


def _start(task: str, commands: list[ScriptCommand], entry: str) -> str:
    """Return the task without watching, or else the usual file with every permission, as in Node.js."""
    if len(commands) == 1 and commands[0].program == "deno":
        words = (word for word in commands[0].arguments if word.partition("=")[0] not in _WATCHING)
        return str(ScriptCommand("deno", tuple(words)))
    if task and commands and not any(is_development(command) for command in commands):
        return f"deno task {task}"
    return f"deno run --allow-all {entry}" if entry else ""


def _is_for_deno(project: NodeProject, read: Reading) -> bool:
    return (
        "Deno" in read.words
        or any(word.startswith(_SOURCES) for word in read.words)
        or project.tree.is_file("deno.lock")
    )


def _version(project: NodeProject) -> str | None:
    """Return an exact version of Deno 2, the versions in which its npm package exists."""
    files = [project.tree.find_text(name) or "" for name in (".deno-version", ".dvmrc")]
    found = [*files, *(version_of_tool(project.tree, name, "deno") for name in TOOL_FILES)]
    text = next((text.strip().removeprefix("v") for text in found if text.strip()), "")
    return text if _EXACT.fullmatch(text) else None


def _recipe(project: NodeProject, program: _Program, options: TemplateOptions, config: str) -> Recipe:
    read, version = program.reading, _version(project)
    kind = (
        "static"
        if program.output
        else "web"
        if read.listens or options.start or " serve " in program.start
        else "worker"
    )
    framework = "Lume" if program.output else read.frameworks[0] if read.frameworks else "Deno"
    title = f"Deno {version or 2} ({framework})" + (f" · {program.entry}" if program.entry else "")
    port = static.PORT if kind == "static" else _port(program) if kind == "web" else None
    return Recipe(
        "node",
        title,
        _dockerfile(program, options, title, version or "2", port if kind == "web" else None),
        port,
        tuple(name for name in (config, "deno.lock", program.entry) if name and project.tree.is_file(name)),
        static.files(spa=options.spa) if program.output else {IGNORE_FILE: IGNORE},
        kind,
        framework=framework,
        language="deno",
        version=version,
        build=options.build or program.build or None,
        output=program.output or None,
        start=program.start or None,
    )


def _port(program: _Program) -> int:
    """Return the port in the code; the default of Deno.serve is 8000."""
    return program.reading.port or PORT


def _dockerfile(program: _Program, options: TemplateOptions, title: str, version: str, port: int | None) -> str:
    image = options.base or f"node:{LATEST}-slim"
    build = options.build or program.build
    base = [*install_packages(options.packages), f"RUN npm install --global deno@{version}", "ENV DENO_DIR=/deno"]
    stage = ["WORKDIR /app", "COPY . .", "RUN mkdir -p /deno", *((f"RUN {build}",) if build else ()), ""]
    if program.output:
        lines = [header(title), static.caddy_stage(), f"FROM {image} AS build", *base, *stage]
        return "\n".join([*lines, static.serve(copy([f"/app/{program.output}/"], "/srv/", flags="--from=build"))])
    listening = f" PORT={port} HOST=0.0.0.0 HOSTNAME=0.0.0.0" if port else ""
    runtime = [
        "FROM base",
        copy(["/deno/"], "/deno/", flags=f"--from=build --chown={USER}"),
        *place_app(),
        f"ENV HOME=/tmp DENO_NO_UPDATE_CHECK=1{listening}",
        *((f"EXPOSE {port}",) if port else ()),
        shell_command(program.start, options.base, has_entrypoint=True),
        "",
    ]
    return "\n".join([header(title), f"FROM {image} AS base", *base, "", "FROM base AS build", *stage, *runtime])
