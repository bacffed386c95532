"""Pages of what lets Orca into repositories and registries."""

from orca.features.sources.pages import credentials, git_credential, registry_credential
from orca.web.guard import Router

router = Router(include_in_schema=False)
for each in (credentials, git_credential, registry_credential):
    router.include_router(each.router)
