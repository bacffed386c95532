"""Routes on the proxies: rows first, then the proxy; the rows are restored when the proxy refuses the change."""

from orca.features.routing.operations.apply import Refusals, apply_routes, check_drift
from orca.features.routing.operations.certificates import unlock_upload, watch_expiry
from orca.features.routing.operations.orders import adopt_stored
from orca.features.routing.operations.publish import publish_route, republish_route, retract_route
from orca.features.routing.operations.reach import check_names, check_route

__all__ = [
    "Refusals",
    "adopt_stored",
    "apply_routes",
    "check_drift",
    "check_names",
    "check_route",
    "publish_route",
    "republish_route",
    "retract_route",
    "unlock_upload",
    "watch_expiry",
]
