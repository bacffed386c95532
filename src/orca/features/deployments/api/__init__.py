"""REST doors of deployments and releases, and of what runs now."""

from orca.features.deployments.api import changes, deployments, running
from orca.web.guard import Router, take_routes

router = Router()
take_routes(router, deployments.router, changes.router, running.router)
