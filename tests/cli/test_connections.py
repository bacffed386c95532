"""Broken connections, kept ones, and proxies from the environment."""

import http.client
import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from orca.cli.client import Client, Server
from orca.cli.connection import SocketConnection, exchange, find_proxy
from orca.cli.failures import UNREACHABLE, CommandFailed


class Flaky(http.server.BaseHTTPRequestHandler):
    """Cuts the first connections off, then answers; keeps connections."""

    protocol_version = "HTTP/1.1"
    cuts = 0
    asked: list[str]
    peers: set[int]

    def do_GET(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        self.peers.add(self.client_address[1])
        if type(self).cuts:
            type(self).cuts -= 1
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_GET  # noqa: N815 - as http.server has it

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Tunnel(http.server.BaseHTTPRequestHandler):
    """A proxy: resolves a name that exists nowhere else to the server of the test."""

    asked: list[str]
    target: int

    def do_CONNECT(self) -> None:
        self.asked.append(f"CONNECT {self.path} {self.headers.get('Proxy-Authorization', '')}")
        self.send_error(407)

    def do_GET(self) -> None:
        self.asked.append(f"GET {self.path}")
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        with suppress(BrokenPipeError):
            self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def serve() -> Iterator[object]:
    servers = []

    def start(handler: type[http.server.BaseHTTPRequestHandler]) -> str:
        kind = type("Handler", (handler,), {"asked": [], "peers": set()})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}", kind

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_get_is_repeated_and_a_post_is_not(serve) -> None:
    url, handler = serve(Flaky)
    handler.cuts = 3
    assert Client(Server(url)).get("/projects") == {}
    assert len(handler.asked) == 4
    handler.cuts = 1
    with pytest.raises(CommandFailed) as failed:
        Client(Server(url)).post("/projects", {})
    assert (failed.value.code, len(handler.asked)) == (UNREACHABLE, 5)


def test_requests_share_a_connection(serve) -> None:
    url, handler = serve(Flaky)
    client = Client(Server(url))
    for _ in range(5):
        client.get("/projects")
    assert len(handler.peers) == 1


def test_a_connection_that_the_server_has_closed_is_closed_here_too() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    connection = SocketConnection(Path("/nowhere"), timeout=5)
    connection.sock = ours
    theirs.close()
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)) as caught:
        exchange(connection, "GET", "/", {}, None)
    connection.close()
    assert ours.fileno() == -1, "what the error refers to keeps it open"
    assert caught.value is not None


def test_proxies_of_the_environment_are_used(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    url, handler = serve(Tunnel)
    monkeypatch.setenv("HTTP_PROXY", url.replace("//", "//me:p%40ss@"))
    monkeypatch.setenv("HTTPS_PROXY", url.replace("//", "//me:p%40ss@"))
    assert Client(Server("http://only-the-proxy-knows.example")).get("/projects") == {}
    assert handler.asked == ["GET http://only-the-proxy-knows.example/api/v1/projects"]
    with pytest.raises(CommandFailed, match="407") as failed:
        Client(Server("https://only-the-proxy-knows.example:8443")).get("/projects")
    assert "HTTPS_PROXY" in failed.value.hint
    assert handler.asked[1] == "CONNECT only-the-proxy-knows.example:8443 Basic bWU6cEBzcw=="


@pytest.mark.parametrize(
    ("excepted", "is_direct"),
    [("", False), ("*", True), ("panel.example.org", True), (".example.org", True), ("example.org", True), ("xample.org", False),
     ("other, example.org:8443", False), ("panel.example.org:443", True)],
)  # fmt: skip
def test_no_proxy_names_what_is_reached_directly(excepted, is_direct, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example.org:3128")
    monkeypatch.setenv("NO_PROXY", excepted)
    assert (find_proxy("https", "panel.example.org", 443) is None) is is_direct
    assert find_proxy("http", "panel.example.org", 80) is None


def test_a_proxy_of_another_kind_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(CommandFailed, match="not of a kind"):
        find_proxy("https", "panel.example.org", None)
