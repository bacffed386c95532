"""`orca.yaml`, which describes a service in its own repository: parsing with good errors, merging, rendering."""

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints, ValidationError, field_validator

from orca.errors import BadInput
from orca.features.services import rules
from orca.features.services.published_schema import MOST, render_schema, written_at
from orca.features.services.rules import Kind
from orca.features.services.schemas.runtime import RuntimeOptions
from orca.features.services.schemas.settings import (
    BuildOptions,
    FrozenConfig,
    HealthCheck,
    Limits,
    Port,
    ServiceSettings,
    kind_alias,
    ports_for_kind,
)
from orca.features.services.schemas.variables import Value, VariableKey
from orca.features.services.schemas.volumes import Mounts, NamedMount, VolumeMount
from orca.kit.fields import Name
from orca.kit.text import clean_output, shorten
from orca.kit.validation import explain
from orca.kit.yaml import BadYaml, Document, Mark, YamlPath, read_yaml
from orca.sdk.builders import Detection

FILE_NAME = "orca.yaml"
_PARTS: Mapping[str, type[BaseModel]] = {
    "build": BuildOptions, "ports": Port, "health": HealthCheck, "resources": Limits, "volumes": NamedMount,
    "runtime": RuntimeOptions,
}  # fmt: skip

Hostname = Annotated[
    str,
    StringConstraints(
        pattern=r"^(?:\*\.)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$",
        max_length=253,
    ),
]


class OrcaFile(ServiceSettings):
    """The settings in a repository's `orca.yaml`. Each key that is present overrides the stored setting."""

    name: Name | None = Field(None, description="The name of a service that is made from this file.")
    kind: Kind | None = Field(None, description="`web` answers requests, `worker` does not, `static` is files only.")
    build: BuildOptions = Field(BuildOptions(), description="How the image is made.")
    variables: dict[VariableKey, Value] = Field(
        {}, max_length=rules.MAX_VARIABLES, description="Plain variables. A stored secret of the same name stays."
    )
    volumes: Mounts = Field([], description="Data that outlives containers; made when they are first named.")
    domains: list[Hostname] = Field([], max_length=50, description="Hostnames the service answers to.")

    _kind_alias = field_validator("kind", mode="before")(kind_alias)


def orca_file_schema() -> Mapping[str, Any]:
    """Return the JSON Schema of `orca.yaml`, for editors."""
    return render_schema(OrcaFile, FILE_NAME)


def parse_orca_file(content: str | bytes) -> OrcaFile:
    """Read and check the file. Raises BadInput: `problems` (key, message, line, column), `fields`, `line`, `column`."""
    try:
        document = read_yaml(content)
    except BadYaml as error:
        raise _refuse([(error.mark, (), error.problem)]) from None
    if document.value is None:
        return OrcaFile()
    if not isinstance(document.value, dict):
        raise _refuse([(Mark(1, 1), (), "a mapping of keys to values is expected, such as `kind: web`")])
    problems = _validate(document)
    if isinstance(problems, OrcaFile):
        return problems
    if _take_as_text(document, problems):
        problems = _validate(document)
        if isinstance(problems, OrcaFile):
            return problems
    raise _refuse([_place(document, problem) for problem in problems])


def _validate(document: Document) -> "OrcaFile | list[Any]":
    """Return the validated file, or pydantic's errors. Strict: a quoted number is not accepted as a number."""
    try:
        return OrcaFile.model_validate_json(json.dumps(document.value), strict=True)
    except ValidationError as error:
        return list(error.errors(include_url=False, include_input=False))


def _take_as_text(document: Document, problems: Sequence[Any]) -> bool:
    """Replace `8080`, `1.10` and `true` by their literal text where text is expected; return whether any was."""
    changed = False
    for problem in problems:
        path: YamlPath = problem["loc"]
        if problem["type"] != "string_type" or path not in document.texts:
            continue
        value, written, text = _value_at(document, path), written_at(path), document.texts[path]
        if written == "whole" and type(value) is int and value <= MOST:
            _value_at(document, path[:-1])[path[-1]] = text if text.isdecimal() else str(value)
            changed = True
        elif written == "anything" and value is not None:
            _value_at(document, path[:-1])[path[-1]] = text
            changed = True
    return changed


def _value_at(document: Document, path: YamlPath) -> Any:
    value = document.value
    for step in path:
        value = value[step]
    return value


def _place(document: Document, problem: Any) -> tuple[Mark, YamlPath, str]:
    is_key = problem["type"] == "extra_forbidden" or problem["loc"][-1:] == ("[key]",)
    path: YamlPath = problem["loc"][:-1] if problem["loc"][-1:] == ("[key]",) else problem["loc"]
    return document.locate(path, key=is_key), path, _explain(document, problem, path)


def _explain(document: Document, problem: Any, path: YamlPath) -> str:
    kind = problem["type"]
    if kind == "extra_forbidden":
        return f"unknown key{_suggest(path)}"
    if kind == "string_type" and path in document.texts:
        has_value = _value_at(document, path) is not None
        return "must be text; put it in quotes" if has_value else 'has no value; write "" for an empty text'
    if kind == "list_type" and path in document.texts:
        return f"must be a list, such as [{json.dumps(document.texts[path].split(' ')[0], ensure_ascii=False)}]"
    return "must be a mapping of keys to values" if kind in {"dict_type", "model_type"} else explain(problem)


def _suggest(path: YamlPath) -> str:
    """Suggest the similar key, or list all valid ones."""
    model = OrcaFile if len(path) == 1 else _PARTS.get(str(path[0]))
    known = sorted(model.model_fields) if model else []
    near = difflib.get_close_matches(str(path[-1]), known, n=1)
    return f"; did you mean “{near[0]}”?" if near else f"; known here: {', '.join(known)}" if known else ""


def _refuse(problems: Sequence[tuple[Mark, YamlPath, str]]) -> BadInput:
    ordered = sorted(problems, key=lambda problem: (problem[0].line, problem[0].column))
    fields = {_dotted(path): f"{mark}: {message}" for mark, path, message in ordered}
    mark, path, message = ordered[0]
    more = f" (and {len(ordered) - 1} more)" if len(ordered) > 1 else ""
    name = f"{_dotted(path)}: " if path else ""
    return BadInput(
        f"{FILE_NAME}, {mark}: {name}{message}{more}",
        hint=f"Correct {FILE_NAME} in the repository; docs/reference/orca-yaml.md lists all keys.",
        fields=fields, line=mark.line, column=mark.column,
        problems=[
            {"key": _dotted(path), "message": message, "line": mark.line, "column": mark.column}
            for mark, path, message in ordered
        ],
    )  # fmt: skip


def _dotted(path: YamlPath) -> str:
    return ".".join(str(step) for step in path) or FILE_NAME


def merge(config: FrozenConfig, build: BuildOptions, file: OrcaFile) -> tuple[FrozenConfig, BuildOptions]:
    """Merge the file over stored settings. Raises BadInput when the result is not valid.

    Settings are replaced key by key (`health` as a whole, `build` by its parts), variables are overlaid except where
    a secret of that name is stored, volumes are added. New volumes have no engine name yet: see `apply_orca_file`.
    """
    given = file.model_fields_set
    settings = {name: getattr(file, name) for name in ServiceSettings.model_fields if name in given}
    kind = file.kind or config.kind
    merged = config.model_copy(update={
        **settings,
        "kind": kind,
        "mounts": _merge_mounts(config.mounts, file.volumes),
        "variables": {**_without_announced_port(config), **_not_secret(config, file.variables)},
    })  # fmt: skip
    merged.check_kind(kind)
    merged = merged.model_copy(update={"ports": ports_for_kind(kind, merged)}).announce_port()
    parts = {name: getattr(file.build, name) for name in file.build.model_fields_set}
    return merged, build.model_copy(update=parts if "build" in given else {})


def _merge_mounts(stored: Sequence[VolumeMount], named: Sequence[NamedMount]) -> list[VolumeMount]:
    known = {mount.name: mount for mount in stored}
    for mount in named:  # fields of a volume that the file omits stay
        given = {key: getattr(mount, key) for key in mount.model_fields_set - {"shared"}}
        known[mount.name] = known[mount.name].model_copy(update=given) if mount.name in known else VolumeMount(**given)
    mounts = list(known.values())
    if problem := rules.find_mount_problems((mount.name, mount.path) for mount in mounts):
        raise BadInput(f"{FILE_NAME}: volumes: {problem}", fields={"volumes": problem})
    return mounts


def _not_secret(config: FrozenConfig, variables: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in variables.items() if key not in config.secret_keys}


def _without_announced_port(config: FrozenConfig) -> dict[str, str]:
    """Return the variables without a PORT that equals the public port: the file may set another port."""
    announced = rules.port_to_announce(config.public_ports())
    return {key: value for key, value in config.variables.items() if (key, value) != ("PORT", announced)}


def render_orca_file(name: str, detected: Detection | None, *, schema_url: str = "") -> str:
    """Render a commented `orca.yaml` for a source tree. Lines that begin with `#` and no space are examples."""
    kind = detected.service_kind if detected else "web"
    lines = [f"# yaml-language-server: $schema={schema_url}"] if schema_url else []
    lines += [
        "# How Orca builds and runs this service. What is written here wins over the settings in the panel.",
        f"name: {json.dumps(shorten(clean_output(name, colours=False).strip(), 100) or 'app', ensure_ascii=False)}",
        f"kind: {kind}  # web answers requests, worker does not, static is files only",
        "",
        *_render_build(detected),
        "",
        *_render_ports(kind, detected),
        *_render_processes(detected),
        *_EXAMPLES,
    ]
    return "\n".join(lines) + "\n"


def _render_build(detected: Detection | None) -> list[str]:
    if detected is None:
        return ["build:", "  builder: auto  # the Dockerfile if there is one, else the template that fits"]
    summary = " ".join(clean_output(detected.summary, colours=False).split())
    return [f"# Found: {summary}", "build:", f"  builder: {detected.builder}", "  #dockerfile: Dockerfile"]


def _render_ports(kind: str, detected: Detection | None) -> list[str]:
    if kind == "worker":
        return []
    port = (detected.port if detected else None) or rules.STATIC_PORT
    given = detected is not None and detected.port is not None
    lines = ["# Where the process listens; it is told through PORT. Public ports get hostnames."]
    if detected and detected.port_choices and not given:
        lines.append("# Several could be the one for visitors: take the # from the right line.")
        return [*lines, *(f"#{rules.ports_line(choice)}" for choice in detected.port_choices[:10]), ""]
    return [*lines, f"{'' if given else '#'}{rules.ports_line(port)}", ""]


def _render_processes(detected: Detection | None) -> list[str]:
    """Render the release command, and the other processes that could be services."""
    lines = []
    if detected and detected.release:
        lines += ["# Found: run once before traffic moves.", f"release_command: {_flow(detected.release)}", ""]
    main = "web" if detected and "web" in detected.processes else None
    others = list(detected.processes.items())[:20] if detected else []
    for name, command in others[0 if main else 1 :]:
        if name != main:
            lines.append(f"# Found: the process {name}. As a service of its own it has kind worker and this command:")
            lines.append(f"#command: {_flow(command)}")
    return [*lines, ""] if lines and lines[-1] else lines


def _flow(command: str) -> str:
    """Render arguments as a one-line YAML list, for which JSON is valid."""
    return json.dumps(rules.shell_argv(clean_output(command, colours=False)), ensure_ascii=False)


_EXAMPLES = (
    "# When a new release may get traffic.",
    "#health: {type: http, path: /, start_period: 60}",
    "",
    "# Plain variables only; secrets belong into the panel or `orc env set --secret`.",
    "#variables: {LOG_LEVEL: info}",
    "",
    "# Run once before traffic moves.",
    '#release_command: ["python", "manage.py", "migrate"]',
    "",
    "#replicas: 1",
    "#resources: {cpus: 1, memory_mb: 512}",
    "#volumes: [{name: data, path: /data}]",
    "#domains: [www.example.org]",
)
