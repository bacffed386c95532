"""The manifest of orphans: what runs here and is not in the database."""

from orca.features.manifest import EventWords, Feature
from orca.features.orphans import api, pages
from orca.features.orphans.tasks import hold_back
from orca.web.nav import SYSTEMS, NavItem

FEATURE = Feature(
    name="orphans",
    routers=(api.router, pages.router),
    nav=(NavItem("Orphans", "/orphans", "history", 34, "instance.admin", section=SYSTEMS),),
    events=(EventWords("Orphan", "services"),),
    before_tasks=hold_back,
)
