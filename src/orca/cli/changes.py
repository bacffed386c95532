"""What the next deployment, or a rollback, changes in what runs."""

from typing import Any, Final

from orca.cli.client import Client, segment
from orca.cli.failures import NOT_FOUND, CommandFailed
from orca.cli.output import Styled

CHANGE_SIGNS: Final = {"added": Styled("+", "green"), "removed": Styled("-", "red"), "changed": Styled("~", "yellow")}


def get_changes(client: Client, service_id: str) -> dict[str, Any]:
    """Return what the next deployment would change. Raises CommandFailed."""
    try:
        found: dict[str, Any] = client.get(f"/services/{segment(service_id)}/changes")
    except CommandFailed as error:
        if error.code == NOT_FOUND:
            error.hint = error.hint or "A server of an earlier version cannot compare; upgrade it."
        raise
    return found


def get_rollback(client: Client, service_id: str, release: int | None) -> dict[str, Any]:
    """Return what going back to a release would change. Raises CommandFailed."""
    found: dict[str, Any] = client.get(f"/services/{segment(service_id)}/rollback", release=release)
    return found
