"""REST doors of everything a source needs: credentials, uploads, push hooks."""

from orca.features.sources.api import credentials, hooks, uploads
from orca.web.guard import Router, take_routes

router = Router()
take_routes(router, credentials.router, uploads.router, hooks.router)
