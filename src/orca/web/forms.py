"""HTML forms: parses the submitted values into a model, or a list of errors."""

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
"""The field whose text is not stripped; of several, such as `file_0_value`, the last word."""
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Filled(Generic[Model]):
    """A submitted form: the values, the errors, and the model when there are none."""

    values: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    model: Model | None = None

    @property
    def status(self) -> int:
        """The HTTP status of the rendered form: 422 when it has errors."""
        return 422 if self.errors else 200

    def refused(self, error: OrcaError) -> "Filled[Model]":
        """Return the form with the error of a refused action; errors of fields are shown at the fields."""
        fields: Mapping[str, str] = error.details.get("fields") or {}
        text = join(error.message, error.hint) if error.hint else error.message
        return Filled(self.values, dict(fields) or {"": text})


def fill(model: type[Model], data: Mapping[str, Any], values: Mapping[str, str]) -> Filled[Model]:
    """Validate `data`, which was made from the submitted `values`."""
    try:
        return Filled(values, model=model.model_validate(data))
    except ValidationError as error:
        problems = {".".join(str(part) for part in problem["loc"]): explain(problem) for problem in error.errors()}
        return Filled(values, problems)


async def _form(request: Request) -> dict[str, str]:
    form: FormData = await request.form(max_fields=200, max_files=0)
    return {key: _typed(key, value) for key, value in form.items() if isinstance(value, str) and key != "csrf_token"}


def _typed(name: str, value: str) -> str:
    """Convert line ends, which browsers send as CR LF, to LF in a variable's value; strip all other fields."""
    return value.replace("\r\n", "\n") if name.rpartition("_")[2] == VERBATIM else value.strip()


Form = Annotated[dict[str, str], Depends(_form)]
"""The text fields of a posted form, without the anti-forgery token."""
