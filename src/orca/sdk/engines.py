"""What goes wrong with an engine."""

from orca.errors import ProviderUnavailable


class EngineUnreachable(ProviderUnavailable):
    """The engine itself does not answer; it may be restarting. The operation may have been carried out or not."""


class EngineFailed(ProviderUnavailable):
    """The engine answered with an internal error: something behind it may be restarting."""
