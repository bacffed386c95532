"""Writes of routing: the rows of routes, certificates and DNS credentials; one function per verb, session first."""

from orca.features.routing.actions.certificates import add_certificate, delete_certificate, replace_certificate
from orca.features.routing.actions.dns_credentials import (
    create_dns_credential,
    delete_dns_credential,
    open_fields,
    update_dns_credential,
)
from orca.features.routing.actions.routes import (
    create_route,
    delete_route,
    ensure_automatic_route,
    ensure_named_routes,
    follow_base_domain,
    forget_service,
    propose_hostname,
    update_route,
)
from orca.features.routing.actions.targets import clear_targets, set_targets

__all__ = [
    "add_certificate",
    "clear_targets",
    "create_dns_credential",
    "create_route",
    "delete_certificate",
    "delete_dns_credential",
    "delete_route",
    "ensure_automatic_route",
    "ensure_named_routes",
    "follow_base_domain",
    "forget_service",
    "open_fields",
    "propose_hostname",
    "replace_certificate",
    "set_targets",
    "update_dns_credential",
    "update_route",
]
