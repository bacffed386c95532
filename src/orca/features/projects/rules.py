"""The names of projects, environments and services in addresses. Pure decisions."""

import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from anyascii import anyascii

from orca.errors import BadInput, Conflict, OrcaError
from orca.kit.ids import slugify

FIRST_ENVIRONMENT = "production"
"""Slug of the environment with which every project starts."""
MAX_ENVIRONMENTS = 50
"""Of a project."""
_SLUG_LIMIT = 40
_ENDING_LIMIT = 19
_WORDS = "LNM"
"""Unicode categories that are spelled out: letters, numbers, and marks on them. An emoji is no part of a slug."""

_SIGNS = {ord(sign): None for sign in "'`\""}
"""What spells letters without a sound, such as the soft sign; it does not part words."""


def network_of(environment_id: str) -> str:
    """Return the network of an environment on an engine: what is not in it does not reach its services."""
    return f"orca-{environment_id}"


def spell_slug(name: str) -> str:
    """`Café Menü` -> `cafe-menu`, `витрина` -> `vitrina`; empty where no slug can be made of a name.

    Ideographs are not spelled out: how they are read depends on the language, which nothing here says.
    """
    if any(unicodedata.name(character, "").startswith("CJK ") for character in name):
        return ""
    return slugify("".join(_spell(character) for character in name))


def _spell(character: str) -> str:
    if character.isascii():
        return character
    if unicodedata.category(character)[0] not in _WORDS:
        return " "
    return anyascii(character).translate(_SIGNS)


def number_slug(base: str, taken: Collection[str]) -> str:
    """`shop` -> `shop`, or `shop-2` when that is taken: a proposal, which is used only when a user agrees."""
    candidate, number = base, 1
    while candidate in taken:
        number += 1
        ending = f"-{number}"
        candidate = base[: _SLUG_LIMIT - len(ending)].rstrip("-") + ending
    return candidate


@dataclass(frozen=True, slots=True)
class Naming:
    """Gives slugs to things of one kind, so that no two are mistaken: those of one name are told apart on purpose."""

    noun: str
    """`project`, `environment`, `service`."""
    taken: Mapping[str, str]
    """Slug -> name of those that exist."""
    namesakes: Collection[str] = ()
    """Slugs of those whose names may be used again, as they are in another environment."""
    ending: str = ""
    """What ends the slugs that are spelled from names, as `staging` does in `web-staging`."""

    def spell(self, name: str) -> str:
        """Return the slug that a name gives here, taken or not; empty where it gives none."""
        spelled, ending = spell_slug(name), self.ending[:_ENDING_LIMIT].rstrip("-")
        if not spelled or not ending:
            return spelled
        return f"{spelled[: _SLUG_LIMIT - len(ending) - 1].rstrip('-')}-{ending}"

    def choose_slug(self, name: str, slug: str | None) -> str:
        """Return the slug of a new thing. Raises Conflict, and BadInput, for a name that needs a slug beside it."""
        if slug is None:
            self.check_name(name)
        if slug is None and not spell_slug(name):
            hint = "Add a `slug` of a-z, 0-9 and dashes: it is part of hostnames."
            fields = {"slug": "cannot be made from this name; type one of a-z, 0-9 and dashes"}
            raise BadInput(f"the name of the {self.noun} gives no slug", hint=hint, fields=fields)
        chosen = slug or self.spell(name)
        if chosen in self.taken:
            raise self.slug_taken(chosen)
        return chosen

    def check_name(self, name: str) -> None:
        """Raise Conflict when another thing has the name, capitals apart."""
        for slug, other in self.taken.items():
            if other.casefold() == name.casefold() and slug not in self.namesakes:
                raise Conflict(
                    f"there is already a {self.noun} with the name “{other}” (slug {slug})",
                    hint="Choose another name, or tell them apart by a slug.",
                    fields={"name": f"is the name of another {self.noun} already, with the slug {slug}"},
                )

    def slug_taken(self, slug: str) -> OrcaError:
        """Return the refusal of a slug, with one that is free."""
        free = number_slug(slug, {slug, *self.taken})
        return Conflict(
            f"there is already a {self.noun} with the slug “{slug}”",
            hint=f"Choose another slug, such as “{free}”.",
            fields={"slug": f"{slug} is taken; {free} is free"},
        )


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a form shows beside the name while it is typed."""

    slug: str = ""
    note: str = ""
    """Why there is no slug, or not the one that the name spells."""


@dataclass(frozen=True, slots=True)
class SlugFragment:
    """What `projects/_slug.html` shows."""

    proposal: Proposal


def propose_slug(naming: Naming, name: str) -> Proposal:
    """Return the slug that a form should hold for a name, and what the user should know about it."""
    name = unicodedata.normalize("NFC", name).strip()
    if not name:
        return Proposal()
    spelled = naming.spell(name)
    try:
        return Proposal(naming.choose_slug(name, None))
    except OrcaError as error:
        fields: Mapping[str, str] = error.details["fields"]
    if "name" in fields:
        return Proposal(note=f"This name {fields['name']}. Type a slug that tells them apart.")
    if not spelled:
        return Proposal(note="Type a slug: a-z, 0-9 and dashes. None can be made from this name.")
    return Proposal(number_slug(spelled, naming.taken), f"{spelled} is taken.")
