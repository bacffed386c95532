"""Turns a context dataclass into a page, or into the fragment of it that htmx asked for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined

from orca import __version__
from orca.web.guard import Subject, csrf_token_of
from orca.web.nav import NavItem, navigation
from orca.web.sgr import painter

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_WEB = Path(__file__).parent
_DIST = _WEB / "static" / "dist"


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """What `layout/error.html` shows."""

    status: int
    heading: str
    message: str
    hint: str
    request_id: str


@dataclass(frozen=True, slots=True)
class PageFrame:
    """What every layout needs besides the page's own context; templates know it as `page`."""

    nonce: str
    csrf_token: str
    user: Subject | None
    nav: tuple[NavItem, ...]
    path: str
    theme: str
    version: str

    @staticmethod
    def asset(name: str) -> str:
        """URL of a bundled file by its logical name (`app.js`)."""
        return f"/static/dist/{_manifest().get(name, name)}"


def render(
    request: Request,
    template: str,
    context: "DataclassInstance",
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """Answer with a template. One whose name begins with `_` is a fragment and has no layout."""
    return HTMLResponse(draw(request, template, context), status, {"Cache-Control": "no-store", **(headers or {})})


def draw(request: Request, template: str, context: "DataclassInstance") -> str:
    """A template as text: the fields of the context, and `page`."""
    subject: Subject | None = getattr(request.state, "subject", None)
    frame = PageFrame(
        nonce=getattr(request.state, "nonce", ""),
        csrf_token=csrf_token(request, subject),
        user=subject,
        nav=navigation(subject),
        path=request.url.path,
        theme=request.cookies.get("orca_theme", "auto"),
        version=__version__,
    )
    values = {field.name: getattr(context, field.name) for field in fields(context)}
    return _environment().get_template(template).render(page=frame, **values)


def csrf_token(request: Request, subject: Subject | None) -> str:
    """The token that unsafe requests of this browser session must carry; empty without a session."""
    if subject is None or subject.session_id is None:
        return ""
    return csrf_token_of(request.app.state.resources.secret_box, subject.session_id)


@cache
def _environment() -> Environment:
    features = sorted((_WEB.parent / "features").glob("*/templates"))
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(_WEB / "templates"), *(FileSystemLoader(each) for each in features)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"now": lambda: datetime.now(UTC), "painter": painter}
    return environment


@cache
def _manifest() -> dict[str, str]:
    path = _DIST / "manifest.json"
    names: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return names
