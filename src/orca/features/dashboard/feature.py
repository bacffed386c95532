"""The manifest of the dashboard: the overview, the lists of projects and services, and the command palette."""

from orca.features.dashboard import pages
from orca.features.manifest import Feature
from orca.web.nav import SETTINGS, NavItem, Tab

FEATURE = Feature(
    name="dashboard",
    routers=(pages.router,),
    nav=(
        NavItem("Home", "/", "home", 10),
        NavItem("Projects", "/projects", "folder", 20, "project.read", is_narrowed=True),
        NavItem("Instance", "/settings/instance", "settings", 70, "instance.admin", section=SETTINGS, group="Instance"),
    ),
    tabs=(
        Tab("project", "services", "Services", "", 10),
        Tab("project", "access", "Access", "/access", 40, "grant.manage"),
    ),
)
