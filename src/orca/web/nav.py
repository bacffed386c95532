"""The navigation and the tabs of objects: their entries, and which of them a subject sees.

The rail holds places, few of them; pages that belong together share one as a section, with a navigation of their own.
Settings are such a section, at the foot.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal

from orca.web.guard import Subject


@dataclass(frozen=True, slots=True)
class Section:
    """Pages that share one entry of the rail. While there is one page only, the entry is that page."""

    label: str
    icon: str
    order: int
    """Its place among the entries of the rail, by their `order`."""
    at_foot: bool = False
    """It stands below the places, and its navigation beside every one of its pages."""


SYSTEMS = Section("Systems", "server", 30)
OBSERVE = Section("Observe", "activity", 50)
SETTINGS = Section("Settings", "settings", 90, at_foot=True)
ACCOUNT = Section("Account", "user", 100)
"""What the menu of the user leads to; it is not in the rail."""


@dataclass(frozen=True, slots=True)
class NavItem:
    """One page of the navigation: an entry of the rail, or of the navigation of its section."""

    label: str
    href: str
    icon: str
    order: int
    """Entries are shown by ascending order."""
    permission: str | None = None
    is_narrowed: bool = False
    """Its page shows a subject with grants on parts of the team what these cover; see `guard.narrowed`."""
    section: Section | None = None
    """Where it belongs; None for a place of its own."""
    group: str = ""
    """Heading above it in the navigation of the settings."""

    def is_for(self, subject: Subject) -> bool:
        """Whether a subject may open it."""
        if self.permission is None or subject.can(self.permission, subject.whole_team):
            return True
        return self.is_narrowed and subject.can_anywhere(self.permission)


@dataclass(frozen=True, slots=True)
class Tab:
    """One tab of the pages of an object; any feature above may add one to the pages of a lower feature."""

    of: Literal["project", "service"]
    key: str
    """What a page names as its `tab`."""
    label: str
    path: str
    """Follows the address of the object: `/domains`."""
    order: int
    permission: str = ""
    """What is needed for the object to see the tab; empty where everybody may who sees the object."""


@dataclass(frozen=True, slots=True)
class Menus:
    """What all features contribute to navigation and tabs, in order; `app.state.menus`."""

    nav: Sequence[NavItem] = ()
    tabs: Sequence[Tab] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the rail, and the pages behind it."""

    label: str
    href: str
    icon: str
    order: int
    items: tuple[NavItem, ...]
    section: Section | None = None


def list_places(items: Sequence[NavItem]) -> list[Place]:
    """Return the entries of the rail for the pages that a subject may open, in order."""
    places = [_place_of(item, items) for item in items if item.section is not ACCOUNT and _leads(item, items)]
    return sorted(places, key=attrgetter("order"))


def _leads(item: NavItem, items: Sequence[NavItem]) -> bool:
    return item.section is None or item == next(other for other in items if other.section is item.section)


def _place_of(item: NavItem, items: Sequence[NavItem]) -> Place:
    section = item.section
    if section is None:
        return Place(item.label, item.href, item.icon, item.order, (item,))
    inside = tuple(other for other in items if other.section is section)
    named: Section | NavItem = section if len(inside) > 1 or section.at_foot else item
    return Place(named.label, item.href, named.icon, section.order, inside, section)


_BELONGS = {"services": "/projects", "deployments": "/projects", "routes": "/projects", "dns": "/certificates"}
"""First part of the address of pages of objects -> the page of the navigation to which they belong."""


def find_current(items: Sequence[NavItem], path: str) -> NavItem | None:
    """Return the page of the navigation to which an address belongs."""
    first = path.split("/")[1] if path.startswith("/") else ""
    path = _BELONGS.get(first, path)
    fitting = [item for item in items if path == item.href or (item.href != "/" and path.startswith(f"{item.href}/"))]
    return max(fitting, key=lambda item: len(item.href), default=None)


def navigation(menus: Menus, subject: Subject | None) -> tuple[NavItem, ...]:
    """Return the entries that this subject may open."""
    if subject is None:
        return ()
    return tuple(item for item in menus.nav if item.is_for(subject))
