"""The JSON Schema of `orca.yaml`: that of its models, extended by what the parser also accepts."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, Literal

from pydantic import BaseModel

from orca.features.services.schemas.settings import KIND_ALIASES
from orca.kit.yaml import YamlPath

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
Written = Literal["anything", "whole"]
"""What is accepted as literal text: any number, `true` and `false`; or only a whole number."""
WRITTEN: Final[Mapping[tuple[str, ...], Written]] = {
    ("name",): "anything",
    ("variables", "*"): "anything",
    ("command", "*"): "anything",
    ("release_command", "*"): "anything",
    ("health", "command", "*"): "anything",
    ("build", "arguments", "*"): "anything",
    ("build", "options", "*"): "anything",
    ("build", "target"): "whole",
    ("user",): "whole",
    ("ports", "*", "name"): "whole",
    ("volumes", "*", "name"): "whole",
    ("volumes", "*", "owner"): "whole",
    ("volumes", "*", "mode"): "whole",
    ("runtime", "files", "*", "mode"): "whole",
}
MOST: Final = 10**15
"""Parsers differ in how they read larger whole numbers."""
_MOST: Final = {"owner": 999_999_999, "mode": 7777}
_IS_COMMAND: Final = {"properties": {"type": {"const": "command"}}, "required": ["type"]}
_HAS_COMMAND: Final = {"required": ["command"], "properties": {"command": {"minItems": 1}}}
_HAS_NONE: Final = {"properties": {"command": {"maxItems": 0}}}
_ONE_SOURCE: Final = [{"required": [name], "properties": {name: {"type": "string"}}} for name in ("content", "secret")]


def written_at(path: YamlPath) -> Written | None:
    """Return what is accepted as literal text at a path of the file; None where only a string is."""
    for place, written in WRITTEN.items():
        if len(place) == len(path) and all(part in {"*", step} for part, step in zip(place, path, strict=True)):
            return written
    return None


@cache
def render_schema(model: type[BaseModel], title: str) -> Mapping[str, Any]:
    """Return the schema to publish. It also accepts an empty file."""
    schema = {"$schema": _DIALECT, **model.model_json_schema(), "title": title, "type": ["object", "null"]}
    for place, written in WRITTEN.items():
        _widen(_find(schema, schema, place), written, _MOST.get(place[-1], MOST))
    kind = schema["properties"]["kind"]
    kind["anyOf"].append({"enum": sorted(KIND_ALIASES), "deprecated": True})
    schema["$defs"]["HealthCheck"] |= {"if": _IS_COMMAND, "then": _HAS_COMMAND, "else": _HAS_NONE}
    schema["$defs"]["RuntimeFile"] |= {"oneOf": _ONE_SOURCE}
    for definition in (schema, *schema["$defs"].values()):
        for found in definition["properties"].values():
            if "patternProperties" in found:
                found["additionalProperties"] = False
    return schema


def _find(schema: dict[str, Any], whole: Mapping[str, Any], place: tuple[str, ...]) -> dict[str, Any]:
    """Return the schema of the text at a path."""
    if "$ref" in schema:
        return _find(whole["$defs"][schema["$ref"].rpartition("/")[2]], whole, place)
    if "anyOf" in schema:
        return _find(next(choice for choice in schema["anyOf"] if choice["type"] != "null"), whole, place)
    if not place:
        return schema
    name, *rest = place
    if name != "*":
        return _find(schema["properties"][name], whole, tuple(rest))
    inner = schema.get("items") or next(iter(schema.get("patternProperties", {}).values()))
    return _find(inner, whole, tuple(rest))


def _widen(schema: dict[str, Any], written: Written, most: int) -> None:
    if written == "anything":
        schema["type"] = ["string", "number", "boolean"]
    else:
        schema |= {"type": ["string", "integer"], "minimum": 0, "maximum": most}
