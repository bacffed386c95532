"""Connections that say little or nothing, against the panel as it really runs: under a small limit of open files."""

import contextlib
import resource
import select
import socket
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest
from tests.conftest import NO_TLS, OWNER, Panel, make_panel, stop_proxy

pytestmark = pytest.mark.slow
FILES = 1024


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Panel]:
    """A claimed panel without tasks that may open so many files and no more."""
    data_dir = tmp_path_factory.mktemp("small")
    panel = make_panel(data_dir, ORC_WORKER="false", ORC_DOCKER_HOST=f"unix://{data_dir}/no-docker.sock")
    panel.start()
    assert panel.process is not None
    resource.prlimit(panel.process.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
    try:
        panel.wait_ready()
        token = (data_dir / "claim-token").read_text().strip()
        assert httpx.post(f"{panel.url}/api/v1/claim", json={**OWNER, "token": token}).is_success
        yield panel
    finally:
        panel.stop()
        stop_proxy(data_dir / "proxy")


@contextlib.contextmanager
def connected(panel: Panel, count: int, say: bytes = b"") -> Iterator[list[socket.socket]]:
    """So many connections that have said something."""
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(count):
            each = stack.enter_context(socket.create_connection(("127.0.0.1", panel.port), timeout=10))
            with contextlib.suppress(ConnectionError):
                each.sendall(say)
            opened.append(each)
        yield opened


def are_ended(sockets: list[socket.socket], *, within: float) -> bool:
    """Whether the other side ends them all by then."""
    deadline, left = time.monotonic() + within, set(sockets)
    while left and time.monotonic() < deadline:
        poll = select.poll()
        by_number = {each.fileno(): each for each in left}
        for number in by_number:
            poll.register(number, select.POLLIN | select.POLLRDHUP)
        for number, _ in poll.poll(200):
            with contextlib.suppress(ConnectionError):
                if by_number[number].recv(65536):
                    continue
            left.discard(by_number[number])
    return not left


def healthy(panel: Panel) -> float:
    """Seconds until the panel says that it lives."""
    started = time.monotonic()
    assert httpx.get(f"{panel.url}/api/health", timeout=5, verify=NO_TLS).status_code == 200
    return time.monotonic() - started


@pytest.mark.parametrize("say", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "], ids=["silent", "half a head"])
def test_more_silent_connections_than_files_keep_nobody_out(small: Panel, say: bytes) -> None:
    said = len(small.log)
    with connected(small, FILES - 4, say) as opened:
        assert max(healthy(small) for _ in range(5)) < 2
        assert small.process is not None
        assert psutil.Process(small.process.pid).num_fds() < FILES * 3 // 4
        assert are_ended(opened, within=15)
    assert healthy(small) < 2
    assert len(small.log) - said < 5000


def test_a_head_that_comes_byte_by_byte_is_not_waited_for(small: Panel) -> None:
    with connected(small, 1) as (slow,):
        started = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for byte in b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"x" * 100:
                slow.send(bytes([byte]))
                if select.select([slow], [], [], 0.25)[0]:
                    break
        assert 8 < time.monotonic() - started < 14


def request(path: str, length: int, **headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {length}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode()


def test_a_body_that_trickles_is_cut_and_told_and_one_that_flows_is_not(small: Panel) -> None:
    head = request("/api/v1/session", 100_000, **{"Content-Type": "application/json"})
    with connected(small, 3, head + b'{"email": "') as (silent, trickling, flowing):
        started, ended = time.monotonic(), {}
        while time.monotonic() - started < 28:  # a request as a whole has 30
            for each, piece in ((trickling, b"a"), (flowing, b"a" * 1000)):
                with contextlib.suppress(ConnectionError):
                    each.send(piece)
            open_ones = [each for each in (silent, trickling, flowing) if each not in ended]
            for each in select.select(open_ones, [], [], 0.5)[0]:
                with contextlib.suppress(ConnectionError):
                    ended[each] = (time.monotonic() - started, each.recv(1000))
    assert set(ended) == {silent, trickling}
    for seconds, answer in ended.values():
        assert 18 < seconds < 26
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"bytes a second" in answer
    assert "Traceback" not in small.log


def test_a_panel_that_crashes_leaves_no_memory_behind(small: Panel) -> None:
    """Its keys are in there, and what it starts gets secrets in its environment."""
    assert small.process is not None
    for process in (small.process.pid, *(each.pid for each in psutil.Process(small.process.pid).children())):
        assert resource.prlimit(process, resource.RLIMIT_CORE) == (0, 0)
