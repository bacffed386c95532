"""The names of services, for the activity page."""

from collections.abc import Mapping

from orca.features.manifest import Directory
from orca.features.projects.names import Names
from orca.features.services.models import Service

DIRECTORIES: Mapping[str, Directory] = {"service": Names(Service, "/services")}
"""Object type of events -> directory."""
