"""What pydantic finds is told without its own words."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from orca.kit.validation import explain


def _refuse(_: str) -> str:
    raise ValueError("names a place that is not there")


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Sample(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field("a", min_length=1, max_length=3, pattern="^[a-z]*$")
    code: str = Field("aaa", min_length=3)
    count: int = Field(7, ge=6, le=9)
    share: float = Field(0.5, gt=0, lt=1)
    flag: bool = False
    mode: Literal["off", "on"] = "off"
    items: list[int] = Field([1], min_length=1, max_length=2)
    map: dict[str, str] = {}
    inner: Cat | None = None
    animal: Annotated[Cat | Dog, Field(discriminator="kind")] = Dog(kind="dog")
    place: Annotated[str, AfterValidator(_refuse)] = ""


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": ""}, "must not be empty"),
        ({"name": "abcd"}, "must have at most 3 characters"),
        ({"name": "A"}, "has a form or characters that are not allowed here"),
        ({"name": 3}, "must be text"),
        ({"code": "a"}, "must have at least 3 characters"),
        ({"count": 5}, "must be at least 6"),
        ({"count": 10}, "must be at most 9"),
        ({"count": "many"}, "must be a whole number"),
        ({"count": 6.5}, "must be a whole number"),
        ({"count": None}, "must be a whole number"),
        ({"share": 0}, "must be more than 0"),
        ({"share": 1}, "must be less than 1"),
        ({"share": "x"}, "must be a number"),
        ({"flag": "perhaps"}, "must be true or false"),
        ({"mode": "auto"}, "must be 'off' or 'on'"),
        ({"items": []}, "must not be empty"),
        ({"items": [1, 2, 3]}, "must have at most 2 entries"),
        ({"items": 1}, "must be a list"),
        ({"map": 1}, "must be an object"),
        ({"inner": 1}, "must be an object"),
        ({"inner": {}}, "is missing"),
        ({"animal": {}}, "needs a 'kind'"),
        ({"animal": {"kind": "cow"}}, "has the 'kind' 'cow', but must have one of 'cat', 'dog'"),
        ({"other": 1}, "is not known here"),
        ({"place": "x"}, "names a place that is not there"),
    ],
)
def test_a_problem_in_plain_words(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Sample.model_validate(given)
    (problem,) = caught.value.errors()
    assert explain(problem) == words
