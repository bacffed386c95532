"""Background doors: the cleanup of what uploads leave behind."""

from orca.features.sources.operations import Leftovers
from orca.tasks import Periodic

PERIODIC = (Periodic("upload-leftovers", 3600, Leftovers().remove),)
