"""The manifest of orphans: what runs here and is not in the database."""

from orca.features.manifest import EventWords, Feature
from orca.features.orphans import api, pages
from orca.features.orphans.tasks import hold_back
from orca.web.nav import NavItem

FEATURE = Feature(
    name="orphans",
    routers=(api.router, pages.router),
    nav=(NavItem("Orphans", "/orphans", "history", 70, "instance.admin"),),
    events=(EventWords("Orphan", "services"),),
    before_tasks=hold_back,
)
