"""Why a stored secret cannot be had."""

from orca.errors import OrcaError


class SecretUnreadable(OrcaError):
    """A stored secret does not open with this instance's key: the key was replaced, or the row was altered."""

    code = "secret-unreadable"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the stored secret “{name}” cannot be decrypted with the key of this instance",
            hint="Put back the `secret.key` that belongs to this database, or set the secret again.",
        )
