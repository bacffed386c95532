"""Options that several forms of services offer."""

from collections.abc import Sequence

from orca.features.credentials.models import GitCredential, RegistryCredential
from orca.web.guard import Subject


def credential_options(
    subject: Subject, rows: Sequence[GitCredential | RegistryCredential], chosen: str | None = None
) -> list[tuple[str, str]]:
    """Return credentials as options: id, and the name with the host at which it is used.

    Who may not choose among those of the team sees only the one that was chosen already.
    """
    seen = [row for row in rows if row.id == chosen or subject.can("credential.use")]
    return [(row.id, f"{row.name} · {row.host or 'no host yet'}") for row in seen]
