"""Redirects, only to Orca's own pages."""

import json
import re
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import RedirectResponse

SEE_OTHER = 303
TOAST_SECONDS = 30
_LOCAL = re.compile(r"/(?![/\\])[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*")


def local_path(target: str, default: str = "/") -> str:
    """Return the path if it stays on this host, else the default."""
    return target if _LOCAL.fullmatch(target) else default


def see_other(request: Request, path: str, *, said: str = "", hint: str = "", tone: str = "good") -> RedirectResponse:
    """Return the redirect after a successful form: to the next page, which shows `said` in a toast.

    The message is in a cookie that the page's script reads once; with TLS no sibling host can set one.
    """
    response = RedirectResponse(path, SEE_OTHER)
    if said:
        is_https: bool = request.app.state.settings.is_https
        message = {"text": said, "tone": tone} | ({"hint": hint} if hint else {})
        response.set_cookie(
            "__Host-orca_toast" if is_https else "orca_toast", quote(json.dumps(message)), max_age=TOAST_SECONDS,
            path="/", secure=is_https, samesite="strict",
        )  # fmt: skip
    return response
