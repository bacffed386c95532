"""REST doors of everything a source needs: credentials, uploads, push hooks."""

from orca.features.sources.api import credentials, hooks, uploads
from orca.web.guard import Router

router = Router()
for each in (credentials, uploads, hooks):
    router.include_router(each.router)
