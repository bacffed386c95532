"""What the command palette offers for some words: where to go, and what to do with a service. Without IO."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from itertools import islice
from operator import attrgetter
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from orca.features import load_features
from orca.features.manifest import Verb
from orca.web.guard import Subject
from orca.web.nav import NavItem
from orca.web.rights import ObjectScope

_MENTIONED = re.compile(r"/(services|projects|deployments)/([A-Za-z0-9_-]{1,64})(?:/|$)")
_FILLERS: Final = frozenset({"of", "in", "the", "a", "to", "service", "services"})
_ACTED_ON: Final = 3
"""For so many found services actions are offered, too."""
_UNASKED: Final = 3
"""So many of each when only its name was said."""
_LEAST_CORRECTED: Final = 4
_LONGEST_WORD: Final = 40
_SIMILARITY: Final = 0.72
_RECENT: Final = 6
_RECENT_TEXT: Final = 1000


class FoundService(NamedTuple):
    """A service that was found."""

    id: str
    name: str
    state: str
    """`running` or `stopped`, as it is wanted; `new` when no release is live yet."""
    project_id: str
    project: str
    deployable: bool = True
    """Not before a folder was sent, where that is the source."""
    environment_id: str = ""
    system_id: str = ""

    def scope(self, team_id: str) -> ObjectScope:
        """Return where it belongs."""
        return ObjectScope(team_id, self.project_id, self.environment_id, self.system_id)


class FoundProject(NamedTuple):
    """A project that was found."""

    id: str
    name: str

    def scope(self, team_id: str) -> ObjectScope:
        """Return where it belongs."""
        return ObjectScope(team_id, self.id)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. `posts`: it does something, by the same form as the page has; else it leads somewhere."""

    label: str
    href: str
    icon: str
    note: str = ""
    posts: bool = False
    theme: str = ""
    """Instead of leading somewhere, it chooses this theme."""


@dataclass(frozen=True, slots=True)
class EntryGroup:
    """Entries under one heading."""

    label: str
    items: Sequence[Entry]


_GROW: Final = "New service in {}"


@cache
def _verbs() -> tuple[Verb, ...]:
    """Return the verbs of all features, in order. The first must be harmless: Enter without a word takes it."""
    return tuple(sorted((verb for feature in load_features() for verb in feature.verbs), key=attrgetter("order")))


class ServiceSelection(NamedTuple):
    """With which things something that was said can be done: those called so, and wanted in this state, if any."""

    names: tuple[str, ...]
    """Each is a part of the name."""
    state: str = ""


@dataclass(frozen=True, slots=True)
class ParsedInput:
    """What was typed: what it may be called, and what it says to do with which services, and in which projects."""

    said: tuple[str, ...]
    wishes: frozenset[ServiceSelection] = frozenset()
    grows: frozenset[ServiceSelection] = frozenset()

    @property
    def says_what(self) -> bool:
        """Whether something to do was said, not only a name."""
        return bool(self.wishes or self.grows)

    def fit(self, entry: Entry) -> bool:
        """Whether every word is in the label; fillers need not be."""
        label = entry.label.lower()
        return all(word in label for word in self.said if word not in _FILLERS)


def read_words(text: str) -> ParsedInput:
    """`restart web` -> to be done with running services called `web`. Two letters may begin a word of a verb."""
    said = tuple(text.lower().split())
    wishes = {
        ServiceSelection(_rest(said, verb.label), verb.only_when) for verb in _verbs() if _is_named(said, verb.label)
    }
    grows = {ServiceSelection(_rest(said, _GROW))} if _is_named(said, _GROW) else set()
    return ParsedInput(said, frozenset(wishes), frozenset(grows))


def _words_of(label: str) -> set[str]:
    return {word.strip("{}…") for word in label.lower().split()} - _FILLERS - {""}


def _is_named(said: Iterable[str], label: str) -> bool:
    asked = [word for word in said if len(word) > 1 and word not in _FILLERS]
    return any(part.startswith(word) for word in asked for part in _words_of(label))


def _rest(said: Iterable[str], label: str) -> tuple[str, ...]:
    """What of it must be the name: neither a filler nor in the label, which is read as `ParsedInput.fit` reads it."""
    known = label.lower().replace("{}", " ")
    return tuple(word for word in said if word not in _FILLERS and word not in known)


def correct(words: ParsedInput, vocabulary: Collection[str]) -> ParsedInput | None:
    """Return the words with those that occur nowhere replaced by what is spelled much like them; None without such."""
    known = {*vocabulary, *(part for verb in _verbs() for part in _words_of(verb.label))}
    near = [_closest(word, known) for word in words.said]
    return read_words(" ".join(near)) if near != list(words.said) else None


def _closest(word: str, known: Collection[str]) -> str:
    if len(word) < _LEAST_CORRECTED or any(word in other for other in known):
        return word
    return next(iter(get_close_matches(word[:_LONGEST_WORD], known, 1, _SIMILARITY)), word)


def read_recent(text: str) -> list[tuple[str, str]]:
    """`services/ab,projects/cd` -> the kinds and ids, those that look like some."""
    places = (place_of(f"/{part}") for part in text[:_RECENT_TEXT].split(","))
    return list(dict.fromkeys(place for place in places if place and place[0] != "deployments"))[:_RECENT]


def place_of(address: str) -> tuple[str, str] | None:
    """What a page is about: (`services`, `projects` or `deployments`, id); None for none of these."""
    try:
        found = _MENTIONED.match(urlsplit(address).path)
    except ValueError:
        return None
    return (found[1], found[2]) if found else None


def service_entries(service: FoundService, subject: Subject) -> list[Entry]:
    """All that can be done with it."""
    return [
        Entry(
            verb.label.format(service.name),
            f"/services/{service.id}{verb.path}",
            verb.icon,
            service.project,
            verb.posts,
        )
        for verb in _verbs()
        if subject.can(verb.permission, service.scope(subject.team_id))
        and verb.only_when in {"", service.state}
        and (service.deployable or verb.path != "/deploy")
    ]


def new_service(project: FoundProject) -> Entry:
    """The form for another service in a project."""
    return Entry(_GROW.format(project.name), f"/projects/{project.id}/services/new", "plus")


def entries_of_place(service: FoundService | None, project: FoundProject | None, subject: Subject) -> list[Entry]:
    """All that can be done with what a page is about."""
    entries = service_entries(service, subject) if service else []
    if project and subject.can("service.create", project.scope(subject.team_id)):
        entries.append(new_service(project))
    return entries


@dataclass(frozen=True, slots=True)
class Finds:
    """What was looked up: things called so, and things with which something that was said can be done."""

    services: Sequence[FoundService]
    projects: Sequence[FoundProject]
    acted_on: Sequence[FoundService]
    grown: Sequence[FoundProject]


def found_groups(words: ParsedInput, subject: Subject, finds: Finds) -> list[EntryGroup]:
    """Services and projects by name, and what can be done; with nothing typed only where to go."""
    services = [Entry(service.name, f"/services/{service.id}", "box", service.project) for service in finds.services]
    projects = [Entry(project.name, f"/projects/{project.id}", "folder", "project") for project in finds.projects]
    shown = projects if subject.can_anywhere("project.read") else []
    return [
        EntryGroup("Services", services),
        EntryGroup("Do", _to_do(words, subject, finds)),
        EntryGroup("Projects", shown),
    ]


def _to_do(words: ParsedInput, subject: Subject, finds: Finds) -> list[Entry]:
    if not words.said:
        return []
    most = None if words.says_what else _UNASKED
    offers = (
        [service_entry for service_entry in service_entries(found, subject)[:most] if words.fit(service_entry)]
        for found in finds.acted_on
    )
    entries = [entry for offer in islice(filter(None, offers), _ACTED_ON) for entry in offer]
    made = [new_service(part) for part in finds.grown if subject.can("service.create", part.scope(subject.team_id))]
    made += [Entry("New project", "/projects", "plus")] if subject.can("project.create", subject.whole_team) else []
    return entries + [entry for entry in made if words.fit(entry)]


class Inside(NamedTuple):
    """Something of a service or a project: a hostname, the name of a variable, a deployment by its number."""

    label: str
    href: str
    owner: FoundService | FoundProject
    kind: "ObjectKind"


class ObjectKind(NamedTuple):
    """A kind of things inside of services."""

    heading: str
    icon: str
    permission: str


HOSTNAME: Final = ObjectKind("Hostnames", "globe", "route.read")
VARIABLE: Final = ObjectKind("Variables", "code", "variable.read")
DEPLOYMENT: Final = ObjectKind("Deployments", "rocket", "deployment.read")


def inside_groups(subject: Subject, found: Iterable[Inside]) -> list[EntryGroup]:
    """What was found inside of services, as far as the subject may see it."""
    allowed = [thing for thing in found if subject.can(thing.kind.permission, thing.owner.scope(subject.team_id))]
    return [
        EntryGroup(
            kind.heading,
            [Entry(thing.label, thing.href, kind.icon, thing.owner.name) for thing in allowed if thing.kind == kind],
        )
        for kind in (HOSTNAME, VARIABLE, DEPLOYMENT)
    ]


ACTIONS: Final = frozenset({"Do", "Theme"})
"""Headings of what does something; `>` asks for these alone."""
_THEMES: Final = (("auto", "as the system", "laptop"), ("light", "light", "sun"), ("dark", "dark", "moon"))
_HELP: Final = (
    Entry("API reference", "/api/docs", "code", "docs"),
    Entry("Errors and what to do", "/docs/errors", "alert", "docs"),
    Entry("Keyboard shortcuts", "#shortcuts", "keyboard", "help"),
)


def page_groups(pages: Iterable[NavItem], words: ParsedInput) -> list[EntryGroup]:
    """Pages of the navigation, of the documentation, and the themes."""
    places = [
        Entry(item.label, item.href, item.icon, item.section.label.lower() if item.section else "page")
        for item in pages
    ]
    themes = [Entry(f"Theme: {label}", "#", icon, theme=theme) for theme, label, icon in _THEMES]
    return [
        EntryGroup("Pages", [entry for entry in (*places, *_HELP) if words.fit(entry)]),
        EntryGroup("Theme", [entry for entry in themes if words.fit(entry)]),
    ]


def without_shown(groups: Iterable[EntryGroup], shown: Iterable[Entry]) -> list[EntryGroup]:
    """The groups that have something left after what stands above, or was seen lately, was taken out."""
    seen = {entry.href for entry in shown}
    rest = []
    for group in groups:
        rest.append(EntryGroup(group.label, [entry for entry in group.items if entry.theme or entry.href not in seen]))
        seen |= {entry.href for entry in group.items if group.label == "Recent"}
    return [group for group in rest if group.items]
