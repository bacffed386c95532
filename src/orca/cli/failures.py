"""Why a command ends without success, as exit codes that scripts can trust."""

from collections.abc import Sequence
from typing import Any, Final

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_SIGNED_IN: Final = 3
NOTHING_FOUND: Final = 3
"""A code of `orc init`, which needs no sign-in and so never returns the other meaning of 3."""
NOT_FOUND: Final = 4
REFUSED: Final = 5
UNREACHABLE: Final = 6
INTERRUPTED: Final = 130

EXIT_CODES: Final[dict[int, str]] = {
    OK: "done",
    FAILED: "the operation was tried and failed (a deployment ended as failed)",
    USAGE: "the command line makes no sense, or leaves open what is meant",
    NOT_SIGNED_IN: "not signed in, or not allowed; of `orc init`: nothing here can be built",
    NOT_FOUND: "there is no such thing",
    REFUSED: "refused input, or a conflict with the state of things",
    UNREACHABLE: "the server cannot be reached, or cannot answer now",
    INTERRUPTED: "interrupted with Ctrl-C",
}
"""The meaning of each exit code. `orc run` returns the exit code of the command that it ran."""

_BY_STATUS: Final = {
    401: NOT_SIGNED_IN,
    403: NOT_SIGNED_IN,
    404: NOT_FOUND,
    405: NOT_FOUND,
    408: UNREACHABLE,
    429: UNREACHABLE,
}
_BY_CODE: Final = {"not-claimed": NOT_SIGNED_IN}
_GATEWAY_STATUSES: Final = frozenset({502, 503, 504})
_SERVER_ERRORS: Final = 500


class CommandFailed(Exception):
    """A failure with its exit code, its cause and the next step.

    `problem`: the server's problem+json. `details`: lines below the message, where there are several causes.
    """

    def __init__(
        self, message: str, *, hint: str = "", code: int = FAILED, problem: dict[str, Any] | None = None,
        details: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        self.problem = problem
        self.details = details
        self.is_passing = False
        """Whether the connection broke, so that a request without side effects is worth a retry."""


class UsageError(CommandFailed):
    """The command line is invalid or ambiguous."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint, code=USAGE)


def exit_code_of(status: int, problem: dict[str, Any] | None) -> int:
    """Return the exit code for an HTTP status of 400 or more. Without a problem document, a gateway responded."""
    if problem is not None and problem.get("code") in _BY_CODE:
        return _BY_CODE[problem["code"]]
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status in _GATEWAY_STATUSES and problem is None:
        return UNREACHABLE
    return FAILED if status >= _SERVER_ERRORS else REFUSED
