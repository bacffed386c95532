"""The reference pages, made from the code: what cannot be written twice cannot disagree."""

import ast
import importlib
import json
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import orca
from orca.app import create_app
from orca.cli.reference import render_reference
from orca.errors import OrcaError, all_codes, meaning_of
from orca.features.access.permissions import all_permissions, all_roles, permissions_of_grant, renamed_permissions
from orca.features.services.orca_file import orca_file_schema
from orca.settings import Settings, settings_fields
from orca.web.openapi import describe_api
from orca.web.reference import Operation, operations

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
NO_MODULES = {"orca.migrations.env", "orca.main"}
"""Modules that do something when they are imported."""

_SETTINGS = """\
# Settings

Orca reads its settings once, from the environment, when it starts. Lists are separated by commas. An empty value counts
as unset where nothing is the default. A value that makes no sense stops the start with its name; one that only a
provider can judge (`ORC_ENGINE_*`, `ORC_DOCKER_*`, `ORC_PROXY_*`) is named in the log, by `orc doctor` and on the page
Systems.
"""
_ORCA_YAML = """\
# orca.yaml, key by key

Made from the JSON Schema that `GET /api/v1/schemas/orca.yaml.json` publishes. Every key is optional, and a key that is
not listed here is refused with its line and column. [How the file is used](../orca-yaml.md) is a page of its own.

## At the top
"""
_ERRORS = """\
# Troubleshooting by error code

Every failure has a `code` that stays the same, whatever its text says: in the API's problem document, in
`orc … --json`, and on a deployment that failed. A status belongs to answers of the API; codes without one usually end
a deployment.
"""
_EVENTS = """\
# Events

What happened is written down once, in the transaction in which it happened, and never changed. The panel shows it under
Activity; `GET /api/v1/events` lists it and `GET /api/v1/events/stream` follows it. No payload holds a secret.

"""
_PERMISSIONS = """\
# Permissions and roles

A role gives permissions in one team. An API token has the permissions among its scopes, as long as its owner still has
them too. Admins can do what owners can, except making or unmaking owners. Those of an “instance admin” below are
about all teams and belong to no role: they come with being an instance administrator, as the first owner is. A role
on a part of a team (`orc grants`) has only the permissions that are marked so.

"""


def render_pages() -> dict[str, str]:
    """File name -> Markdown of every generated page."""
    return {
        "orca-yaml.md": render_orca_yaml(orca_file_schema()),
        "cli.md": render_reference(),
        "api.md": render_api(describe_api(create_app(Settings()))),
        "settings.md": render_settings(),
        "errors.md": render_errors(read_texts("errors.yml")),
        "events.md": render_events(read_texts("events.yml")),
        "permissions.md": render_permissions(),
    }


def read_texts(name: str) -> dict[str, str]:
    """A hand-written table of docs/: key -> text."""
    texts: dict[str, str] = yaml.safe_load((DOCS / name).read_text())
    return texts


def cell(text: object) -> str:
    """Text that stays in one cell of a table."""
    parts = " ".join(str(text).split()).replace("|", "\\|").split("`")
    return "`".join(part if quoted % 2 else part.replace("<", "&lt;") for quoted, part in enumerate(parts))


def table(head: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(map(cell, row))} |" for row in rows]
    return "\n".join(lines) + "\n"


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def render_settings() -> str:
    """Settings by group."""
    groups: dict[str, list[tuple[object, ...]]] = {}
    for variable, group, _, field in settings_fields():
        row = (f"`{variable}`", _default(field), (field.description or "") + _bounds(field))
        groups.setdefault(group, []).append(row)
    parts = [_SETTINGS]
    for group, rows in groups.items():
        parts.append(f"## {group.replace('_', ' ').capitalize() or 'The server'}\n")
        parts.append(table(("variable", "default", "what it does"), iter(rows)))
    return "\n".join(parts)


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None or value == () or value is PydanticUndefined:
        return "unset"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{','.join(value) if isinstance(value, tuple) else value}`"


def _bounds(field: FieldInfo) -> str:
    allowed = getattr(field.annotation, "__args__", ())
    if allowed and all(isinstance(each, str) for each in allowed):
        return " One of " + ", ".join(f"`{each}`" for each in allowed) + "."
    return " Keep it secret." if SecretStr in allowed else ""


# ── orca.yaml ────────────────────────────────────────────────────────────────────────────────────────────────────────


def render_orca_yaml(schema: Mapping[str, Any]) -> str:
    """All keys of orca.yaml, each object of its own below."""
    parts = [_ORCA_YAML, _properties(schema)]
    for name, part in schema["$defs"].items():
        parts += [f"## {name}\n", part.get("description", "") + "\n", _properties(part)]
    return "\n".join(parts)


def _properties(part: Mapping[str, Any]) -> str:
    required = part.get("required", [])
    rows = (
        (
            f"`{name}`",
            kind_of(each),
            "required" if name in required else _plain(each.get("default")),
            each.get("description", "") + _limits(each),
        )
        for name, each in part.get("properties", {}).items()
    )
    return table(("key", "type", "default", "meaning"), rows)


def kind_of(schema: Mapping[str, Any]) -> str:
    """What a value may be, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return " or ".join(f"`{each}`" for each in schema["enum"])
    if "anyOf" in schema:
        shown = (each for each in schema["anyOf"] if each.get("type") != "null" and not each.get("deprecated"))
        return " or ".join(kind_of(each) for each in shown)
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {kind_of(schema['items'])}"
    values = [schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()]
    if kind == "object" and (found := next((each for each in values if isinstance(each, Mapping)), None)):
        return f"map to {kind_of(found)}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _plain(value: Any) -> str:
    empty: tuple[object, ...] = (None, [], {})
    return "" if value in empty or isinstance(value, dict) else f"`{json.dumps(value)}`"


def _limits(schema: Mapping[str, Any]) -> str:
    known = {
        "minimum": "at least {:,}", "exclusiveMinimum": "more than {:,}", "maximum": "at most {:,}",
        "maxItems": "at most {:,}", "maxLength": "at most {:,} characters",
    }  # fmt: skip
    inner = [schema, *(each for each in schema.get("anyOf", []) if each.get("type") != "null")]
    inner = [each for each in inner if not isinstance(each.get("type"), list) or "maxLength" in each]
    said = [words.format(each[key]) for each in inner for key, words in known.items() if key in each]
    return f" ({'; '.join(said)})" if said else ""


# ── API ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def render_api(document: Mapping[str, Any]) -> str:
    """Every operation by tag."""
    parts = ["# HTTP API\n", document["info"]["description"]]
    parts.append("The panel shows this page at `/api/docs` and the OpenAPI document at `/api/openapi.json`.\n")
    for tag, group in operations(dict(document)).items():
        parts.append(f"## {tag.capitalize()}\n")
        parts.extend(_render_operation(operation) for operation in group)
    return "\n".join(parts)


def _render_operation(operation: Operation) -> str:
    parts = [f"### {operation.summary}\n\n`{operation.method} {operation.path}`\n\n{operation.description}\n"]
    if operation.body:
        parts.append(f"Takes a body: `{operation.body}`.\n")
    rows = ((f"`{name}`", place, text) for name, place, text, _ in operation.parameters if place == "query")
    if any(place == "query" for _, place, _, _ in operation.parameters):
        parts.append(table(("parameter", "in", "meaning"), rows))
    return "\n".join(parts)


# ── errors, events, permissions ──────────────────────────────────────────────────────────────────────────────────────


def import_everything() -> None:
    """Every module of Orca, so that every class of error is known."""
    for module in pkgutil.walk_packages(orca.__path__, "orca."):
        in_versions = module.name.startswith("orca.migrations.versions")
        if module.name not in NO_MODULES and not in_versions and not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def error_classes() -> dict[str, type[OrcaError]]:
    """Each code, and the class that introduced it."""
    import_everything()
    return all_codes()


def render_errors(remedies: Mapping[str, str]) -> str:
    """Troubleshooting by code."""
    parts = [_ERRORS]
    for code, known in error_classes().items():
        status = f" HTTP {known.status}." if known.status != OrcaError.status or code == OrcaError.code else ""
        parts.append(f"## {code}\n\n{meaning_of(known)}{status}\n\n**What to do:** {remedies[code].strip()}\n")
    return "\n".join(parts)


def event_types() -> set[str]:
    """Every type that the source records: literals in `Fact(...)`, and in calls that hand their argument on to it."""
    return {name for path in (ROOT / "src" / "orca").rglob("*.py") for name in _facts_in(ast.parse(path.read_text()))}


def _facts_in(tree: ast.Module) -> Iterator[str]:
    makers = {"Fact": 0}
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            names = [each.arg for each in function.args.args]
            passed = {each.args[0].id for each in _calls(function, {"Fact"}) if isinstance(each.args[0], ast.Name)}
            makers.update((function.name, names.index(name)) for name in passed & set(names))
    for call in _calls(tree, makers):
        position = makers[call.func.id] if isinstance(call.func, ast.Name) else 0
        if position < len(call.args) and isinstance(call.args[position], ast.Constant):
            yield str(ast.literal_eval(call.args[position]))


def _calls(tree: ast.AST, names: Mapping[str, int] | set[str]) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names and node.args:
            yield node


def render_events(texts: Mapping[str, str]) -> str:
    """Events by name."""
    return _EVENTS + table(("event", "what it tells"), ((f"`{name}`", text) for name, text in sorted(texts.items())))


def render_permissions() -> str:
    """Permissions and who has them."""
    rows = (
        (
            f"`{name}`",
            text,
            ", ".join(role for role, granted in all_roles().items() if name in granted) or "instance admin",
            "yes" if name in permissions_of_grant("admin") else "",
        )
        for name, text in sorted(all_permissions().items())
    )
    former = [
        [f"`{name}`", ", ".join(f"`{each}`" for each in sorted(names))]
        for name, names in sorted(renamed_permissions().items())
    ]
    return (
        _PERMISSIONS
        + table(("permission", "what it lets one do", "roles", "in grants"), rows)
        + "\nFormer names, which the scopes of API tokens may still have:\n\n"
        + table(("former name", "now"), former)
    )
