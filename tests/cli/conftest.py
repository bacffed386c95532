"""The command with a home of its own, talking to a real panel or to a stub."""

import contextlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from tests.conftest import Panel, copy_schema, make_panel, stop_proxy

from orca.cli.dispatch import main

SECONDS = 120


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Orc:
    """Runs `orc` in a folder, as a user whose home is empty."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, stdin: str | bytes = "", **env: str) -> Done:
        """In this process, because starting Python takes longer than most commands do."""
        given = stdin.encode() if isinstance(stdin, str) else stdin
        out, err = io.StringIO(), io.StringIO()
        with (
            patch.dict(os.environ, {**self.env, **env}, clear=True), contextlib.chdir(self.folder),
            patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(given))), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err),
        ):  # fmt: skip
            try:
                code = main(arguments)
            except SystemExit as exited:
                code = int(exited.code or 0)
        return Done(code, out.getvalue(), err.getvalue())

    def process(self, *arguments: str, stdin: str = "", **env: str) -> Done:
        """As people start it."""
        done = subprocess.run(
            [sys.executable, "-m", "orca.cli", *arguments], cwd=self.folder, env={**self.env, **env}, input=stdin,
            capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str, **kwargs: Any) -> Done:
        done = self(*arguments, **kwargs)
        assert done.code == 0, f"{arguments}: {done.code}\n{done.out}\n{done.err}"
        return done

    def start(self, *arguments: str, **kwargs: Any) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "orca.cli", *arguments], cwd=self.folder, env=self.env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, **kwargs,
        )  # fmt: skip


def make_orc(root: Path, **env: str) -> Orc:
    home, folder = root / "home", root / "work"
    home.mkdir()
    folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ORC_") and name != "DATABASE_URL"}
    return Orc(folder, {**kept, "HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config"), **env})


@pytest.fixture
def orc(tmp_path: Path) -> Orc:
    """Nothing is chosen, and no Orca runs in this home."""
    return make_orc(tmp_path)


# ── a panel without tasks: all that needs no Docker ──────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def quiet_panel(tmp_path_factory: pytest.TempPathFactory, schema: Path) -> Iterator[Panel]:
    """A real `orc serve` that runs no tasks, on a machine whose Docker is away."""
    data_dir = tmp_path_factory.mktemp("quiet") / "data"
    panel = make_panel(data_dir, ORC_WORKER="false", ORC_DOCKER_HOST=f"unix://{data_dir}/no-docker.sock")
    panel.real = True
    copy_schema(schema, panel).start()
    try:
        panel.wait_ready(120)
        yield panel
    finally:
        panel.stop()
        stop_proxy(panel.data_dir / "proxy")


@pytest.fixture
def local(tmp_path: Path, quiet_panel: Panel) -> Orc:
    """Reaches the quiet panel through its private socket."""
    return make_orc(tmp_path, ORC_DATA_DIR=str(quiet_panel.data_dir))


# ── a stub that answers what a test tells it to ──────────────────────────────────────────────────────────────────────


@dataclass
class Asked:
    """One request that came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[["StubHandler"], None]


@dataclass
class Stub:
    """An HTTP server whose answers a test writes; for what a healthy panel never does."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def on(self, route: str, answer: Answer) -> None:
        """`GET /api/v1/me`; without the query."""
        self.answers[route] = answer

    def json(self, route: str, value: Any, status: int = 200, media_type: str = "application/json") -> None:
        content = json.dumps(value).encode()
        self.on(route, lambda handler: handler.send(status, media_type, content))


class StubHandler(BaseHTTPRequestHandler):
    stub: Stub

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.stub.asked.append(Asked(self.command, self.path, dict(self.headers), body))
        route = f"{self.command} {self.path.partition('?')[0]}"
        self.stub.answers.get(route, _unknown)(self)

    do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - http.server looks for these names

    def send(self, status: int, media_type: str, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": media_type, "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()

    def event(self, name: str, data: Any, event_id: str = "") -> None:
        identifier = f"id: {event_id}\n" if event_id else ""
        self.wfile.write(f"{identifier}event: {name}\ndata: {json.dumps(data)}\n\n".encode())
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Quiet."""


def _unknown(handler: StubHandler) -> None:
    problem = {"status": 404, "code": "not-found", "detail": f"the stub knows no {handler.command} {handler.path}"}
    handler.send(404, "application/problem+json", json.dumps(problem).encode())


@pytest.fixture
def stub() -> Iterator[Stub]:
    made = Stub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (StubHandler,), {"stub": made}))
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()


@pytest.fixture
def remote(tmp_path: Path, stub: Stub) -> Orc:
    """Talks to the stub, as a script would be told to."""
    return make_orc(tmp_path, ORC_URL=stub.url, ORC_TOKEN="a-token-of-the-test")
