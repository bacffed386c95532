"""One HTTP request at a time, over TCP, TLS or the private unix socket.

The standard library's client: importing httpx takes longer than most commands take in all.
"""

import http.client
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from orca.cli.failures import NOT_SIGNED_IN, UNREACHABLE, CommandFailed

Body = bytes | Iterable[bytes] | None


class SocketConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def connect(url: str, path: Path | None, timeout: float) -> http.client.HTTPConnection:
    """A connection that is not open yet; `path` is the unix socket, if it is one."""
    if path is not None:
        return SocketConnection(path, timeout)
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        return http.client.HTTPSConnection(host, parts.port, timeout=timeout, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, parts.port, timeout=timeout)


def exchange(
    connection: http.client.HTTPConnection, method: str, target: str, headers: dict[str, str], body: Body
) -> http.client.HTTPResponse:
    """Send a request and read the head of its answer. An answer that comes before the body was sent counts too."""
    connection.connect()
    try:
        connection.request(method, target, body, headers)
    except (BrokenPipeError, ConnectionResetError):
        response = http.client.HTTPResponse(connection.sock, method=method)
        response.begin()
        return response
    return connection.getresponse()


def explain(error: Exception, shown: str, path: Path | None) -> CommandFailed:
    """Why there is no answer, and what to do about it."""
    if isinstance(error, PermissionError) and path is not None:
        return CommandFailed(
            f"you may not open {path}", hint="Run orc as the user who runs Orca, or `orc login <url>`.",
            code=NOT_SIGNED_IN,
        )  # fmt: skip
    if path is not None and isinstance(error, ConnectionRefusedError | FileNotFoundError):
        reason, hint = f"Orca does not run on this machine ({path})", "Start it with `orc serve`."
    elif isinstance(error, ssl.SSLCertVerificationError):
        reason = f"{shown} shows a certificate that is not trusted: {error.verify_message}"
        hint = "For a private authority, set SSL_CERT_FILE to a file with its root certificate."
    elif isinstance(error, TimeoutError):
        reason, hint = f"{shown} does not answer in time", "Try again; `orc doctor` on the server tells what it lacks."
    elif isinstance(error, socket.gaierror):
        reason, hint = f"the name of {shown} is unknown", "Check the address with `orc whoami` and `orc login <url>`."
    else:
        reason = f"{shown} cannot be reached: {_words(error)}"
        hint = "Is Orca running there? Check the address, and the network in between."
    return CommandFailed(reason, hint=hint, code=UNREACHABLE)


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
