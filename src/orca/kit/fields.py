"""Field types that request bodies of many features share, so that a name is a name everywhere."""

import unicodedata
from typing import Annotated, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

_HIDDEN = {"Cc", "Cf", "Zl", "Zp", "Co", "Cs"}
"""Unicode categories that are invisible, or that change how the rest is displayed."""


class Output(BaseModel):
    """Base of response models. The validator is built at first use, because most are not needed for a long time."""

    model_config = ConfigDict(defer_build=True)


class Strict(BaseModel):
    """Base of models that refuse unknown keys, so that a typo is not ignored."""

    model_config = ConfigDict(extra="forbid")


class Changes(Strict):
    """Base of partial updates: omitted fields are unchanged. Null is refused, except where it has a meaning."""

    may_be_null: ClassVar[frozenset[str]] = frozenset()

    @field_validator("*", mode="before")
    @classmethod
    def _is_given(cls, value: object, info: ValidationInfo) -> object:
        if value is None and info.field_name not in cls.may_be_null:
            raise ValueError("must not be null; leave it out to keep what is there")
        return value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema without the nulls that are refused."""
        schema = handler(core)
        for name, field in handler.resolve_ref_schema(schema)["properties"].items():
            kept = [choice for choice in field.get("anyOf", ()) if choice != {"type": "null"}]
            if name not in cls.may_be_null and len(kept) < len(field.get("anyOf", ())):
                del field["anyOf"]
                field.pop("default", None)
                field.update(kept[0] if len(kept) == 1 else {"anyOf": kept})
        return schema


def normalise_name(text: str) -> str:
    """Normalise names that look the same to one spelling: composed characters, single spaces.

    Raises ValueError for hidden characters, and for a name without any visible character.
    """
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise ValueError("must not be empty")
    if any(unicodedata.category(character) in _HIDDEN for character in name):
        raise ValueError("control characters and invisible characters are not allowed")
    return " ".join(name.split())


def without_nul(text: str) -> str:
    """Return the text. Raises ValueError if it contains a NUL, which no process argument or variable can contain."""
    if "\x00" in text:
        raise ValueError("NUL bytes are not allowed")
    return text


Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100),
    AfterValidator(normalise_name),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 100, "pattern": r"\S"}),
]
"""A display name; never used as an identifier."""
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$")]
"""A name for URLs and hostnames."""
Identifier = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
"""The id of a row."""
