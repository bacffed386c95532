"""Options that several forms of services offer."""

from collections.abc import Sequence

from orca.features.credentials.models import GitCredential, RegistryCredential


def credential_options(rows: Sequence[GitCredential | RegistryCredential]) -> list[tuple[str, str]]:
    """Return credentials as options: id, and the name with the host at which it is used."""
    return [(row.id, f"{row.name} · {row.host or 'no host yet'}") for row in rows]
