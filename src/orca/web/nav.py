"""The left navigation and the tabs of objects: their entries, and which of them a subject sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from orca.web.guard import Subject


@dataclass(frozen=True, slots=True)
class NavItem:
    """One entry of the navigation."""

    label: str
    href: str
    icon: str
    order: int
    """Entries are shown by ascending order."""
    permission: str | None = None


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


@dataclass(frozen=True, slots=True)
class Menus:
    """What all features contribute to navigation and tabs, in order; `app.state.menus`."""

    nav: Sequence[NavItem] = ()
    tabs: Sequence[Tab] = ()


def navigation(menus: Menus, subject: Subject | None) -> tuple[NavItem, ...]:
    """Return the entries that this subject may open."""
    if subject is None:
        return ()
    team = subject.whole_team
    return tuple(item for item in menus.nav if item.permission is None or subject.can(item.permission, team))
