"""The manifest of the dashboard: the overview, the lists of projects and services, and the command palette."""

from orca.features.dashboard import pages
from orca.features.manifest import Feature
from orca.web.nav import NavItem, Tab

FEATURE = Feature(
    name="dashboard",
    routers=(pages.router,),
    nav=(
        NavItem("Overview", "/", "home", 10),
        NavItem("Projects", "/projects", "folder", 20, "project.read", is_narrowed=True),
    ),
    tabs=(
        Tab("project", "services", "Services", "", 10),
        Tab("project", "access", "Access", "/access", 40, "grant.manage"),
    ),
)
