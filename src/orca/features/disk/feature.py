"""The manifest of disk: what fills the disk of this machine."""

from orca.features.disk import api, pages
from orca.features.manifest import Feature
from orca.web.nav import NavItem

FEATURE = Feature(
    name="disk",
    routers=(api.router, pages.router),
    nav=(NavItem("Disk", "/disk", "archive", 80, "instance.admin"),),
)
