"""The result of inspecting a source before a service is created, and the rules that derive it."""

import shlex
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from pydantic import AliasChoices, Field

from orca.errors import BadInput
from orca.features.services import rules
from orca.features.services.orca_file import OrcaFile, parse_orca_file
from orca.features.services.rules import Kind
from orca.features.services.schemas.settings import HealthCheck
from orca.features.sources.schemas import Source
from orca.kit.fields import Output, Strict
from orca.kit.text import clean_output, shorten
from orca.sdk.builders import Detection
from orca.sdk.dockerfile import parse_dockerfile, read_json, resolve
from orca.sdk.dockerfile.errors import BadDockerfile

_NAMES_SHOWN = 12
_ANY_ARCHITECTURE = "amd64"
_COMPOSE = ("compose.y*ml", "docker-compose.y*ml")
_FITTING = "index.html, pyproject.toml, requirements.txt, package.json, go.mod, Gemfile, Cargo.toml or pom.xml"


class NothingToLookAt(BadInput):
    """The form names no source yet."""

    code = "nothing-to-look-at"


class SourceToDetect(Strict):
    """The source to inspect, in the form that a service stores."""

    source: Source = Field(validation_alias=AliasChoices("source", "build_source"))


class OrcaFileProblem(Output):
    """One problem in an `orca.yaml`."""

    key: str
    message: str
    line: int | None = Field(None, description="Counted from 1; null when it is about the file as a whole.")
    column: int | None = Field(None, description="Counted from 1.")


class FoundOrcaFile(Output):
    """The `orca.yaml` in the source."""

    content: str
    problems: list[OrcaFileProblem] = Field([], description="Empty when the file is valid.")


class Folder(Output):
    """A folder of the source that could be built."""

    path: str
    summary: str
    options: dict[str, str] = Field(
        {}, description="`build.options` that build it from the root, where the folder cannot be built on its own."
    )


class Process(Output):
    """A process that the source names besides the one that the service runs; it can become a service of its own."""

    name: str
    command: str


class Detected(Output):
    """What was detected in a source, and the initial settings of a service created from it."""

    builder: str | None = Field(
        None, description="`dockerfile` or `template`, `image` for a ready one; null when nothing says how to build it."
    )
    template: str | None = Field(
        None, description="The language of the template: `static`, `python`, `node`, `go`, `rust`, `java` and so on."
    )
    summary: str = Field("", description="What was found, in a line for people.")
    reason: str = Field("", description="When nothing fits: what the source is, and why it cannot be built as it is.")
    framework: str = Field("", description="For example `Django`; empty where there is none.")
    language: str = Field("", description="For example `python`; empty for Dockerfiles.")
    version: str | None = Field(None, description="The version of the language that the source pins.")
    package_manager: str | None = Field(None, description="For example `uv`, `pnpm` or `cargo`.")
    processes: list[Process] = Field([], description="Processes of a Procfile that are not the service's own.")
    release_command: str | None = Field(None, description="What the source wants to be run once before each release.")
    evidence: list[str] = Field([], description="The files that say so.")
    commit: str | None = Field(None, description="The commit that was looked at, for Git.")
    branches: list[str] = Field([], description="Branches of the repository, 200 of them at most.")
    commit_message: str | None = Field(None, description="The first line of its message.")
    dockerfile: str | None = Field(None, description="The Dockerfile that would be used, or that Orca would write.")
    name: str = Field(description="A name for the service.")
    kind: Kind = Field("web", description="What kind of service it is.")
    port: int | None = Field(None, description="Where the process listens; null when the source does not say.")
    port_choices: list[int] = Field(
        [], description="When several ports could be the one for visitors: one of them has to be chosen."
    )
    start_command: str | None = Field(None, description="What would run; null when that is the base image's own.")
    health: HealthCheck = Field(HealthCheck(), description="How a release would be found healthy.")
    orca_file: FoundOrcaFile | None = Field(None, description="The `orca.yaml` of the source, if there is one.")
    suggested_orca_file: str | None = Field(None, description="A commented `orca.yaml`, for a source without one.")
    folders: list[Folder] = Field([], description="When nothing fits: subdirectories that could be built.")
    warnings: list[str] = Field([], description="What will work, but perhaps not as expected.")
    hints: list[str] = Field([], description="What to do next, when nothing fits.")


def read_orca_file(content: str, kind: Kind | None = None) -> tuple[OrcaFile, list[OrcaFileProblem]]:
    """Return the file and its problems; an empty file when it cannot be used. Pure."""
    try:
        file = parse_orca_file(content)
        file.check_kind(file.kind or kind or "web")
    except BadInput as error:
        placed = error.details.get("problems")
        given = placed or [{"key": key, "message": text} for key, text in error.details["fields"].items()]
        return OrcaFile(), [OrcaFileProblem(**problem) for problem in given]
    return file, []


def public_port(file: OrcaFile, detected: int | None) -> int | None:
    """Return the port for visitors: that of `orca.yaml` first, else the detected one. Pure."""
    return next(iter(file.public_ports()), None) or detected


def other_processes(plan: Detection) -> dict[str, str]:
    """Return the processes that the source names besides the main one, by name. Pure."""
    main = "web" if "web" in plan.processes else next(iter(plan.processes), "")
    return {name: command for name, command in plan.processes.items() if name != main}


def suggest_health(file: OrcaFile, kind: Kind) -> HealthCheck:
    """Return the explicit health check that `auto` will mean; `orca.yaml` takes precedence. Pure."""
    if "health" in file.model_fields_set and file.health.type != "auto":
        return file.health
    return HealthCheck(type="none" if kind == "worker" else "http", path=file.health.path)


def find_start_command(dockerfile: str) -> str | None:
    """Return the command of the last stage as a shell line; None when the base image decides. Pure."""
    try:
        lineage = resolve(parse_dockerfile(dockerfile, heredocs=True), {}, _ANY_ARCHITECTURE).lineage
    except BadDockerfile:
        return None
    words = {instruction.keyword: instruction.source.rest for stage in lineage for instruction in stage.instructions}
    entry, command = _argv(words.get("ENTRYPOINT", "")), _argv(words.get("CMD", ""))
    if isinstance(entry, str):
        return _shown(entry or (command if isinstance(command, str) else _joined(command)))
    if command and len(entry) == 2 and entry[0] == "/bin/bash":  # noqa: PLR2004 - a base image's script for all commands
        entry = []
    return _shown(_joined([*entry, *(["sh", "-c", command] if isinstance(command, str) and command else command)]))


def _argv(text: str) -> list[str] | str:
    """Return the arguments of the JSON form, or the shell form unchanged."""
    words = read_json(text)
    return text if words is None else words


def _joined(argv: Sequence[str]) -> str:
    """Join arguments to one line, without a leading shell that only expands variables."""
    if len(argv) == 3 and argv[0] in {"sh", "/bin/sh", "/bin/bash"} and argv[1] == "-c":  # noqa: PLR2004 - sh -c line
        return argv[2].removeprefix("exec ")
    return shlex.join(argv)


def _shown(command: str) -> str | None:
    return shorten(clean_output(command, colours=False), 500) or None


def find_warnings(names: Sequence[str], *, submodules_left_out: bool) -> list[str]:
    """Return warnings about unexpected results, from the names in the source's root folder. Pure."""
    warnings = []
    if submodules_left_out:
        warnings.append("The repository has submodules, which are left out unless the source's `submodules` is true.")
    if ".env" in names:
        warnings.append("There is a .env file. Keep its values as variables of the service, secret ones encrypted.")
    return warnings


def port_warning(kind: Kind, port: int | None, choices: Sequence[int] = ()) -> list[str]:
    """Return a warning when no port, or several ports, were found for a web service. Pure."""
    if kind == "worker" or port is not None:
        return []
    if choices:
        reason, hint = rules.name_port_choices(choices)
        return [f"{reason[:1].upper()}{reason[1:]}. {hint}"]
    return [f"Nothing says where it listens. Orca takes what the image exposes, else {rules.STATIC_PORT} in PORT."]


def find_hints(names: Sequence[str], folders: Sequence[Folder], hint: str = "") -> list[str]:
    """Return what to do when no builder fits, the most specific first; `hint` is the builder's own. Pure."""
    if not names:
        return ["There are no files here. Push something, or choose another branch or subdirectory."]
    last = [] if hint else [f"Add a Dockerfile, or a file that a template knows: {_FITTING}."]
    return [*([hint] if hint else ()), *_telling_hints(names, folders, is_explained=bool(hint)), *last]


def describe_folder(folder: Folder) -> str:
    """Describe how a folder, or a program in it, is selected. Pure."""
    if folder.options:
        chosen = ", ".join(f"build.options.{name}: {value}" for name, value in folder.options.items())
        return f"{folder.path}: {folder.summary}. Choose it with {chosen}."
    return f"{folder.path} could be built: {folder.summary}. Choose it as the subdirectory."


def _telling_hints(names: Sequence[str], folders: Sequence[Folder], *, is_explained: bool) -> Iterator[str]:
    yield from map(describe_folder, folders)
    compose = [name for name in names if any(fnmatchcase(name, pattern) for pattern in _COMPOSE)]
    if compose and not is_explained:
        yield f"{compose[0]} describes several services: make one service here for each, with its subdirectory."
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    yield f"Here lie: {', '.join(map(show_name, names[:_NAMES_SHOWN]))}{more}."


def show_name(name: str) -> str:
    """Return a file name that is safe to show: it comes from an untrusted source. Pure."""
    return shorten(clean_output(name.encode(errors="replace").decode(), colours=False), 60)
