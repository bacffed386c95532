"""A worker that dies between sending and storing: the message comes twice under one id, and is never lost."""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.conftest import ROOT
from tests.features.notifications.conftest import PRIVATE, Receiver, until_consumers_have_begun
from tests.features.notifications.test_deliveries import ended, happen, is_signed, team_of
from tests.forks import Process, start_module

pytestmark = pytest.mark.slow
Spawn = Callable[[], Process]


@pytest.fixture
def spawn(tmp_path: Path, database_url: str | None) -> Iterator[Spawn]:
    started: list[Process] = []
    overrides = json.dumps({"database_url": database_url, "webhook": PRIVATE})

    def start() -> Process:
        program = "tests.features.notifications.deliver_program"
        started.append(start_module(program, str(tmp_path / "data"), overrides, env=os.environ, cwd=ROOT))
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.wait(10)


async def test_worker_killed_after_sending_sends_again_under_the_same_id(
    app: FastAPI, client: httpx.AsyncClient, receiver: Receiver, webhook: dict[str, Any], spawn: Spawn
) -> None:
    workers: list[Process] = []

    def kill(_handler: BaseHTTPRequestHandler) -> None:
        os.kill(workers[-1].pid, signal.SIGKILL)

    receiver.answers = [kill, kill]
    workers.append(spawn())
    await until_consumers_have_begun(app)
    await happen(app, await team_of(app))
    for _ in range(2):
        assert await asyncio.to_thread(workers[-1].wait, 60) == -signal.SIGKILL
        workers.append(spawn())
    [row] = await ended(client, webhook, seconds=120)  # the dead are missed after 20 s
    assert (row["state"], row["attempts"]) == ("delivered", 2)  # the one at which it died twice, and the next
    assert [each.headers["webhook-id"] for each in receiver.requests] == [row["id"]] * 3
    assert len({each.body for each in receiver.requests}) == 1
    assert all(is_signed(each, webhook["secret"]) for each in receiver.requests)
