"""The component gallery, rendered with plain Jinja2 and served under the panel's content policy."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from orca.web.guard import Subject
from orca.web.nav import ITEMS
from orca.web.render import ErrorPage, PageFrame, _environment as environment

WEB = Path(__file__).parents[2] / "src/orca/web"
NONCE = "r4nd0mn0nce"
POLICY = (
    f"default-src 'none'; script-src 'nonce-{NONCE}' 'strict-dynamic'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "object-src 'none'; require-trusted-types-for 'script'"
)
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json"}
STATES = (
    "queued building deploying running healthy live failed cancelled stopped superseded degraded crash-looping unknown"
).split()


def frame(theme: str = "auto", path: str = "/projects/aurora", toast: str = "", actor: str = "sam@aurora.dev") -> PageFrame:
    user = Subject(actor, "session", "team", frozenset())
    return PageFrame(NONCE, "csrf-4242", user, ITEMS, path, theme, "0.1.0", toast)


def sample(stream: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    titles = ["Warmer welcome text", "Cache the menu for an hour", "Fix the health check path", "Add a sitemap", "First"]
    states = ["building", "healthy", "failed", "superseded", "cancelled"]
    deployments = [
        {
            "number": 48 - i,
            "title": title,
            "state": state,
            "commit": f"9f86d0{i}",
            "seconds": [None, 41.3, 8.24, 0.42, 3671][i],
            "at": now - timedelta(minutes=[0, 3, 70, 1500, 90000][i]),
        }
        for i, (title, state) in enumerate(zip(titles, states, strict=True))
    ]
    step_names = ["Fetch source", "Build image", "Start release", "Check health", "Route traffic", "Retire previous"]
    states_now = ["done", "done", "working", "queued", "queued", "queued"]
    steps = [
        {"label": label, "state": state, "seconds": [1.2, 32.6][i] if i < 2 else None, "started_at": now, "note": ""}
        for i, (label, state) in enumerate(zip(step_names, states_now, strict=True))
    ]
    failed = [
        {"label": "Fetch source", "state": "done", "seconds": 0.84, "started_at": now, "note": ""},
        {"label": "Build image", "state": "failed", "seconds": 75, "started_at": now, "note": "npm ended with exit code 1"},
        {"label": "Start release", "state": "skipped", "seconds": None, "started_at": None, "note": ""},
        {"label": "Check health", "state": "cancelled", "seconds": None, "started_at": None, "note": ""},
    ]
    lines = [
        {"step": "Fetch source", "text": "Cloning github.com/aurora/web at \x1b[33m9f86d08\x1b[0m"},
        {"step": "Fetch source", "text": "Received 1,204 objects, 3.1 MB"},
        {"step": "Build image", "text": "\x1b[36m#1\x1b[0m load build definition from Dockerfile"},
        {"step": "Build image", "text": "\x1b[36m#4\x1b[0m RUN npm ci \x1b[2m(cached)\x1b[0m"},
        {"step": "Build image", "text": "\x1b[1;31merror\x1b[0m Cannot find module \x1b[32m'./menu'\x1b[0m <script>alert(1)</script>"},
        {"step": "Build image", "text": "\x1b[97;41m FAIL \x1b[0m \x1b[35mtests\x1b[39m/menu.test.js \x1b[34mblue\x1b[0m"},
    ]
    return {
        "now": now,
        "deployments": deployments,
        "steps": steps,
        "failed_steps": failed,
        "lines": lines,
        "states": STATES,
        "stream": stream,
    }


def render_gallery(theme: str = "auto", stream: str = "/log", **page: str) -> str:
    template = environment().get_template("components/_gallery.html")
    return template.render(page=frame(theme, **page), sample=sample(stream))


def render_error(theme: str = "auto") -> str:
    error = ErrorPage(404, "Not Found", "There is no such service here.", "It may have been deleted.", "01JD-4242")
    return environment().get_template("layout/error.html").render(page=frame(theme), **vars_of(error))


def vars_of(error: ErrorPage) -> dict[str, Any]:
    return {name: getattr(error, name) for name in ErrorPage.__slots__}


def render_palette(query: str) -> str:
    items = [
        {"label": item.label, "href": item.href, "icon": item.icon, "note": "Page"}
        for item in ITEMS
        if query.lower() in item.label.lower()
    ]
    source = '{% from "components/palette.html" import palette_results %}{{ palette_results(groups, query) }}'
    groups = [{"label": "Go to", "items": items}] if items else []
    return environment().from_string(source).render(groups=groups, query=query)


@dataclass
class GallerySite:
    """Answers by path; `events` holds the server-sent events of /log, `requests` what the browser asked for."""

    pages: dict[str, Callable[[], str]] = field(default_factory=dict)
    events: Callable[[], Iterator[str]] = lambda: iter(())
    requests: list[str] = field(default_factory=list)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    address: str = ""


class _Handler(BaseHTTPRequestHandler):
    site: GallerySite

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.site.requests.append(f"{self.command} {self.path}")
        if url.path.startswith("/static/"):
            file = WEB / url.path.lstrip("/")
            self.answer(file.read_bytes(), TYPES[file.suffix])
        elif url.path == "/log":
            self.stream()
        elif url.path == "/palette":
            self.answer(render_palette(parse_qs(url.query).get("q", [""])[0]).encode(), "text/html; charset=utf-8")
        elif url.path in self.site.pages:
            self.answer(self.site.pages[url.path]().encode(), "text/html; charset=utf-8")
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.do_GET()

    def answer(self, body: bytes, content_type: str) -> None:
        self.send_response(200)
        for name, value in self.site.headers.get(urlsplit(self.path).path, {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for event in self.site.events():
            self.wfile.write(event.encode())
            self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the test says what matters."""


@contextmanager
def serve(site: GallerySite) -> Iterator[GallerySite]:
    handler = type("Handler", (_Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    site.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
