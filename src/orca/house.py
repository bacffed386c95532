"""The features that live in this house: what each brings to the application."""

import sys

from fastapi import FastAPI

from orca.features.access import api as access_api
from orca.features.access import pages as access_pages
from orca.features.access import rules as access_rules
from orca.features.access import tasks as access_tasks
from orca.features.access.gate import AccessGate
from orca.features.access.hosts import HostAllowList
from orca.features.audit import api as audit_api
from orca.features.audit import pages as audit_pages
from orca.features.audit import tasks as audit_tasks
from orca.features.dashboard import pages as dashboard_pages
from orca.features.deployments import api as deployments_api
from orca.features.deployments import pages as deployments_pages
from orca.features.deployments import running_api
from orca.features.deployments import tasks as deployments_tasks
from orca.features.identity import api as identity_api
from orca.features.identity import pages as identity_pages
from orca.features.identity.claim import ensure_claim
from orca.features.orphans import api as orphans_api
from orca.features.orphans import pages as orphans_pages
from orca.features.orphans.tasks import hold_back
from orca.features.routing import api as routing_api
from orca.features.routing import pages as routing_pages
from orca.features.routing import tasks as routing_tasks
from orca.features.routing.actions import adopt_stored
from orca.features.services import api as services_api
from orca.features.services import pages as services_pages
from orca.features.services import tasks as services_tasks
from orca.features.sources import api as sources_api
from orca.features.sources import pages as sources_pages
from orca.features.sources import tasks as sources_tasks
from orca.resources import Resources
from orca.settings import Settings
from orca.web.guard import PUBLIC, SIGNED_IN, UNCLAIMED, Gate

API_DESCRIPTION = """Everything the pages and the `orc` command do, they do through this API.

Sign in with `Authorization: Bearer <API token>`. Errors are `application/problem+json` (RFC 9457) with a stable `code`
and, where there is one, a `hint` that says what to do next. Lists are pages: follow `next_cursor`.
"""

ROUTERS = (
    identity_api.router,
    access_api.router,
    audit_api.router,
    services_api.router,
    sources_api.router,
    routing_api.router,
    deployments_api.router,
    running_api.router,
    orphans_api.router,
    identity_pages.router,
    access_pages.router,
    audit_pages.router,
    services_pages.router,
    sources_pages.router,
    routing_pages.router,
    deployments_pages.router,
    orphans_pages.router,
    dashboard_pages.router,
)
TASKS = (*services_tasks.TASKS, *deployments_tasks.TASKS)
DUTIES = (
    *access_tasks.PERIODIC,
    *audit_tasks.PERIODIC,
    *sources_tasks.PERIODIC,
    *routing_tasks.PERIODIC,
    *deployments_tasks.PERIODIC,
)
PERMISSIONS = {*access_rules.PERMISSIONS, PUBLIC, SIGNED_IN, UNCLAIMED}
OWN_IDENTIFIERS = {"session_id", "token_id", "hook_id"}
"""Path parameters whose endpoint itself looks only among the caller's own things (or checks a signature)."""


def make_gate(resources: Resources) -> Gate:
    """Who decides who comes in."""
    return AccessGate(resources)


def install_middleware(app: FastAPI, settings: Settings) -> None:
    """What features put around every request."""
    app.add_middleware(HostAllowList, settings=settings)


async def before_tasks(resources: Resources) -> None:
    """What must be decided before any task goes on."""
    await hold_back(resources)


async def prepare(resources: Resources) -> None:
    """What must be true before the first request."""
    await adopt_stored(resources)
    link = await ensure_claim(resources)
    if link is not None:
        sys.stderr.write(f"\nThis instance has no owner yet. Claim it here, once:\n\n  {link}\n\n")
