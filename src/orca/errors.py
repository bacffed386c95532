"""Every failure Orca explains, as one tree.

OrcaError
├── BadInput 422             the request cannot be understood or breaks a rule
├── NotSignedIn 401          who is asking is unknown
├── Forbidden 403            known, but not allowed
│   └── StepUpRequired       allowed after the password was entered again
├── NotFound 404             unknown here; foreign things answer exactly the same
├── Conflict 409             true somewhere else: taken names, wrong states
├── Gone 410                 was possible once, and is used up
├── PayloadTooLarge 413 · UnsupportedMediaType 415 · MisdirectedRequest 421 · RateLimited 429
├── NotClaimed 503           the instance has no owner yet
├── StartRefused             database, key and containers do not belong together
├── DatabaseUnavailable 503 · TookTooLong 503   come back later
├── TaskError                why a task ended
│   ├── TaskCancelled · DeadlineExceeded · HeldBack
│   └── StepFailed           a step knows its cause and the next step
│       └── SourceFailed 422   the source cannot be fetched as it is described
└── ProviderError            what a provider wants to happen next
    ├── ProviderUnavailable 503   retry
    │   └── ProviderUnusable      not installed, or of no use: an administrator mends it
    ├── CredentialsRejected 502   ask the user
    └── RequestRefused 502        final
"""

from inspect import cleandoc
from typing import Any, ClassVar


class OrcaError(Exception):
    """A failure that names its cause (`message`) and the next step (`hint`)."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(self, message: str, *, hint: str = "", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details

    @property
    def sentences(self) -> str:
        """Cause and next step in a row, for a terminal."""
        return f"{self.message.rstrip('.')}. {self.hint}".strip()


class BadInput(OrcaError):
    """The request cannot be understood or breaks a rule. `details["fields"]`: name -> message."""

    status = 422
    code = "bad-input"


class NotSignedIn(OrcaError):
    """Who is asking is unknown."""

    status = 401
    code = "not-signed-in"


class Forbidden(OrcaError):
    """Who is asking is known, but not allowed."""

    status = 403
    code = "forbidden"


class StepUpRequired(Forbidden):
    """Allowed, but only within ten minutes of entering the password."""

    code = "step-up-required"


class NotFound(OrcaError):
    """Unknown here. A thing of another team answers exactly like one that does not exist."""

    status = 404
    code = "not-found"


class Conflict(OrcaError):
    """The request is fine, but not in this state of things."""

    status = 409
    code = "conflict"


class Gone(OrcaError):
    """Was possible once, and is used up."""

    status = 410
    code = "gone"


class StartRefused(OrcaError):
    """This database, this key and these containers do not belong together, so that nothing is touched."""

    status = 503
    code = "start-refused"


class PayloadTooLarge(OrcaError):
    """The body or upload is larger than allowed."""

    status = 413
    code = "too-much"


class UnsupportedMediaType(OrcaError):
    """The body is of a type that this route does not read."""

    status = 415
    code = "unsupported-media-type"


class MisdirectedRequest(OrcaError):
    """The Host header names a host that this panel does not answer for."""

    status = 421
    code = "misdirected-request"


class RateLimited(OrcaError):
    """A rate limit was met; `details["retry_after"]` says in how many seconds to come back."""

    status = 429
    code = "too-often"


class NotClaimed(OrcaError):
    """The instance has no owner yet, so nothing but the claim page answers."""

    status = 503
    code = "not-claimed"


class DatabaseUnavailable(OrcaError):
    """The database is away, locked, full or read-only; `details["retry_after"]` says when to come back."""

    status = 503
    code = "database-unavailable"


class TookTooLong(OrcaError):
    """The request was given up, because it took longer than requests may."""

    status = 503
    code = "took-too-long"


class TaskError(OrcaError):
    """Why a task ended without success."""

    code = "task-failed"


class HeldBack(TaskError):
    """It was at work each time when Orca's process died, so it was not tried once more by itself."""

    code = "held-back"


class TaskCancelled(TaskError):
    """The task was cancelled, or a newer one took its place."""

    code = "task-cancelled"


class DeadlineExceeded(TaskError):
    """A step did not finish in the time it was given."""

    status = 504
    code = "deadline-exceeded"


class StepFailed(TaskError):
    """A step failed for a reason it can name. `code` narrows it for scripts and the troubleshooting page."""

    code = "step-failed"


class SourceFailed(StepFailed):
    """A source cannot be fetched. A request that needs it is answered with 422: another address or login may work."""

    status = 422


class ProviderError(OrcaError):
    """A provider could not do what was asked."""

    status = 502
    code = "provider-error"


class ProviderUnavailable(ProviderError):
    """The system behind the provider does not answer now; trying again may help."""

    status = 503
    code = "provider-unavailable"


class ProviderUnusable(ProviderUnavailable):
    """The chosen provider is not installed, cannot be loaded, or does not accept its configuration."""

    code = "provider-unusable"


class CredentialsRejected(ProviderError):
    """The system behind the provider refused the credentials; only the user can mend that."""

    code = "credentials-rejected"


class RequestRefused(ProviderError):
    """The system behind the provider understood and said no; trying again changes nothing."""

    code = "request-refused"


def all_codes() -> dict[str, type[OrcaError]]:
    """Return the codes of all classes imported so far, in order, with the class that introduced each."""
    found: dict[str, type[OrcaError]] = {}
    waiting: list[type[OrcaError]] = [OrcaError]
    for kind in waiting:
        if kind.__module__.startswith("orca.") and "code" in vars(kind):
            found[kind.code] = kind
        waiting += kind.__subclasses__()
    return dict(sorted(found.items()))


def meaning_of(known: type[OrcaError]) -> str:
    """Return the part of an error's docstring that is shown to users: without `details`, which is for programmers."""
    if known is OrcaError:
        return "An unexpected error occurred."
    return cleandoc(known.__doc__ or "").split(" `details")[0].split("; `details")[0].rstrip(" .") + "."


def from_stored(code: str, message: str, hint: str) -> OrcaError:
    """Recreate a stored failure: an instance of the class with this code, else a StepFailed."""
    kind = all_codes().get(code, StepFailed)
    error = kind.__new__(kind)
    OrcaError.__init__(error, message, hint=hint)
    return error
