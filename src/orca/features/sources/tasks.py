"""Background doors: the duty that keeps the upload folder free of what nobody owns."""

from orca.features.sources.actions import remove_leftovers
from orca.tasks import Periodic

PERIODIC = (Periodic("upload-leftovers", 3600, remove_leftovers),)
