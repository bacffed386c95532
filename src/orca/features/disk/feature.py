"""The manifest of disk: what fills the disk of this machine."""

from orca.features.disk import api, pages
from orca.features.manifest import Feature
from orca.web.nav import SYSTEMS, NavItem

FEATURE = Feature(
    name="disk",
    routers=(api.router, pages.router),
    tags={"instance": "The instance as a whole: its disk, and containers that its database does not know."},
    nav=(NavItem("Disk", "/disk", "archive", 32, "instance.admin", section=SYSTEMS),),
)
