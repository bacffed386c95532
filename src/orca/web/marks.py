"""Marks in rendered text, around the elements of a fragment that change by themselves, such as rows."""

from dataclasses import dataclass

PART, PART_END = "\x1e", "\x1f"
"""Around one element with an id; templates write `{{ PART }}<tr id="…">…</tr>{{ PART_END }}`. No page contains them."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A fragment without its marks, what is between the marked elements, and these."""

    text: str
    outline: tuple[str, ...]
    parts: dict[str, str]
    """By the place and the beginning of the element: with another id it is another element."""


def read_fragment(text: str) -> Fragment:
    """Read rendered text with marks."""
    first, *pieces = text.split(PART)
    outline, parts = [first], {}
    for place, piece in enumerate(pieces):
        part, _, after = piece.partition(PART_END)
        name = f"{place} {_opening(part)}"
        parts[name] = part
        outline += [name, after]
    return Fragment(without_marks(text), tuple(outline), parts)


def without_marks(text: str) -> str:
    """Return the text as pages contain it."""
    return text.replace(PART, "").replace(PART_END, "")


def _opening(part: str) -> str:
    """Return tag and id: templates write the id first."""
    return part[: part.find('"', part.find('id="') + 4) + 1]
