"""The manifest of triggers: push hooks, which deploy what is pushed."""

from orca.features.manifest import EventWords, Feature, FirstStep, Permission, Verb
from orca.features.triggers import api, metrics, pages, queries, tasks
from orca.features.triggers.actions.hooks import forget_hooks
from orca.web.nav import Tab

FEATURE = Feature(
    name="triggers",
    routers=(api.router, pages.router),
    tags={"triggers": "Push hooks."},
    permissions=(
        Permission("hook.create", "Make push hooks.", "owner", formerly="source.create"),
        Permission("hook.delete", "Remove push hooks.", "owner", formerly="source.delete"),
        Permission(
            "hook.read", "See push hooks and what they got, never their secrets.", "viewer", formerly="source.read"
        ),
        Permission(
            "hook.update", "Change push hooks, test them and give them new secrets.", "owner", formerly="source.update"
        ),
    ),
    tabs=(Tab("service", "hooks", "Push hooks", "/hooks", 60),),
    verbs=(Verb("Push hooks of {}", "/hooks", "branch", "hook.read", 90),),
    first_steps=(
        FirstStep(
            "Deploy what is pushed",
            "The Git host reports each push, and what is new there goes live.",
            "/services/{service}/hooks",
            "Make a push hook",
            "hook.create",
            30,
            queries.has_hook,
        ),
    ),
    events=(
        EventWords("Hook", "credentials"),
        EventWords("Push", "deployments"),
    ),
    tasks=tasks.TASKS,
    periodic=tasks.PERIODIC,
    owners={"hook_id": queries.find_hook_scope},
    own_identifiers=("hook_id",),
    subscribers=(("ServiceDeleted", forget_hooks),),
    counters={"hook_deliveries": metrics.make_counter},
)
