"""The manifest of notifications: webhooks, which send what happens to addresses of the team."""

from orca.features.manifest import EventKind, EventWords, Feature, Permission
from orca.features.notifications import api, pages, queries, tasks
from orca.web.nav import SETTINGS, NavItem

FEATURE = Feature(
    name="notifications",
    routers=(api.router, pages.router),
    tags={"webhooks": "What happens in the team, sent to addresses that it names."},
    permissions=(
        Permission(
            "webhook.manage",
            "Make, change, test and remove webhooks, and send messages again.",
            "owner",
            whole_team=True,
        ),
        Permission(
            "webhook.read",
            "See webhooks, their addresses and what was sent, never their secrets.",
            "member",
            whole_team=True,
        ),
    ),
    nav=(NavItem("Webhooks", "/webhooks", "link", 76, "webhook.read", section=SETTINGS, group="Team"),),
    event_kinds=(EventKind("webhooks", "Webhooks", 55),),
    events=(EventWords("Webhook", "webhooks"),),
    tasks=tasks.TASKS,
    periodic=tasks.PERIODIC,
    consumers=tasks.CONSUMERS,
    owners={"webhook_id": queries.find_webhook_scope},
    own_identifiers=("delivery_id",),
)
