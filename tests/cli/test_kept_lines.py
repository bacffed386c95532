"""`orc logs` with filters: lines that the server keeps, also when nothing runs any more."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.cli.conftest import Orc, Stub
from tests.cli.test_observing import page, tell

pytestmark = pytest.mark.slow


def test_kept_lines_are_asked_for_with_their_filters(remote: Orc, stub: Stub) -> None:
    tell(stub, release=3)
    line = {
        "id": 7, "at": "2026-12-01T09:00:00Z", "replica": 1, "release": 2, "stream": "stderr", "level": "error",
        "text": "it broke", "is_match": True,
    }  # fmt: skip

    found = {"items": [line], "older": 7, "newer": 7, "total": 12, "is_total_exact": True, "problem": ""}
    stub.json("GET /api/v1/services/s/logs/lines", found)
    releases = [{"number": number, "went_live_at": "2026-01-01T00:00:00Z"} for number in (3, 2, 1)]
    stub.json("GET /api/v1/services/s/releases", page(*releases))
    options = ["--grep", "Broke", "--level", "error", "--previous", "-n", "1", "--times"]
    done = remote.ok("logs", "--service", "web", *options)
    assert (done.out, done.err) == (
        "09:00:00 1 it broke\n", "The newest 1 of 12 lines. `--tail N` and `--since` show others.\n",
    )  # fmt: skip
    (sent,) = [asked.path for asked in stub.asked if "/logs/lines" in asked.path]
    assert parse_qs(urlsplit(sent).query) == {
        "grep": ["Broke"], "level": ["error", "fatal"], "release": ["2"], "limit": ["1"], "context": ["0"],
    }  # fmt: skip
    assert remote("logs", "--service", "web", "--since", "yesterday").code == 2


def test_what_was_written_last_is_shown_when_nothing_runs(remote: Orc, stub: Stub) -> None:
    tell(stub, wanted="stopped", running=0)

    def silent(handler: Any) -> None:
        handler.begin_stream()
        handler.event("end", {"state": "ended"})

    stub.on("GET /api/v1/services/s/logs", silent)
    stub.json("GET /api/v1/services/s/logs/lines", {"items": [{"replica": 0, "at": None, "text": "last words"}]})
    assert remote.ok("logs", "--service", "web").out == "0 last words\n"
