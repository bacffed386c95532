"""Explains validation errors in plain words: a phrase that ends a sentence for each type of pydantic's errors."""

from collections.abc import Mapping
from typing import Any, Final

_WORDS: Final = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "string_pattern_mismatch": "has a form or characters that are not allowed here",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "union_tag_invalid": "has the {discriminator} '{tag}', but must have one of {expected_tags}",
    "union_tag_not_found": "needs a {discriminator}",
    "json_invalid": "is not valid JSON: {error}",
}
_KINDS: Final = {
    "int": "a whole number", "float": "a number", "decimal": "a number", "bool": "true or false", "string": "text",
    "list": "a list", "tuple": "a list", "set": "a list", "dict": "an object", "model": "an object",
    "datetime": "a date with a time", "date": "a date", "finite": "a finite number", "none": "null", "url": "a URL",
}  # fmt: skip
_KIND_ENDINGS: Final = ("_type", "_parsing", "_from_float", "_attributes_type", "_parsing_size", "_required", "_number")


def explain(problem: Mapping[str, Any]) -> str:
    """Explain one of `ValidationError.errors()`; messages that Orca's own validators raise are returned unchanged."""
    kind, context = str(problem["type"]), problem.get("ctx", {})
    if kind in {"string_too_short", "too_short"} and context.get("min_length") == 1:
        return "must not be empty"
    if kind in _WORDS:
        return _WORDS[kind].format_map({name: _plain(value) for name, value in context.items()})
    for ending in _KIND_ENDINGS:
        if kind.endswith(ending) and kind.removesuffix(ending) in _KINDS:
            return f"must be {_KINDS[kind.removesuffix(ending)]}"
    return str(problem["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")


def _plain(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value
