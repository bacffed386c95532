"""The names of projects and services in addresses. Pure decisions."""

import unicodedata
from collections.abc import Collection

from orca.kit.ids import slugify

_SLUG_LIMIT = 40


def choose_slug(name: str, taken: Collection[str], *, otherwise: str) -> str:
    """`Café Menu` -> `cafe-menu`, or `cafe-menu-2` when that is taken; `otherwise` where no letter is left."""
    plain = unicodedata.normalize("NFKD", name)
    base = slugify("".join(character for character in plain if not unicodedata.combining(character))) or otherwise
    candidate, number = base, 1
    while candidate in taken:
        number += 1
        ending = f"-{number}"
        candidate = base[: _SLUG_LIMIT - len(ending)].rstrip("-") + ending
    return candidate
