"""Converts between the forms of a service and the API's JSON. Pure."""

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from orca.errors import BadInput
from orca.features.services.comparison import show_ports
from orca.features.services.form_texts import FormReader, parse_lines, show_lines, split_command
from orca.features.services.models import Service
from orca.features.services.rules import MAX_VARIABLES, looks_secret, name_port_choices, shell_argv
from orca.features.services.runtime_form import PREFIX, name_entry, runtime_data, runtime_values
from orca.features.services.schemas.runtime import RuntimeOptions
from orca.features.services.schemas.services import ServiceFields
from orca.features.services.schemas.settings import AUTO, BuildOptions, HealthCheck, Port
from orca.features.services.schemas.variables import NamedVariable
from orca.kit.dotenv import Assignment, read_dotenv
from orca.sdk.ports import read_port
from orca.web.forms import fill

_HEALTH_NUMBERS = ("interval", "timeout", "start_period", "settle")
_FORM_FIELDS = {
    "source.git.credential_id": "git_credential_id", "source.image.credential_id": "registry_credential_id",
    "source.git": "", "source.image": "", "source.directory": "", "source.credential_id": "git_credential_id",
    "build": "", "resources": "", "health": "health_", "runtime": PREFIX,
}  # fmt: skip
"""Path in the API's JSON -> name or prefix of the form's field."""


def source_data(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the source in the form as the API's JSON."""
    kind = form.get("source_type", "git")
    source: dict[str, Any] = {"type": kind}
    if kind == "git":
        source |= given(form, "repository", "branch", "subdirectory")
        source |= {"credential_id": form["git_credential_id"]} if form.get("git_credential_id") else {}
    elif kind == "image":
        source |= given(form, "image")
        source |= {"credential_id": form["registry_credential_id"]} if form.get("registry_credential_id") else {}
    return source


MAX_PROCESSES = 20
_PROCESS = re.compile(r"[A-Za-z0-9_-]{1,60}")
_COMMAND = re.compile(r"[^\x00-\x1f\x7f]{1,1000}")


def new_service_data(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the form of a new service as the API's JSON."""
    data: dict[str, Any] = {"name": form.get("name", ""), "kind": form.get("kind", "web"), "source": source_data(form)}
    data |= given(form, "slug", "deploy", "environment")
    if form.get("port"):
        data["ports"] = [{"name": "http", "port": form["port"], "public": True}]
    return data


def check_port_chosen(form: Mapping[str, str]) -> None:
    """Raise BadInput when the inspection found several ports, and none was chosen."""
    found = form.get(f"port_choices_{form.get('source_type', 'git')}", "")
    choices = [port for word in found.split()[:20] if (port := read_port(word))]
    if choices and not form.get("port") and form.get("kind", "web") == "web":
        reason, hint = name_port_choices(choices)
        raise BadInput(reason, hint=hint, fields={"ports.0.port": f"choose one of {', '.join(map(str, choices))}"})


def check_looked(form: Mapping[str, str]) -> None:
    """Raise BadInput for a deployment of a source whose look has failed, unless the user insists."""
    kind = form.get("source_type", "git")
    if form.get(f"look_{kind}") == "failed" and form.get(f"insist_{kind}") != "true":
        raise BadInput(
            "Looking at the source failed, so its deployment would, too",
            hint="Correct the source, insist on it, or create the service without deploying it.",
            fields={f"insist_{kind}": "looking at the source failed: correct it, or tick this"},
        )


def chosen_processes(form: Mapping[str, str]) -> dict[str, str]:
    """Return name -> command of the processes that become services of their own."""
    found = {key.removeprefix("process-"): value for key, value in form.items() if key.startswith("process-")}
    fit = {name: text for name, text in found.items() if _PROCESS.fullmatch(name) and _COMMAND.fullmatch(text)}
    return dict(list(fit.items())[:MAX_PROCESSES])


def process_service(main: ServiceFields, name: str, command: str) -> ServiceFields:
    """Return a worker from the same source, for another of its processes."""
    return ServiceFields(
        name=name, slug=None, kind="worker", source=main.source, build=main.build, command=shell_argv(command),
        deploy=main.deploy, environment=main.environment,
    )  # fmt: skip


def given(form: Mapping[str, str], *names: str) -> dict[str, str]:
    """Return those of these fields that are not empty."""
    return {name: form[name] for name in names if form.get(name)}


def variable_data(form: Mapping[str, str]) -> dict[str, Any]:
    """Return one variable as the API's JSON. An empty value of an edited secret keeps the stored one."""
    keeps = form.get("editing") == "secret" and not form.get("value")
    return {**given(form, "key"), "value": None if keeps else form.get("value", ""), **_flags(form)}


def dotenv_data(form: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the variables of a pasted `.env` file, and its errors: `text` with the line number -> problem."""
    found, problems = read_assignments(form.get("text", ""))
    if not found and not problems:
        return {}, {"text": "there are no KEY=value lines"}
    last = {}
    for entry in found:
        flags = _flags(form, "import_")
        flags["is_secret"] |= form.get("import_looks") == "true" and looks_secret(entry.key, entry.value)
        last[entry.key] = {"key": entry.key, "value": entry.value, **flags}
    return {"variables": list(last.values())}, problems


def read_assignments(text: str) -> tuple[list[Assignment], dict[str, str]]:
    """Return the assignments of a `.env` file, and its errors: `text` with the line number -> problem."""
    found, problems = read_dotenv(text, most=MAX_VARIABLES)
    if len(found) > MAX_VARIABLES:
        return [], {"text": f"there are more than {MAX_VARIABLES} variables"}
    wrong = {problem.line: problem.problem for problem in problems}
    for assignment in found:
        checked = fill(NamedVariable, {"key": assignment.key, "value": assignment.value}, {})
        if checked.errors:
            wrong[assignment.line] = f"{assignment.key}: {next(iter(checked.errors.values()))}"
    return found, {f"text.{line}": f"line {line}: {wrong[line]}" for line in sorted(wrong)}


def _flags(form: Mapping[str, str], before: str = "") -> dict[str, bool]:
    return {name: form.get(before + name) == "true" for name in ("is_secret", "is_build_time")}


def builder_options(installed: Iterable[str], chosen: str) -> list[tuple[str, str]]:
    """Return the choices of a builder: those that are installed, and the one that is chosen, installed or not."""
    return [(AUTO, "Automatic"), *((name, name.title()) for name in sorted({*installed, chosen} - {AUTO}))]


def settings_values(service: Service) -> dict[str, str]:
    """Return the stored settings as form values."""
    resources, source = service.resources, service.source
    health, build = HealthCheck.model_validate(service.health), BuildOptions.model_validate(service.build)
    return {
        "name": service.name, "kind": service.kind, "replicas": str(service.replicas),
        "ports": show_ports([Port.model_validate(port) for port in service.ports]),
        "cpus": str(resources.get("cpus") or ""), "memory_mb": str(resources.get("memory_mb") or ""),
        "command": shlex.join(service.command), "release_command": shlex.join(service.release_command),
        "restart": service.restart, "strategy": service.strategy, "stop_grace": f"{service.stop_grace:g}",
        "health_type": health.type, "health_path": health.path, "health_method": health.method,
        "user": service.user, "masks_secrets": str(service.masks_secrets).lower(), "health_host": health.host or "",
        "health_port": str(health.port or ""), "health_status": ", ".join(map(str, health.status)),
        "health_command": shlex.join(health.command),
        **{f"health_{name}": f"{getattr(health, name):g}" for name in _HEALTH_NUMBERS},
        "builder": build.builder, "dockerfile": build.dockerfile, "target": build.target or "",
        "arguments": show_lines(build.arguments), "options": show_lines(build.options),
        "repository": str(source.get("repository", "")), "branch": str(source.get("branch") or ""),
        "subdirectory": str(source.get("subdirectory") or ""),
        "submodules": "true" if source.get("submodules", True) else "false",
        "git_credential_id": str(source.get("credential_id") or ""),
        "registry_credential_id": str(source.get("credential_id") or ""), "image": str(source.get("image", "")),
        "version": str(service.version),
        **runtime_values(RuntimeOptions.model_validate(service.runtime)),
    }  # fmt: skip


def settings_data(service: Service, form: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the form as the API's JSON, and field -> parse error; the stored value replaces an invalid one."""
    reader = FormReader(form)
    data = {
        **given(form, "name", "kind", "replicas", "restart", "strategy", "stop_grace", "version", "masks_secrets"),
        "user": form.get("user", service.user),
        "ports": reader.read("ports", parse_ports, service.ports),
        "resources": {"cpus": form.get("cpus") or None, "memory_mb": form.get("memory_mb") or None},
        "command": reader.read("command", split_command, service.command),
        "release_command": reader.read("release_command", split_command, service.release_command),
        "health": _health_data(service, form, reader),
        "runtime": runtime_data(service.runtime, reader),
        "build": _build_data(service, form, reader),
        "source": _changed_source(service, form),
    }
    return data, reader.problems


def errors_of_settings(errors: Mapping[str, str]) -> dict[str, str]:
    """Map API errors to the names of the form's fields; several errors of one field are joined."""
    named: dict[str, str] = {}
    for place, message in errors.items():
        name = _field_of(place)
        told = name_entry(place, message) if name.startswith(PREFIX) else message
        named[name] = f"{named[name]}; {told}" if name in named else told
    return named


def _field_of(place: str) -> str:
    for part, before in _FORM_FIELDS.items():
        if place == part:
            return before if before.endswith("_id") else "health_type" if part == "health" else ""
        if place.startswith(f"{part}."):
            return before + place.removeprefix(f"{part}.").split(".")[0]
    return place.split(".", maxsplit=1)[0]


def _health_data(service: Service, form: Mapping[str, str], reader: FormReader) -> dict[str, Any]:
    health = {**service.health, "type": form.get("health_type", "auto"), "path": form.get("health_path") or "/"}
    is_command = health["type"] == "command"
    health["command"] = reader.read("health_command", split_command, service.health["command"]) if is_command else []
    if is_command and not health["command"] and "health_command" not in reader.problems:
        reader.problems["health_command"] = "say what to run inside the container"
        health |= {"type": "auto"}
    health |= {name: form[f"health_{name}"] for name in ("method", *_HEALTH_NUMBERS) if form.get(f"health_{name}")}
    if "health_port" in form:
        health["port"] = form["health_port"] or None
    if "health_host" in form:
        health["host"] = form["health_host"] or None
    if "health_status" in form:
        health["status"] = [part.strip() for part in form["health_status"].split(",") if part.strip()]
    return health


def _build_data(service: Service, form: Mapping[str, str], reader: FormReader) -> dict[str, Any]:
    build = {
        **service.build,
        "builder": form.get("builder", "auto"),
        "dockerfile": form.get("dockerfile") or "Dockerfile",
    }
    if "target" in form:
        build["target"] = form["target"] or None
    for name in ("arguments", "options"):
        if name in form:
            build[name] = reader.read(name, parse_lines, service.build.get(name, {}))
    return build


def _changed_source(service: Service, form: Mapping[str, str]) -> dict[str, Any]:
    source = {**service.source, **given(form, "repository", "image")}
    if source["type"] == "git":
        source |= {"branch": form.get("branch") or None, "subdirectory": form.get("subdirectory", "")}
        source |= {"tag": None, "commit": None} if form.get("branch") else {}
        source |= {"submodules": form["submodules"] == "true"} if "submodules" in form else {}
        source |= {"credential_id": form["git_credential_id"] or None} if "git_credential_id" in form else {}
    elif source["type"] == "image" and "registry_credential_id" in form:
        source["credential_id"] = form["registry_credential_id"] or None
    return source


def parse_ports(text: str) -> list[dict[str, Any]]:
    """Parse `http:8080, metrics:9090 private` to the API's JSON. Raises ValueError."""
    ports = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        words = part.split()
        name, _, number = words[0].rpartition(":")
        if not number.isdecimal() or words[1:] not in ([], ["private"]):
            raise ValueError(f"“{part}” is not a port: write http:8080, or metrics:9090 private")
        ports.append({"name": name or "http", "port": int(number), "public": not words[1:]})
    return ports
