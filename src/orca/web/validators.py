"""Validators of request fields by functions that raise BadInput."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from pydantic import AfterValidator

from orca.errors import BadInput
from orca.kit.text import join

Given = TypeVar("Given")
Parsed = TypeVar("Parsed")


def _translated(parse: Callable[[Given], Parsed], value: Given) -> Parsed:
    try:
        return parse(value)
    except BadInput as error:
        raise ValueError(join(error.message, error.hint)) from None


def parsed_by(parse: Callable[[Given], object]) -> AfterValidator:
    """Return a validator that keeps a value as it was written, if `parse` accepts it."""

    def check(value: Given) -> Given:
        _translated(parse, value)
        return value

    return AfterValidator(check)


def normalised_by(parse: Callable[[str], str]) -> AfterValidator:
    """Return a validator that replaces a text by the result of `parse`."""
    return AfterValidator(partial(_translated, parse))
