"""Errors of services."""

from orca.errors import Conflict


class NotGranted(Conflict):
    """The service asks for something beyond its containers that no instance admin granted, or that none can."""

    code = "not-granted"
