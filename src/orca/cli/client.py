"""The API client of the commands: JSON in, JSON out, failures as exit codes."""

import http.client
import json
import ssl
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from orca import __version__
from orca.cli.connection import Body, connect, exchange, explain
from orca.cli.failures import UNREACHABLE, CommandFailed, exit_code_of

API = "/api/v1"
TIMEOUT = 60.0
Headers = http.client.HTTPMessage | Mapping[str, str]
_ERROR_LIMIT = 1 << 20
_FIRST_ERROR, _REDIRECT = 400, 300
_PAGE = 200
_PAUSES = (0.2, 0.6, 1.8)
"""Seconds before each retry of a request without side effects."""
_PASSING = frozenset({502, 503, 504})
_BROKEN = (ConnectionResetError, BrokenPipeError, ConnectionAbortedError, http.client.HTTPException)


@dataclass(frozen=True, slots=True)
class Server:
    """The address of an Orca server. `socket` is set for the private one of this machine."""

    url: str
    socket: Path | None = None
    token: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """The server's name in links and messages."""
        return "local" if self.socket is not None else self.url


class Client:
    """Sends requests to one server. Those without side effects share a connection, and are retried when it breaks."""

    def __init__(self, server: Server, timeout: float = TIMEOUT) -> None:
        self.server = server
        self._timeout = timeout
        self._kept: list[http.client.HTTPConnection] = []
        weakref.finalize(self, _close_all, self._kept)

    def get(self, path: str, **query: Any) -> Any:
        """GET the JSON of an API path."""
        return self.call("GET", path, query=query)

    def post(self, path: str, body: Any = None) -> Any:
        """POST; return the JSON of the response, None if it is empty."""
        return self.call("POST", path, body=body)

    def call(self, method: str, path: str, *, query: dict[str, Any] | None = None, body: Any = None) -> Any:
        """Send one request. Raises CommandFailed."""
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        pauses = _PAUSES if method == "GET" else ()
        for pause in (*pauses, None):
            try:
                with self.open(method, _target(path, query), headers, content) as response:
                    return _parse(response)
            except CommandFailed as error:
                if pause is None or not error.is_passing:
                    raise
            time.sleep(pause)
        return None

    def list(self, path: str, **query: Any) -> dict[str, Any]:
        """GET all pages of a list as one page with a null `next_cursor`."""
        found: dict[str, Any] = self.get(path, limit=_PAGE, **query)
        while cursor := found["next_cursor"]:
            page = self.get(path, limit=_PAGE, cursor=cursor, **query)
            found = {**found, "items": [*found["items"], *page["items"]], "next_cursor": page["next_cursor"]}
        return found

    def send(self, path: str, chunks: Iterable[bytes], media_type: str, size: int) -> Any:
        """POST a stream of `size` bytes."""
        headers = {"Content-Type": media_type, "Content-Length": str(size)}
        with self.open("POST", _target(path, None), headers, chunks) as response:
            return _parse(response)

    def version(self) -> str:
        """Return the server's version. Raises CommandFailed."""
        return str(self.get("/api/health").get("version"))

    @contextmanager
    def open(
        self, method: str, target: str, headers: dict[str, str] | None = None, body: Body = None, timeout: float = 0
    ) -> Iterator[http.client.HTTPResponse]:
        """Return a response whose body is not read yet. Raises CommandFailed for a status of 300 or more.

        `target` is below /api/v1, unless it begins with /api/ itself.
        """
        path = self.server.socket
        base = urlsplit(self.server.url).path.rstrip("/") + ("" if target.startswith("/api/") else API)
        try:
            connection = self._take(method) or connect(self.server.url, path, timeout or self._timeout)
            is_whole = False
            try:
                if connection.sock is not None:
                    connection.sock.settimeout(timeout or self._timeout)
                with exchange(connection, method, base + target, self.headers() | (headers or {}), body) as response:
                    if response.status >= _REDIRECT:
                        raise self.failure_of(response.status, response.headers, response.read(_ERROR_LIMIT))
                    yield response
                    is_whole = response.isclosed() and not response.will_close
            finally:
                if is_whole and method == "GET":
                    self._kept.append(connection)
                else:
                    connection.close()
        except (OSError, ssl.SSLError, http.client.HTTPException) as error:
            failed = explain(error, self.server.url, path)
            failed.is_passing = isinstance(error, _BROKEN)
            raise failed from None

    def _take(self, method: str) -> http.client.HTTPConnection | None:
        """Return the previous connection, only for requests that can be retried: the server may have closed it."""
        try:
            return self._kept.pop() if method == "GET" else None
        except IndexError:
            return None

    def headers(self) -> dict[str, str]:
        """Return the headers of every request."""
        own = {"User-Agent": f"orc/{__version__}", "Accept": "application/json", "X-Orca-Trigger": "cli"}
        if self.server.token:
            own["Authorization"] = f"Bearer {self.server.token}"
        return own

    def failure_of(self, status: int, headers: Headers, body: bytes | bytearray) -> CommandFailed:
        """Return the failure that a response of status 300 or more stands for."""
        if status < _FIRST_ERROR:
            target = headers.get("Location", "another address")
            message = f"{self.server.url} sends on to {target}, where Orca does not follow with your token"
            return CommandFailed(message, hint="Sign in under the address that answers.", code=UNREACHABLE)
        problem = _problem(headers, body)
        code = exit_code_of(status, problem)
        is_passing = status in _PASSING and (problem or {}).get("code") != "not-claimed"
        if problem is None:
            phrase = http.client.responses.get(status, "")
            message = f"{self.server.url} answered {status} {phrase}, and not as Orca would"
            failed = CommandFailed(message, hint="Is this the address of an Orca panel?", code=code)
        else:
            failed = CommandFailed(str(problem.get("detail", "")), hint=_hint(problem), code=code, problem=problem)
        failed.is_passing = is_passing
        return failed


def _close_all(connections: list[http.client.HTTPConnection]) -> None:
    for connection in connections:
        connection.close()


def segment(value: str) -> str:
    """Quote an id as one segment of a path."""
    return quote(value, safe="")


def _target(path: str, query: dict[str, Any] | None) -> str:
    given = {key: str(value).lower() if isinstance(value, bool) else value for key, value in (query or {}).items()}
    pairs = {key: value for key, value in given.items() if value is not None}
    return f"{path}?{urlencode(pairs)}" if pairs else path


def _parse(response: http.client.HTTPResponse) -> Any:
    content = response.read()
    if not content:
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise CommandFailed(
            "the server answered something that is not JSON",
            hint="Is this the address of an Orca panel, without a path behind it?", code=UNREACHABLE,
        ) from None  # fmt: skip


def _problem(headers: Headers, body: bytes | bytearray) -> dict[str, Any] | None:
    if not headers.get("Content-Type", "").startswith("application/problem+json"):
        return None
    try:
        problem = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return problem if isinstance(problem, dict) else None


def _hint(problem: dict[str, Any]) -> str:
    if problem.get("code") == "not-signed-in":
        return "Sign in with `orc login <url>`, or set ORC_URL and ORC_TOKEN."
    if problem.get("code") == "too-often" and "retry_after" in problem:
        return f"Try again in {problem['retry_after']} s."
    return str(problem.get("hint", ""))
