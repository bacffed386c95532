"""Progress lines of a pull, and the meaning of its failures. Pure."""

from typing import Any

from orca.errors import CredentialsRejected, ProviderError, ProviderUnavailable, RequestRefused
from orca.providers.engines.docker.references import ImageReference
from orca.sdk.registries import explain_refusal

_INTERVAL = 1.0
"""Minimum seconds between two lines about layers."""
_UNIT = 1_000_000
_REFUSED_CREDENTIALS = {401, 403}
_NOT_FOUND = 404


class PullReport:
    """Condenses the engine's events into few lines, and detects whether the pull makes progress."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[str, int]] = {}
        self._next_line_at = 0.0

    def take(self, event: dict[str, Any], now: float) -> tuple[bool, str | None]:
        """Return whether this event shows progress, and the line to print, if any. `now` is in seconds."""
        layer, status = event.get("id", ""), event.get("status", "")
        details = event.get("progressDetail") or {}
        current, total = details.get("current", 0), details.get("total", 0)
        moved = self._last.get(layer) != (status, current)
        self._last[layer] = status, current
        if layer and now < self._next_line_at:
            return moved, None
        self._next_line_at = now + _INTERVAL
        amount = f" {current / _UNIT:.1f} of {total / _UNIT:.1f} MB" if total else ""
        return moved, f"{layer}: {status}{amount}" if layer else f"{status}"


def explain_pull(image: ImageReference, *, pull: int, registry: int | None, said: str, login: bool) -> ProviderError:
    """Return the error for a failed pull, by the status of the pull and of the registry's manifest request."""
    if registry in _REFUSED_CREDENTIALS:
        return CredentialsRejected(
            f"The registry {image.registry} refused {'the credentials' if login else 'access without credentials'}"
            f" for {image.repository}.",
            hint=f"Enter the user name and password (or token) for {image.registry} again.",
        )
    if _NOT_FOUND in {pull, registry}:
        return RequestRefused(
            f"The registry {image.registry} has no image {image}.",
            hint="Check the name and the tag; a private image may need credentials.",
        )
    if 400 <= pull < 500:  # noqa: PLR2004 - the range of HTTP's client errors
        return RequestRefused(f"Docker cannot pull {image}: {explain_refusal(said)}.")
    return ProviderUnavailable(
        f"Docker could not pull {image}: {explain_refusal(said)}.",
        hint=f"Check that this host reaches {image.registry} and has disk space, then try again.",
    )


def explain_stall(image: ImageReference, seconds: float) -> ProviderError:
    """Return the error for a pull that stopped making progress."""
    return ProviderUnavailable(
        f"The pull of {image} made no progress for {seconds:g} seconds.",
        hint=f"Check that this host reaches {image.registry}, then try again.",
    )
