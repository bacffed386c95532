"""The manifest of systems: the machines that Orca manages, and whether they answer."""

from orca.features.manifest import Feature
from orca.features.systems import api, pages
from orca.web.nav import SYSTEMS, NavItem

FEATURE = Feature(
    name="systems",
    routers=(api.router, pages.router),
    own_identifiers=("system_id",),
    nav=(NavItem("Systems", "/systems", "server", 30, "instance.admin", section=SYSTEMS),),
)
