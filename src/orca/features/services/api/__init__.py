"""REST doors of projects, services, variables and volumes, and the schema of `orca.yaml`."""

from orca.features.services.api import detection, projects, schemas, services, variables, volumes
from orca.web.guard import Router

router = Router()
for each in (projects, services, detection, variables, volumes, schemas):
    router.include_router(each.router)
