"""Field types that request bodies of many features share, so that a name is a name everywhere."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

_HIDDEN = {"Cc", "Cf", "Zl", "Zp", "Co", "Cs"}
"""Unicode categories that are not seen, or that change how the rest is read."""


class Strict(BaseModel):
    """Unknown keys are refused: a typo must not be ignored."""

    model_config = ConfigDict(extra="forbid")


def normalise_name(text: str) -> str:
    """One spelling of what looks the same: composed characters, single spaces. ValueError for hidden characters."""
    name = unicodedata.normalize("NFC", text)
    if any(unicodedata.category(each) in _HIDDEN for each in name):
        raise ValueError("control characters and invisible characters are not allowed")
    return " ".join(name.split())


def without_nul(text: str) -> str:
    """The text itself; ValueError where it holds a NUL, which no process argument or variable can carry."""
    if "\x00" in text:
        raise ValueError("NUL bytes are not allowed")
    return text


Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(normalise_name)
]
"""What people call a thing; shown, never used as an identifier anywhere."""
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$")]
"""A name for URLs and hostnames."""
Identifier = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
"""The id of a row."""
