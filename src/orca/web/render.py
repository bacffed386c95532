"""Renders a context dataclass as a page, or as the fragment of it that htmx requested."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined

from orca import __version__
from orca.web.guard import Subject, csrf_token_of
from orca.web.lists import Listing
from orca.web.marks import PART, PART_END, without_marks
from orca.web.nav import Menus, NavItem, Place, Tab, find_current, list_places, navigation
from orca.web.sgr import painter

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_WEB = Path(__file__).parent
_DIST = _WEB / "static" / "dist"
_PARTS = ("charts.js", "charts.css", "terminal.js", "terminal.css")


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """The context of `layout/error.html`."""

    status: int
    heading: str
    message: str
    hint: str
    request_id: str
    sign_in: str = ""
    """The address of the sign-in that leads back, where one is needed."""


@dataclass(frozen=True, slots=True)
class PageFrame:
    """The data of every layout besides the page's own context; `page` in templates."""

    nonce: str
    csrf_token: str
    user: Subject | None
    nav: tuple[NavItem, ...]
    path: str
    theme: str
    version: str
    tabs: Sequence[Tab] = ()

    @property
    def places(self) -> list[Place]:
        """The entries of the rail."""
        return list_places(self.nav)

    @property
    def current(self) -> NavItem | None:
        """The page of the navigation that is open, or to which the open page belongs."""
        return find_current(self.nav, self.path)

    @property
    def place(self) -> Place | None:
        """The entry of the rail behind which the open page is."""
        return next((place for place in self.places if self.current in place.items), None)

    def tabs_of(self, kind: str, address: str) -> list[tuple[str, str]]:
        """Return the tabs of an object's pages that the user may open: label and address, after the object's own."""
        return [
            (tab.label, address + tab.path)
            for tab in self.tabs
            if tab.of == kind and (not tab.permission or (self.user is not None and self.user.can(tab.permission)))
        ]

    def tab_href(self, kind: str, address: str, key: str) -> str:
        """Return the address of one tab."""
        return next(address + tab.path for tab in self.tabs if (tab.of, tab.key) == (kind, key))

    @property
    def parts(self) -> dict[str, str]:
        """The files that a page's script fetches when something on the page needs them: name -> URL."""
        return {name: self.asset(name) for name in _PARTS}

    @staticmethod
    def asset(name: str) -> str:
        """Return the URL of a bundled file by its logical name (`app.js`)."""
        return f"/static/dist/{_manifest().get(name, name)}"


def render(
    request: Request,
    template: str,
    context: "DataclassInstance",
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """Respond with a template. One whose name begins with `_` is a fragment without layout."""
    text = without_marks(draw(request, template, context))
    return HTMLResponse(text, status, {"Cache-Control": "no-store", **(headers or {})})


def render_list(
    request: Request, template: str, context: "DataclassInstance", listing: Listing[Any], *, status: int = 200
) -> HTMLResponse:
    """Respond with a page that has a list; htmx puts the shortest address of what it shows into the address bar."""
    headers = {"HX-Replace-Url": listing.href(after=listing.asked.after)}
    return render(request, template, context, status=status, headers=headers)


def draw(request: Request, template: str, context: "DataclassInstance", *, shared: bool = False) -> str:
    """Render a template as text with marks, with the fields of the context and `page`.

    `shared`: without anything of the session, for a drawing that others may see.
    """
    subject: Subject | None = getattr(request.state, "subject", None)
    menus: Menus = request.app.state.menus
    frame = PageFrame(
        nonce=getattr(request.state, "nonce", ""),
        csrf_token="" if shared else csrf_token(request, subject),
        user=subject,
        nav=navigation(menus, subject),
        path=request.url.path,
        theme=request.cookies.get("orca_theme", "auto"),
        version=__version__,
        tabs=menus.tabs,
    )
    values = {field.name: getattr(context, field.name) for field in fields(context)}
    return _environment().get_template(template).render(page=frame, **values)


def csrf_token(request: Request, subject: Subject | None) -> str:
    """Return the token that unsafe requests of this session must contain; empty without a session."""
    if subject is None or subject.session_id is None:
        return ""
    return csrf_token_of(request.app.state.resources.secret_box, subject.session_id)


@cache
def _environment() -> Environment:
    features = sorted((_WEB.parent / "features").glob("*/templates"))
    environment = Environment(
        loader=ChoiceLoader(
            [FileSystemLoader(_WEB / "templates"), *(FileSystemLoader(feature) for feature in features)]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "now": lambda: datetime.now(UTC), "painter": painter, "PART": PART, "PART_END": PART_END,
    }  # fmt: skip
    environment.filters["utc_minute"] = _utc_minute
    return environment


def _utc_minute(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


@cache
def _manifest() -> dict[str, str]:
    path = _DIST / "manifest.json"
    names: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return names
