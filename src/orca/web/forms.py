"""HTML forms: what people typed becomes a model, or a list of what is wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData

from orca.errors import OrcaError
from orca.kit.text import join
from orca.kit.validation import explain

VERBATIM = "value"
"""The field whose text is kept as it was typed."""
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Filled(Generic[Model]):
    """A form as it was filled in: what was typed, what is wrong, and the model when nothing is."""

    values: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    model: Model | None = None

    @property
    def status(self) -> int:
        """With which the form is drawn: 422 when something is wrong with it."""
        return 422 if self.errors else 200

    def refused(self, error: OrcaError) -> "Filled[Model]":
        """The same form after the action said no; errors of fields stand at the fields."""
        fields: Mapping[str, str] = error.details.get("fields") or {}
        text = join(error.message, error.hint) if error.hint else error.message
        return Filled(self.values, dict(fields) or {"": text})


def fill(model: type[Model], data: Mapping[str, Any], values: Mapping[str, str]) -> Filled[Model]:
    """Validate `data`, made from the typed `values`."""
    try:
        return Filled(values, model=model.model_validate(data))
    except ValidationError as error:
        problems = {".".join(str(part) for part in each["loc"]): explain(each) for each in error.errors()}
        return Filled(values, problems)


async def _form(request: Request) -> dict[str, str]:
    form: FormData = await request.form(max_fields=200, max_files=0)
    return {key: _typed(key, value) for key, value in form.items() if isinstance(value, str) and key != "csrf_token"}


def _typed(name: str, value: str) -> str:
    """Browsers send every line end as CR LF. The value of a variable is kept to the last of them."""
    return value.replace("\r\n", "\n") if name == VERBATIM else value.strip()


Form = Annotated[dict[str, str], Depends(_form)]
"""The text fields of a posted form, without the anti-forgery token."""
