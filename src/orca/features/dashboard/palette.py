"""What the command palette offers for some words: where to go, and what to do with a service. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from orca.web.guard import Subject

_MENTIONED = re.compile(r"/(services|projects|deployments)/([A-Za-z0-9_-]{1,64})(?:/|$)")
_FILLERS: Final = frozenset({"of", "in", "the", "a", "to", "service", "services"})
_ACTED_ON: Final = 3
"""For so many found services actions are offered, too."""
_UNASKED: Final = 3
"""So many of each when only its name was said."""


class Found(NamedTuple):
    """A service that was found."""

    id: str
    name: str
    state: str
    """`running` or `stopped`, as it is wanted; `new` when no release is live yet."""
    project_id: str
    project: str
    deployable: bool = True
    """Not before a folder was sent, where that is the source."""


class FoundProject(NamedTuple):
    """A project that was found."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. `posts`: it does something, by the same form as the page has; else it leads somewhere."""

    label: str
    href: str
    icon: str
    note: str = ""
    posts: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Entries under one heading."""

    label: str
    items: Sequence[Entry]


class _Verb(NamedTuple):
    """What can be done with a service; `{}` is its name."""

    label: str
    path: str
    icon: str
    permission: str
    posts: bool = False
    only_when: str = ""


_VERBS: Final = (
    _Verb("Logs of {}", "/output", "terminal", "service.read"),
    _Verb("Deploy {}", "/deploy", "rocket", "service.deploy", posts=True),
    _Verb("Restart {}", "/operate/restart", "refresh", "service.operate", posts=True, only_when="running"),
    _Verb("Start {}", "/operate/start", "play", "service.operate", posts=True, only_when="stopped"),
    _Verb("Overview of {}", "", "box", "service.read"),
    _Verb("Deployments of {}", "/deployments", "activity", "deployment.read"),
    _Verb("Variables of {}", "/variables", "code", "variable.read"),
    _Verb("Domains of {}", "/domains", "globe", "route.read"),
    _Verb("Push hooks of {}", "/hooks", "branch", "source.read"),
    _Verb("Volumes of {}", "/volumes", "database", "service.read"),
    _Verb("Settings of {}", "/settings", "settings", "service.read"),
    _Verb("Stop {}…", "#stop", "stop", "service.operate", only_when="running"),
)
"""The first one must be harmless: Enter without a word takes it. What takes something away opens its page's dialog."""
_FIRST_WORDS: Final = frozenset(verb.label.split()[0].lower() for verb in _VERBS) | {"new"}


@dataclass(frozen=True, slots=True)
class Words:
    """What was typed: what it may be called, and whether it names something to do."""

    said: tuple[str, ...]
    verbs: tuple[str, ...]
    names: str

    def fit(self, entry: Entry) -> bool:
        """Whether every word is in the label; fillers need not be."""
        label = entry.label.lower()
        return all(word in label for word in self.said if word not in _FILLERS)


def read_words(text: str) -> Words:
    """`restart web` -> verb `restart`, name `web`. Words of two letters may begin a verb."""
    said = tuple(text.lower().split())
    verbs = tuple(word for word in said if len(word) > 1 and any(verb.startswith(word) for verb in _FIRST_WORDS))
    names = " ".join(word for word in said if word not in verbs and word not in _FILLERS)
    return Words(said, verbs, names)


def place_of(address: str) -> tuple[str, str] | None:
    """What a page is about: (`services`, `projects` or `deployments`, id); None for none of these."""
    try:
        found = _MENTIONED.match(urlsplit(address).path)
    except ValueError:
        return None
    return (found[1], found[2]) if found else None


def service_entries(service: Found, subject: Subject) -> list[Entry]:
    """All that can be done with it."""
    return [
        Entry(
            verb.label.format(service.name),
            f"/services/{service.id}{verb.path}",
            verb.icon,
            service.project,
            verb.posts,
        )
        for verb in _VERBS
        if subject.can(verb.permission)
        and verb.only_when in {"", service.state}
        and (service.deployable or verb.path != "/deploy")
    ]


def new_service(project: FoundProject) -> Entry:
    """The form for another service in a project."""
    return Entry(f"New service in {project.name}", f"/projects/{project.id}/services/new", "plus")


@dataclass(frozen=True, slots=True)
class Finds:
    """What was looked up: things called so, and things with which something that was said can be done."""

    services: Sequence[Found]
    projects: Sequence[FoundProject]
    acted_on: Sequence[Found]
    grown: Sequence[FoundProject]


def found_groups(words: Words, subject: Subject, finds: Finds) -> list[Group]:
    """Services and projects by name, and what can be done; with nothing typed only where to go."""
    services = [Entry(each.name, f"/services/{each.id}", "box", each.project) for each in finds.services]
    projects = [Entry(each.name, f"/projects/{each.id}", "folder", "project") for each in finds.projects]
    return [Group("Services", services), Group("Do", _to_do(words, subject, finds)), Group("Projects", projects)]


def _to_do(words: Words, subject: Subject, finds: Finds) -> list[Entry]:
    if not words.said:
        return []
    most = None if words.verbs else _UNASKED
    entries = [entry for found in finds.acted_on[:_ACTED_ON] for entry in service_entries(found, subject)[:most]]
    entries += [new_service(each) for each in finds.grown if subject.can("service.create")]
    entries += [Entry("New project", "/projects", "plus")] if subject.can("project.create") else []
    return [entry for entry in entries if words.fit(entry)]


def without_shown(groups: Iterable[Group], shown: Iterable[Entry]) -> list[Group]:
    """The groups that have something left after what stands above was taken out."""
    seen = {entry.href for entry in shown}
    rest = [Group(group.label, [entry for entry in group.items if entry.href not in seen]) for group in groups]
    return [group for group in rest if group.items]
