"""What a source turns out to be before anything is made of it: the answer, and how it follows from what was found."""

import shlex
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from pydantic import BaseModel, Field

from orca.errors import BadInput
from orca.features.services import rules
from orca.features.services.orca_file import OrcaFile, parse_orca_file
from orca.features.services.rules import Kind
from orca.features.services.schemas import HealthCheck
from orca.features.sources.schemas import Source
from orca.kit.fields import Strict
from orca.kit.text import clean_output, shorten
from orca.sdk.buildkit.dockerfile import Instruction, parse_dockerfile, read_json
from orca.sdk.buildkit.errors import BadDockerfile

_NAMES_SHOWN = 12
_WITHOUT_TEMPLATE = {
    "Cargo.toml": "Rust", "pom.xml": "Java (Maven)", "build.gradle*": "Java (Gradle)", "*.csproj": ".NET",
    "*.sln": ".NET", "mix.exs": "Elixir", "deno.json*": "Deno", "Package.swift": "Swift", "build.sbt": "Scala",
}  # fmt: skip
_COMPOSE = ("compose.y*ml", "docker-compose.y*ml")
_FITTING = "index.html, pyproject.toml, requirements.txt, package.json, go.mod, Gemfile or composer.json"


class NothingToLookAt(BadInput):
    """The form names no source yet."""

    code = "nothing-to-look-at"


class SourceToDetect(Strict):
    """The source to look at, as a service would have it."""

    source: Source = Field(alias="build_source")


class OrcaFileProblem(BaseModel):
    """One thing that is wrong with an `orca.yaml`."""

    key: str
    message: str
    line: int | None = Field(None, description="Counted from 1; null when it is about the file as a whole.")
    column: int | None = Field(None, description="Counted from 1.")


class FoundOrcaFile(BaseModel):
    """The `orca.yaml` that lies in the source."""

    content: str
    problems: list[OrcaFileProblem] = Field([], description="Empty when the file is valid.")


class Folder(BaseModel):
    """A folder of the source that could be built."""

    path: str
    summary: str


class Detected(BaseModel):
    """What a source is, and what a service that is made of it would begin with."""

    builder: str | None = Field(
        None, description="`dockerfile` or `template`, `image` for a ready one; null when nothing says how to build it."
    )
    template: str | None = Field(
        None, description="`static`, `python`, `node`, `go`, `ruby`, `php` or `procfile`, for the template builder."
    )
    summary: str = Field("", description="What was found, in a line for people.")
    evidence: list[str] = Field([], description="The files that say so.")
    commit: str | None = Field(None, description="The commit that was looked at, for Git.")
    commit_message: str | None = Field(None, description="The first line of its message.")
    dockerfile: str | None = Field(None, description="The Dockerfile that would be used, or that Orca would write.")
    name: str = Field(description="A name for the service.")
    kind: Kind = Field("web", description="What kind of service it is.")
    port: int | None = Field(None, description="Where the process listens; null when the source does not say.")
    start_command: str | None = Field(None, description="What would run; null when that is the base image's own.")
    health: HealthCheck = Field(HealthCheck(), description="How a release would be found healthy.")
    orca_file: FoundOrcaFile | None = Field(None, description="The `orca.yaml` of the source, if there is one.")
    suggested_orca_file: str | None = Field(None, description="A commented `orca.yaml`, for a source without one.")
    folders: list[Folder] = Field([], description="When nothing fits: subdirectories that could be built.")
    warnings: list[str] = Field([], description="What will work, but perhaps not as expected.")
    hints: list[str] = Field([], description="What to do next, when nothing fits.")


def read_orca_file(content: str, kind: Kind | None = None) -> tuple[OrcaFile, list[OrcaFileProblem]]:
    """The file and what is wrong with it; an empty one in its place when it cannot be used. Pure."""
    try:
        file = parse_orca_file(content)
        file.check_kind(file.kind or kind or "web")
    except BadInput as error:
        placed = error.details.get("problems")
        given = placed or [{"key": key, "message": text} for key, text in error.details["fields"].items()]
        return OrcaFile(), [OrcaFileProblem(**each) for each in given]
    return file, []


def public_port(file: OrcaFile, detected: int | None) -> int | None:
    """Where visitors would be led: what `orca.yaml` says comes first. Pure."""
    return next(iter(file.public_ports()), None) or detected


def suggest_health(file: OrcaFile, kind: Kind) -> HealthCheck:
    """What `auto` will come to, written out; `orca.yaml` comes first. Pure."""
    if "health" in file.model_fields_set and file.health.type != "auto":
        return file.health
    return HealthCheck(type="none" if kind == "worker" else "http", path=file.health.path)


def find_start_command(dockerfile: str) -> str | None:
    """What the last stage runs, as a person would type it; None when that is left to the base image. Pure."""
    try:
        instructions = parse_dockerfile(dockerfile, heredocs=True).instructions
    except BadDockerfile:
        return None
    words = {each.keyword: each.rest for each in _last_stage(instructions) if each.keyword in {"CMD", "ENTRYPOINT"}}
    entry, command = _argv(words.get("ENTRYPOINT", "")), _argv(words.get("CMD", ""))
    if isinstance(entry, str):
        return _shown(entry or (command if isinstance(command, str) else _joined(command)))
    return _shown(_joined([*entry, *(["sh", "-c", command] if isinstance(command, str) and command else command)]))


def _last_stage(instructions: Sequence[Instruction]) -> list[Instruction]:
    """Its instructions, after those of the stages it stands on: of a word that comes twice the later one holds."""
    stages: dict[str, list[Instruction]] = {}
    current: list[Instruction] = []
    for number, each in enumerate(instructions):
        if each.keyword == "FROM":
            base, *rest = [word for word in each.rest.split() if not word.startswith("--")] or [""]
            current = list(stages.get(base.lower(), ()))
            stages[rest[1].lower() if len(rest) > 1 else str(number)] = current
        else:
            current.append(each)
    return current


def _argv(text: str) -> list[str] | str:
    """Arguments in the JSON form, or the shell's line as it stands."""
    words = read_json(text)
    return text if words is None else words


def _joined(argv: Sequence[str]) -> str:
    """One line; a shell in front that only serves to expand variables is left out."""
    if len(argv) == 3 and argv[0] in {"sh", "/bin/sh"} and argv[1] == "-c":  # noqa: PLR2004 - sh -c line
        return argv[2].removeprefix("exec ")
    return shlex.join(argv)


def _shown(command: str) -> str | None:
    return shorten(clean_output(command, colours=False), 500) or None


def find_warnings(names: Sequence[str], *, submodules_left_out: bool) -> list[str]:
    """What is likely to surprise, from what lies at the top of the source. Pure."""
    warnings = []
    if submodules_left_out:
        warnings.append("The repository has submodules, which are left out unless the source's `submodules` is true.")
    if ".env" in names:
        warnings.append("There is a .env file. Keep its values as variables of the service, secret ones encrypted.")
    return warnings


def port_warning(kind: Kind, port: int | None) -> list[str]:
    """What happens when nothing says where a web service listens. Pure."""
    if kind == "worker" or port is not None:
        return []
    return [f"Nothing says where it listens. Orca takes what the image exposes, else {rules.STATIC_PORT} in PORT."]


def find_hints(names: Sequence[str], folders: Sequence[Folder]) -> list[str]:
    """What to do when no builder fits, most telling first. Pure."""
    if not names:
        return ["There are no files here. Push something, or choose another branch or subdirectory."]
    return [*_telling_hints(names, folders), f"Add a Dockerfile, or a file that a template knows: {_FITTING}."]


def _telling_hints(names: Sequence[str], folders: Sequence[Folder]) -> Iterator[str]:
    yield from (f"{each.path} could be built: {each.summary}. Choose it as the subdirectory." for each in folders)
    for pattern, language in _WITHOUT_TEMPLATE.items():
        for name in [name for name in names if fnmatchcase(name, pattern)][:1]:
            yield f"{show_name(name)} looks like {language}, for which there is no template: add a Dockerfile."
    if compose := [name for name in names if any(fnmatchcase(name, each) for each in _COMPOSE)]:
        yield f"{compose[0]} describes several services: make one service here for each, with its subdirectory."
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    yield f"Here lie: {', '.join(map(show_name, names[:_NAMES_SHOWN]))}{more}."


def show_name(name: str) -> str:
    """A file's name as it may be shown: whoever wrote it may have meant mischief. Pure."""
    return shorten(clean_output(name.encode(errors="replace").decode(), colours=False), 60)
