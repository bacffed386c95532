"""REST doors of everything a source needs: credentials, uploads."""

from orca.features.sources.api import credentials, uploads
from orca.web.guard import Router, take_routes

router = Router()
take_routes(router, credentials.router, uploads.router)
