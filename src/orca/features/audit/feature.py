"""The manifest of audit: the trail of events, its checkpoints, and the activity page."""

from orca.features.audit import api, metrics, pages, tasks
from orca.features.manifest import EventWords, Feature, Permission
from orca.web.nav import OBSERVE, NavItem

FEATURE = Feature(
    name="audit",
    routers=(api.router, pages.router),
    tags={"audit": "What happened, and who did it."},
    permissions=(Permission("event.read", "See what happened in the team, and who did it.", "viewer"),),
    nav=(NavItem("Activity", "/activity", "activity", 50, "event.read", is_narrowed=True, section=OBSERVE),),
    events=(EventWords("Audit", "access"),),
    periodic=tasks.PERIODIC,
    measures=metrics.make_measures,
)
