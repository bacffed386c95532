"""REST doors of services, variables and volumes, and the schema of `orca.yaml`."""

from orca.features.services.api import detection, privileges, schemas, services, variables, volumes
from orca.web.guard import Router, take_routes

router = Router()
take_routes(
    router, services.router, privileges.router, detection.router, variables.router, volumes.router, schemas.router
)
