"""Routes on the proxies: rows first, then the proxy; the rows are restored when the proxy refuses the change."""

from orca.features.routing.operations.apply import Refusals, apply_routes, check_drift
from orca.features.routing.operations.certificates import unlock_upload, watch_expiry
from orca.features.routing.operations.orders import adopt_stored
from orca.features.routing.operations.publish import publish_route, republish_route, retract_route
from orca.features.routing.operations.reach import check_names, check_route
from orca.features.routing.operations.records import Records, read_records

__all__ = [
    "Records",
    "Refusals",
    "adopt_stored",
    "apply_routes",
    "check_drift",
    "check_names",
    "check_route",
    "publish_route",
    "read_records",
    "republish_route",
    "retract_route",
    "unlock_upload",
    "watch_expiry",
]
