"""The component gallery: drawn by the panel's own environment, served under its content policy, driven in Chromium."""

import fcntl
import json
import runpy
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import sin
from operator import attrgetter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from orca.features import load_features
from orca.web.guard import Subject
from orca.web.middleware import content_security_policy
from orca.web.render import ErrorPage, PageFrame, _environment, _manifest

ROOT = Path(__file__).parents[2]
ITEMS = tuple(sorted((item for feature in load_features() for item in feature.nav), key=attrgetter("order")))
WEB = ROOT / "src/orca/web"
NONCE = "r4nd0mn0nce"
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2"}
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
STATES = [
    "queued",
    "building",
    "deploying",
    "running",
    "healthy",
    "live",
    "failed",
    "cancelled",
    "stopped",
    "superseded",
    "degraded",
    "crash-looping",
    "unknown",
]
LINES = [
    ("Fetch source", "Cloning github.com/aurora/web at \x1b[33m9f86d08\x1b[0m"),
    ("Fetch source", "Received 1,204 objects, 3.1 MB"),
    ("Build image", "\x1b[36m#1\x1b[0m load build definition from Dockerfile"),
    ("Build image", "\x1b[36m#4\x1b[0m RUN npm ci \x1b[2m(cached)\x1b[0m"),
    ("Build image", "\x1b[1;31merror\x1b[0m Cannot find module \x1b[32m'./menu'\x1b[0m <script>alert(1)</script>"),
    ("Build image", "\x1b[97;41m FAIL \x1b[0m \x1b[35mtests\x1b[39m/menu.test.js \x1b[34mblue\x1b[0m"),
]


def frame(theme: str = "auto", actor: str = "sam@aurora.dev") -> PageFrame:
    """What the server gives every layout."""
    user = Subject(actor, "session", "team")
    return PageFrame(NONCE, "csrf-4242", user, ITEMS, "/projects/aurora", theme, "0.1.0")


def draw(source: str, **values: Any) -> str:
    """A template given as text, with every macro as `ui`."""
    head = '{% import "components/ui.html" as ui %}'
    return _environment().from_string(head + source).render(**values)


def draw_page(content: str, crumbs: str = "", **values: Any) -> str:
    """A whole page around some content."""
    head = '{% extends "layout/base.html" %}{% import "components/ui.html" as ui %}{% block title %}Test{% endblock %}'
    crumbs = f"{{% block breadcrumbs %}}{crumbs}{{% endblock %}}"
    template = _environment().from_string(f"{head}{crumbs}{{% block content %}}<h1>Test</h1>{content}{{% endblock %}}")
    return template.render(page=frame(), **values)


def draw_gallery(theme: str = "auto", toast: str = "") -> str:
    template = _environment().get_template("components/_gallery.html")
    return template.render(page=frame(theme, toast), sample=sample())


def draw_error(theme: str = "auto", message: str = "There is no such service here.") -> str:
    error = ErrorPage(404, "Not Found", message, "It may have been deleted.", "01JD-4242")
    return _environment().get_template("layout/error.html").render(page=frame(theme), **asdict(error))


def draw_palette(query: str) -> str:
    items = [
        {"label": item.label, "href": item.href, "icon": item.icon, "note": "Page"}
        for item in ITEMS
        if query.lower() in item.label.lower()
    ]
    if query.lower() in "deploy web":
        items[1:1] = [{"label": "Deploy web", "href": "/deployed", "icon": "rocket", "note": "shop", "posts": True}]
    groups = [{"label": "Go to", "items": items}] if items else []
    return draw("{{ ui.palette_results(groups, query, 'csrf-4242') }}", groups=groups, query=query)


def sample() -> dict[str, Any]:
    now = datetime.now(UTC)
    rows = [
        ("Warmer welcome text", "building", None, timedelta()),
        ("Cache the menu for an hour", "healthy", 41.3, timedelta(minutes=3)),
        ("Fix the health check path", "failed", 8.24, timedelta(hours=1)),
        ("Add a sitemap", "superseded", 0.42, timedelta(days=1)),
        ("First", "cancelled", 3671, timedelta(days=62)),
    ]
    deployments = [
        {"number": 48 - i, "title": title, "state": state, "commit": f"9f86d0{i}", "seconds": took, "at": now - age}
        for i, (title, state, took, age) in enumerate(rows)
    ]
    going = [("Fetch source", "done", 1.2), ("Build image", "done", 32.6), ("Start release", "working", None)]
    waiting = [(label, "queued", None) for label in ("Check health", "Route traffic", "Retire previous")]
    ended = [("Fetch source", "done", 0.84), ("Build image", "failed", 75), ("Start release", "skipped", None)]
    return {
        "now": now,
        "deployments": deployments,
        "steps": [step(now, *each) for each in going + waiting],
        "failed_steps": [step(now, *each) for each in [*ended, ("Check health", "cancelled", None)]],
        "lines": [log_line(number, text, name) for number, (name, text) in enumerate(LINES)],
        "states": STATES,
        "stream": "/log",
        **charts(),
    }


def charts() -> dict[str, Any]:
    start = 1_795_000_000
    times = [start + 60 * i for i in range(60)]
    wave = [round(40 + 30 * sin(i / 6) + (i * 7) % 11, 1) for i in range(60)]
    gap: list[float | None] = [None if 20 <= i < 28 else value for i, value in enumerate(wave)]
    replicas = [{"label": f"web-{n}", "values": [value + 12 * n for value in wave]} for n in range(1, 9)]
    return {
        "requests": {
            "times": times,
            "series": [{"label": "Requests", "values": gap}],
            "marks": [{"at": times[35], "label": "Deployment #48"}],
            "unit": "per minute",
        },
        "memory": {"times": times, "series": replicas, "marks": [], "unit": "MB"},
        "builds": {
            "times": [start + 3600 * i for i in range(24)],
            "series": [{"label": "Deployments", "values": [(i * 5) % 7 for i in range(24)]}],
            "marks": [],
            "unit": "",
        },
        "silent": {"times": times, "series": [{"label": "CPU", "values": [None] * 60}], "marks": [], "unit": "%"},
        "checks": [(f"Check {i}", None if i == 3 else i % 8) for i in range(30)],
    }


def step(now: datetime, label: str, state: str, seconds: float | None) -> dict[str, Any]:
    note = "npm ended with exit code 1" if state == "failed" else ""
    return {"label": label, "state": state, "seconds": seconds, "started_at": now, "note": note, "line": None}


@dataclass(frozen=True)
class Answer:
    body: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Site:
    """A server of this test: `answers` and `streams` (server-sent events) by path; `requests` is what came in."""

    answers: dict[str, Callable[[], Answer]] = field(default_factory=dict)
    streams: dict[str, Callable[[], Iterator[str]]] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str], str]] = field(default_factory=list)
    address: str = ""

    def show(self, path: str, body: str, **answer: Any) -> str:
        """Answer a path with a page; its whole address."""
        self.answers[path] = lambda: Answer(body, **answer)
        return self.address + path


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        self.site.requests.append((self.command, self.path, dict(self.headers), body))
        if url.path.startswith("/static/"):
            self.send_file(WEB / url.path.lstrip("/"))
        elif url.path in self.site.streams:
            self.send_events(self.site.streams[url.path]())
        elif url.path == "/palette":
            self.send(Answer(draw_palette(parse_qs(url.query).get("q", [""])[0])))
        else:
            self.send(self.site.answers.get(url.path, lambda: Answer(draw_error(), 404))())

    def do_POST(self) -> None:
        self.do_GET()

    def send_file(self, file: Path) -> None:
        self.send(Answer(status=200, headers={"Content-Type": TYPES[file.suffix]}), file.read_bytes())

    def send(self, answer: Answer, content: bytes = b"") -> None:
        content = content or answer.body.encode()
        self.send_response(answer.status)
        headers = {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Length": str(len(content)),
            "Content-Security-Policy": content_security_policy(NONCE),
            "X-Content-Type-Options": "nosniff",
        }
        for name, value in {**headers, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def send_events(self, events: Iterator[str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            for event in events:
                self.wfile.write(event.encode())
        except OSError:
            return  # the browser went away

    def log_message(self, *args: object) -> None:
        """Nothing: the test says what matters."""


@contextmanager
def serve(site: Site) -> Iterator[Site]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": site}))
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


def log_line(number: int, text: str, step: str = "Build image") -> dict[str, Any]:
    at = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
    return {"id": number, "step": step, "text": text, "level": "none", "at": at}


def log_event(offset: int, text: str, step: str = "Build image") -> str:
    return f"event: log\ndata: {json.dumps({'offset': offset, 'step': step, 'text': text, 'at': '2026-12-01T12:00:00Z'})}\n\n"


def end_event(state: str) -> str:
    return f"event: end\ndata: {json.dumps({'state': state})}\n\n"


def held(first: list[str], then: tuple[str, ...] = (), seconds: float = 5) -> Iterator[str]:
    """Events, a pause, and the rest: a stream that stays open for a while."""
    yield from first
    time.sleep(seconds)
    yield from then


@pytest.fixture(scope="session")
def front_end() -> Path:
    """The bundle of the sources as they are, and frontend/node_modules; parallel test workers wait for each other."""
    hook = runpy.run_path(str(ROOT / "hatch_build.py"))
    with (Path(tempfile.gettempdir()) / "orca-front-end.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        hook["install_packages"](ROOT)
        hook["bundle"](ROOT)
    _manifest.cache_clear()
    return ROOT / "frontend"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def site(front_end: Path) -> Iterator[Site]:
    """A server with the gallery in every theme."""
    made = Site(
        streams={"/log": lambda: iter([log_event(99, "Container orca-web-48 started"), end_event("succeeded")])}
    )
    with serve(made):
        for theme in ("auto", "light", "dark"):
            made.show(f"/{theme}", draw_gallery(theme))
        yield made


RECORD_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => window.violations.push(`${e.violatedDirective} ${e.sample}`));
"""


def complaint(message: ConsoleMessage) -> list[str]:
    """Errors of the console, but for the notes that Chromium and htmx make of an answer like 422."""
    of_htmx = message.text.startswith("Response Status Error Code 4")
    of_chromium = "responded with a status of 4" in message.text and "/static/" not in message.location["url"]
    return [message.text] if message.type == "error" and not of_htmx and not of_chromium else []


@pytest.fixture
def open_tab(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages; at the end none may have broken the content policy, thrown, or logged an error."""
    pages: list[Page] = []
    complaints: list[str] = []

    def open_at(address: str, width: int = 1280, **context: Any) -> Page:
        page = chromium.new_context(viewport={"width": width, "height": 860}, **context).new_page()
        page.add_init_script(RECORD_VIOLATIONS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.extend(complaint(message)))
        pages.append(page)
        page.goto(address)
        return page

    yield open_at
    for page in pages:
        complaints += page.evaluate("window.violations")
        page.context.close()
    assert not complaints
