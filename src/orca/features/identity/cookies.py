"""The session cookie: out of reach of scripts, of other hosts, and of plain HTTP where there is TLS."""

from fastapi import Response

from orca.settings import Settings


def session_cookie_name(settings: Settings) -> str:
    """With TLS the `__Host-` prefix makes browsers refuse a cookie that a neighbouring host planted."""
    return "__Host-orca_session" if settings.is_https else "orca_session"


def set_session_cookie(response: Response, settings: Settings, token: str) -> None:
    """Hand the cookie to the browser; it lasts no longer than the session can."""
    response.set_cookie(
        session_cookie_name(settings), token, max_age=settings.session.absolute_hours * 3600, path="/",
        secure=settings.is_https, httponly=True, samesite="lax",
    )  # fmt: skip


def clear_session_cookie(response: Response, settings: Settings) -> None:
    """Make the browser forget it."""
    response.delete_cookie(
        session_cookie_name(settings), path="/", secure=settings.is_https, httponly=True, samesite="lax"
    )
