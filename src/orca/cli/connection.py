"""One HTTP request at a time, over TCP, TLS or the private unix socket.

Uses the standard library's client, because importing httpx takes longer than most commands take in total.
"""

import base64
import http.client
import os
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from orca.cli.failures import NOT_SIGNED_IN, UNREACHABLE, CommandFailed

Body = bytes | Iterable[bytes] | None
_PROXY_PORT = 8080


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
    """Return a connection that is not open yet; `path` is the unix socket, if one is used."""
    if path is not None:
        return SocketConnection(path, timeout)
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxy = find_proxy(parts.scheme, host, parts.port)
    if parts.scheme == "https":
        context = ssl.create_default_context()
        if proxy is None:
            return http.client.HTTPSConnection(host, parts.port, timeout=timeout, context=context)
        tunnel = http.client.HTTPSConnection(proxy.host, proxy.port, timeout=timeout, context=context)
        tunnel.set_tunnel(host, parts.port, proxy.headers)
        return tunnel
    if proxy is None:
        return http.client.HTTPConnection(host, parts.port, timeout=timeout)
    return ProxiedConnection(proxy, parts.netloc.rpartition("@")[2], timeout)


@dataclass(frozen=True, slots=True)
class Proxy:
    """The proxy between this machine and the server, from the environment."""

    host: str
    port: int
    headers: dict[str, str] = field(repr=False)


def find_proxy(scheme: str, host: str, port: int | None) -> Proxy | None:
    """Read HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, in either case. Raises CommandFailed if unusable."""
    names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
    given = next((value for name in names if (value := os.environ.get(name))), "")
    if not given or _is_excepted(host, port):
        return None
    try:
        parts = urlsplit(given if "://" in given else f"http://{given}")
        address, number = parts.hostname or "", parts.port or _PROXY_PORT
    except ValueError:
        address, number, parts = "", 0, urlsplit("")
    if parts.scheme != "http" or not address:
        raise CommandFailed(
            f"the proxy for {scheme} in the environment is not of a kind that orc speaks to",
            hint="Write HTTPS_PROXY as http://host:port, or name the server in NO_PROXY.", code=UNREACHABLE,
        )  # fmt: skip
    if parts.username is None:
        return Proxy(address, number, {})
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return Proxy(address, number, {"Proxy-Authorization": f"Basic {base64.b64encode(login).decode()}"})


def _is_excepted(host: str, port: int | None) -> bool:
    """Whether NO_PROXY names the host, or a domain that it is in; `*` names all."""
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    for entry in (part.strip().lower().lstrip(".") for part in given.split(",")):
        if entry in {"*", host, f"{host}:{port}"} or (entry and host.endswith(f".{entry}")):
            return True
    return False


class ProxiedConnection(http.client.HTTPConnection):
    """Plain HTTP through a proxy, with absolute URLs in the request line."""

    def __init__(self, proxy: Proxy, authority: str, timeout: float) -> None:
        super().__init__(proxy.host, proxy.port, timeout=timeout)
        self._proxy, self._authority = proxy, authority

    def putrequest(self, method: str, url: str, skip_host: bool = False, skip_accept_encoding: bool = False) -> None:
        """Write the request line with the absolute URL."""
        super().putrequest(method, f"http://{self._authority}{url}", skip_host, skip_accept_encoding)
        for name, value in self._proxy.headers.items():
            self.putheader(name, value)


def exchange(
    connection: http.client.HTTPConnection, method: str, target: str, headers: dict[str, str], body: Body
) -> http.client.HTTPResponse:
    """Send a request and read the head of its response, also if that arrives before the whole body was sent."""
    if connection.sock is None:
        connection.connect()
    try:
        connection.request(method, target, body, headers)
    except (BrokenPipeError, ConnectionResetError):
        response = http.client.HTTPResponse(connection.sock, method=method)
        try:
            response.begin()
        except BaseException:
            response.close()  # its file keeps the socket open, even after the connection was closed
            raise
        return response
    return connection.getresponse()


def explain(error: Exception, shown: str, path: Path | None) -> CommandFailed:
    """Explain why there is no response, and what to do about it."""
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
    elif "Tunnel connection failed" in str(error):
        reason = f"the proxy in the environment does not lead to {shown}: {str(error).partition(': ')[2]}"
        hint = "Check HTTPS_PROXY and its login, or name the server in NO_PROXY."
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
