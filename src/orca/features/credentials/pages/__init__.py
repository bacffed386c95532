"""Pages of credentials for repositories and registries."""

from orca.features.credentials.pages import credential, credentials
from orca.web.guard import Router, take_routes

router = Router(include_in_schema=False)
take_routes(router, credentials.router, credential.router)
