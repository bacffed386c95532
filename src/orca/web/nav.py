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
    is_narrowed: bool = False
    """Its page shows a subject with grants on parts of the team what these cover; see `guard.narrowed`."""

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


def navigation(menus: Menus, subject: Subject | None) -> tuple[NavItem, ...]:
    """Return the entries that this subject may open."""
    if subject is None:
        return ()
    return tuple(item for item in menus.nav if item.is_for(subject))
