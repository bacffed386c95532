"""Translates error responses of the Engine API: by status code, never by message text. Pure."""

import errno

import httpx

from orca.errors import ProviderError, ProviderUnavailable, RequestRefused
from orca.kit.text import clean_output, shorten
from orca.sdk.engines import EngineFailed, EngineUnreachable

_HINTS = {
    errno.ENOENT: "Install Docker or start it (`systemctl start docker`); `orc doctor` checks it.",
    errno.ECONNREFUSED: "Start Docker (`systemctl start docker`); `orc doctor` checks it.",
    errno.EACCES: "Add the user that runs Orca to the group `docker`, then log in again.",
}


class NoSuchObject(RequestRefused):
    """The engine does not know the container, image, network or volume (404)."""


class NameConflict(RequestRefused):
    """The request conflicts with an existing object: the name is taken or the object is in use (409)."""


class NotPermitted(RequestRefused):
    """The engine refuses this in its present state (403)."""


_REFUSALS: dict[int, type[RequestRefused]] = {403: NotPermitted, 404: NoSuchObject, 409: NameConflict}


def explain(doing: str, error: httpx.HTTPError) -> ProviderError:
    """Return the error for a call without a response. `doing` completes `Docker could not …`."""
    if isinstance(error, httpx.ConnectError):
        hint = _HINTS.get(_errno_behind(error), "See the log of Docker; `orc doctor` checks it.")
        return EngineUnreachable(f"Docker could not {doing}: there is no connection to it.", hint=hint)
    return EngineUnreachable(
        f"Docker could not {doing}: the connection broke.", hint="Docker may be restarting; see its log."
    )


def _errno_behind(error: BaseException) -> int:
    """Return the errno from the kernel, which httpx has in the chain of causes."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno:
            return cause.errno
        cause = cause.__cause__ or cause.__context__
    return 0


def explain_status(doing: str, status: int, message: str) -> ProviderError:
    """Return the error for an HTTP status, with the engine's message."""
    said = shorten(clean_output(message, colours=False).strip(), 400)
    text = f"Docker could not {doing}: {said or f'status {status}'}"
    if status in _REFUSALS:
        return _REFUSALS[status](text, status=status, said=said)
    if 400 <= status < 500:  # noqa: PLR2004 - the range of HTTP's client errors
        return RequestRefused(text, status=status, said=said)
    return EngineFailed(text, hint="See the log of Docker (`journalctl -u docker`).", status=status, said=said)


def explain_nonsense(doing: str) -> ProviderError:
    """Return the error for a response that cannot be parsed."""
    return ProviderUnavailable(
        f"What answered when Docker was asked to {doing} does not speak like Docker.",
        hint="Check that the configured socket is Docker's own.",
    )


def explain_silence(doing: str, seconds: float) -> ProviderError:
    """Return the error for a call that was not answered in time."""
    return EngineUnreachable(
        f"Docker did not answer within {seconds:g} seconds when asked to {doing}.",
        hint="Docker may hang or be overloaded; see its log, and restart it if it stays silent.",
    )
