"""Pages of hostnames, certificates, and access to DNS providers."""

from orca.features.routing.pages import certificates, dns, domains, qr
from orca.web.guard import Router, take_routes

router = Router(include_in_schema=False)
take_routes(router, domains.router, certificates.router, dns.router, qr.router)
