"""Pages that make and change services."""

from orca.features.services.pages import hooks, new, settings, variables, volumes
from orca.web.guard import Router

router = Router(include_in_schema=False)
for each in (new, variables, volumes, settings, hooks):
    router.include_router(each.router)
