"""The left navigation: what there is, and who sees it."""

from dataclasses import dataclass

from orca.web.guard import Subject


@dataclass(frozen=True, slots=True)
class NavItem:
    """One entry of the navigation."""

    label: str
    href: str
    icon: str
    permission: str | None = None


ITEMS = (
    NavItem("Overview", "/", "home"),
    NavItem("Projects", "/projects", "folder", "project.read"),
    NavItem("Credentials", "/credentials", "lock", "source.read"),
    NavItem("Activity", "/activity", "activity", "event.read"),
    NavItem("Tokens", "/tokens", "key", "token.read"),
    NavItem("Orphans", "/orphans", "history", "instance.admin"),
    NavItem("Account", "/account", "user"),
)


def navigation(subject: Subject | None) -> tuple[NavItem, ...]:
    """What this subject may open."""
    if subject is None:
        return ()
    return tuple(item for item in ITEMS if item.permission is None or subject.can(item.permission))
