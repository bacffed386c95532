"""Writes of routing: rows first, then the proxy; the rows are restored when the proxy refuses the change."""

from orca.features.routing.actions.apply import Refusals, apply_routes, check_drift
from orca.features.routing.actions.certificates import (
    add_certificate,
    delete_certificate,
    replace_certificate,
    unlock_upload,
    watch_expiry,
)
from orca.features.routing.actions.dns_credentials import (
    create_dns_credential,
    delete_dns_credential,
    open_fields,
    update_dns_credential,
)
from orca.features.routing.actions.orders import adopt_stored
from orca.features.routing.actions.publish import publish_route, republish_route, retract_route
from orca.features.routing.actions.reach import check_names, check_route
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
    "Refusals",
    "add_certificate",
    "adopt_stored",
    "apply_routes",
    "check_drift",
    "check_names",
    "check_route",
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
    "publish_route",
    "replace_certificate",
    "republish_route",
    "retract_route",
    "set_targets",
    "unlock_upload",
    "update_dns_credential",
    "update_route",
    "watch_expiry",
]
