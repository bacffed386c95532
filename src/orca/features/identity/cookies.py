"""The session cookie: not readable by scripts, not sent to other hosts, and with TLS not sent over plain HTTP."""

from fastapi import Response

from orca.settings import Settings


def session_cookie_name(settings: Settings) -> str:
    """Return the cookie's name; with TLS its prefix `__Host-` makes browsers refuse a cookie set by another host."""
    return "__Host-orca_session" if settings.is_https else "orca_session"


def set_session_cookie(response: Response, settings: Settings, token: str) -> None:
    """Set the cookie; it lasts no longer than the session can."""
    response.set_cookie(
        session_cookie_name(settings), token, max_age=settings.session.absolute_hours * 3600, path="/",
        secure=settings.is_https, httponly=True, samesite="lax",
    )  # fmt: skip


def clear_session_cookie(response: Response, settings: Settings) -> None:
    """Delete the cookie in the browser."""
    response.delete_cookie(
        session_cookie_name(settings), path="/", secure=settings.is_https, httponly=True, samesite="lax"
    )
