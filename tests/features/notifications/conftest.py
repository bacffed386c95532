"""Webhooks on both databases, with a receiver on this machine that answers as a test wants."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from tests.conftest import copy_claimed, make_settings, running_app
from tests.core.test_tasks import eventually
from tests.features.services.conftest import stranger, viewer

from orca.events.consumers import EventCursor, list_jobs
from orca.features import list_consumers

__all__ = ["stranger", "viewer"]
PRIVATE = {"private_networks": True}


@dataclass(frozen=True)
class Request:
    """What arrived."""

    path: str
    headers: dict[str, str]
    body: str


@dataclass
class Receiver:
    """Answers with the next of `answers`, at last with 204: a status, or a function that writes the answer."""

    server: ThreadingHTTPServer
    requests: list[Request] = field(default_factory=list)
    answers: list[int | Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/orca"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            made.requests.append(Request(self.path, headers, body))
            answer = made.answers.pop(0) if made.answers else 204
            if callable(answer):
                answer(self)
                return
            self.send_response(answer)
            self.send_header("location", "http://169.254.169.254/")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made = Receiver(server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
async def app(tmp_path: Path, database_url: str | None, claimed_data: Path) -> AsyncIterator[FastAPI]:
    copy_claimed(claimed_data, tmp_path / "data", database_url)
    settings = make_settings(tmp_path / "data", database_url=database_url, webhook=PRIVATE)
    async with running_app(settings) as running:
        yield running


async def until_consumers_have_begun(app: FastAPI) -> None:
    """A new consumer begins with what happens after its start."""

    async def have_begun() -> bool:
        async with app.state.resources.db.read() as session:
            return len((await session.scalars(select(EventCursor))).all()) == len(list_consumers())

    await eventually(have_begun, 60)


@pytest.fixture
async def working(app: FastAPI) -> AsyncIterator[None]:
    """The task engine with the consumers of events, in this process."""
    resources, engine = app.state.resources, app.state.task_engine
    await engine.start(resources, list_jobs(list_consumers()))
    await until_consumers_have_begun(app)
    yield
    await engine.stop(resources)


@pytest.fixture
async def webhook(client: httpx.AsyncClient, receiver: Receiver) -> dict[str, Any]:
    """A webhook for every event of the team."""
    answer = await client.post("/api/v1/webhooks", json={"name": "Chat", "url": receiver.url})
    assert answer.status_code == 201, answer.text
    return answer.json()
