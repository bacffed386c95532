"""Protection against cross-site request forgery, by the origin of a request and its CSRF token."""

import secrets
from urllib.parse import urlsplit

from starlette.requests import Request

from orca.errors import Forbidden
from orca.settings import Settings

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_HINT = "Open the panel itself and try again there."


def check_same_origin(request: Request, settings: Settings) -> None:
    """Raise Forbidden when the browser's headers name another site, or another port of this one, as the origin.

    Programs send neither header. `same-site` is refused too: deployed services have neighbouring hostnames.
    """
    if request.headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
        raise Forbidden("Another site made your browser send this.", hint=_HINT)
    origin = request.headers.get("origin")
    if origin is not None and origin not in own_origins(request, settings):
        raise Forbidden("This was sent from another origin.", hint=_HINT)


def check_names_origin(request: Request) -> None:
    """Raise Forbidden unless the request names its origin, as browsers do for every WebSocket, which has no token."""
    if "origin" not in request.headers:
        raise Forbidden("A WebSocket of a browser session has to name its origin.", hint=_HINT)


def own_origins(request: Request, settings: Settings) -> frozenset[str]:
    """Return the origins of this panel's pages, as the browser sees them: the public URL, and the requested host."""
    public = urlsplit(settings.panel_url)
    return frozenset(
        {f"{public.scheme}://{public.netloc}", f"{request.url.scheme}://{request.headers.get('host', '')}"}
    )


async def check_csrf_token(request: Request, expected: str) -> None:
    """Raise Forbidden unless the request has the CSRF token of its session, as header or form field."""
    given = request.headers.get("x-csrf-token")
    if given is None and media_type_of(request) in _FORMS:
        given = await _form_field(request, "csrf_token")
    if given is None or not secrets.compare_digest(given.encode(), expected.encode()):
        await request.close()
        raise Forbidden("This page is out of date.", hint="Reload it and try again.")


def media_type_of(request: Request) -> str:
    """Return the media type of the body in lower case, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _form_field(request: Request, name: str) -> str | None:
    """Return a text field of the form; the request caches the parsed form for the endpoint."""
    value = (await request.form()).get(name)
    return value if isinstance(value, str) else None
