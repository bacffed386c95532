"""Periodic jobs of this feature."""

from orca.features.access.idempotency import forget_old_keys
from orca.tasks import Periodic

PERIODIC = (Periodic("idempotency-keys", 600, forget_old_keys),)
