"""Pages of credentials for repositories and registries."""

from orca.features.credentials.pages import credentials, git_credential, registry_credential
from orca.web.guard import Router, take_routes

router = Router(include_in_schema=False)
take_routes(router, credentials.router, git_credential.router, registry_credential.router)
