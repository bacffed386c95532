"""Pages that create and change services."""

from orca.features.services.pages import new, settings, variables, volumes
from orca.web.guard import Router, take_routes

router = Router(include_in_schema=False)
take_routes(router, new.router, variables.router, volumes.router, settings.router)
