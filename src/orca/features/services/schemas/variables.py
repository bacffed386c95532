"""The API's models of variables."""

import json
import re
from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from orca.features.services import rules
from orca.kit.fields import Output, Strict, without_nul

_VARIABLE_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")


def _value(value: str) -> str:
    if len(value.encode()) > rules.MAX_VALUE_BYTES:
        raise ValueError(f"a value may have {rules.MAX_VALUE_BYTES:,} bytes at most; put larger things into a volume")
    return without_nul(value)


Value = Annotated[
    str,
    AfterValidator(_value),
    WithJsonSchema({"type": "string", "maxLength": rules.MAX_VALUE_BYTES, "pattern": r"^[^\x00]*$"}),
]
"""The value of a variable: any bytes that can be passed to a process."""


def _variable_key(value: str) -> str:
    if not _VARIABLE_KEY.fullmatch(value):
        raise ValueError("use letters, digits, underscores, dots and dashes, beginning with a letter or underscore")
    return value


def _argument_key(value: str) -> str:
    if not rules.is_shell_name(value):
        raise ValueError("use letters, digits and underscores, not beginning with a digit")
    return _variable_key(value)


VariableKey = Annotated[
    str, AfterValidator(_variable_key), WithJsonSchema({"type": "string", "pattern": f"^{_VARIABLE_KEY.pattern}$"})
]
"""A name that an engine can pass to a process; a shell cannot read names with dots or dashes, but programs can."""
ArgumentKey = Annotated[
    str, AfterValidator(_argument_key), WithJsonSchema({"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,127}$"})
]
"""A name that a Dockerfile can declare with ARG."""


class BuildVariables(BaseModel):
    """The variables of a build. Plain ones may stay readable in the image, secret ones must not."""

    plain: dict[str, str] = {}
    secret: dict[str, str] = {}

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse stored variables, also those of an earlier version, which did not store which ones are secret."""
        values = json.loads(text)
        return cls(**values) if all(isinstance(value, dict) for value in values.values()) else cls(secret=values)


class VariableFields(Strict):
    """A variable. Without a value, the stored one stays; secret values are never read back."""

    value: Value | None = Field(None, repr=False)
    is_secret: bool = False
    is_build_time: bool = Field(False, description="Also given to the build, as a build secret.")


class NamedVariable(VariableFields):
    """A variable and its key."""

    key: VariableKey


class Variables(Strict):
    """All variables of a project or service: those not listed are deleted."""

    variables: list[NamedVariable] = Field(max_length=rules.MAX_VARIABLES)


class VariableChanges(Strict):
    """Variables to set, and keys to remove; all others stay."""

    variables: list[NamedVariable] = Field([], max_length=rules.MAX_VARIABLES)
    removed: list[VariableKey] = Field([], max_length=rules.MAX_VARIABLES)


class VariableOut(Output):
    """A variable; the value of a secret one is always null."""

    model_config = ConfigDict(from_attributes=True)

    key: str
    value: str | None
    is_secret: bool
    is_build_time: bool
    updated_at: datetime


class Revealed(Output):
    """The value of one variable, on request."""

    key: str
    value: str
