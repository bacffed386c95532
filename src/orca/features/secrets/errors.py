"""Why a stored secret cannot be had."""

from orca.errors import OrcaError


class SecretUnreadable(OrcaError):
    """A stored secret does not open with this instance's key: the key was replaced, or the row was altered."""

    code = "secret-unreadable"
