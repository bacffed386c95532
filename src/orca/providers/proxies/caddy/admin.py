"""A client of Caddy's admin API on its private socket."""

import asyncio
import ssl
from pathlib import Path

import httpx

from orca.errors import ProviderUnavailable, RequestRefused
from orca.kit.fence import check_fence
from orca.providers.proxies.caddy.render import ADMIN_ORIGIN

_READ_DEADLINE = 10.0
_LOAD_DEADLINE = 60.0
_URL = f"http://{ADMIN_ORIGIN}"


class AdminApi:
    """Opens a new connection per call, because each load replaces the server behind the socket."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        """Return Caddy's live configuration as JSON; `null` when it was emptied by hand. Raises ProviderUnavailable."""
        answer = await self._call("GET", "/config/", deadline=_READ_DEADLINE)
        if answer.is_error:
            raise ProviderUnavailable(f"Caddy did not show its configuration: {_reason(answer)}")
        return answer.content.rstrip()

    async def is_gone(self) -> bool:
        """Whether nothing listens: no socket, or that of an ended process. A Caddy that does not answer is not gone."""
        try:
            _, writer = await asyncio.open_unix_connection(str(self._socket))
        except (FileNotFoundError, ConnectionRefusedError):
            return True
        except OSError:
            return False
        writer.close()
        return False

    async def load(self, text: bytes) -> None:
        """Replace the whole configuration; Caddy continues with the old one when the new one does not start.

        Raises RequestRefused with Caddy's reason, and ProviderUnavailable.
        """
        answer = await self._call("POST", "/load", deadline=_LOAD_DEADLINE, content=text)
        if answer.is_error:
            raise RequestRefused(
                f"Caddy refused the configuration: {_reason(answer)}", hint="The one before it goes on serving."
            )

    async def _call(self, method: str, path: str, *, deadline: float, content: bytes = b"") -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        answer = await self._send(method, path, deadline=deadline, content=content, headers=headers | {"Origin": _URL})
        if answer.status_code != httpx.codes.FORBIDDEN:
            return answer
        # Caddy's configuration was emptied by hand: with its defaults it rejects our Origin header and needs none.
        return await self._send(method, path, deadline=deadline, content=content, headers=headers)

    async def _send(
        self, method: str, path: str, *, deadline: float, content: bytes, headers: dict[str, str]
    ) -> httpx.Response:
        if method != "GET":
            await check_fence()
        # TLS is not used on a unix socket; httpx would spend 30 ms on loading the machine's root certificates.
        unused = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        transport = httpx.AsyncHTTPTransport(uds=str(self._socket), verify=unused)
        try:
            async with httpx.AsyncClient(transport=transport, base_url=_URL, timeout=deadline) as client:
                return await client.request(method, path, content=content, headers=headers)
        except httpx.TransportError as error:
            raise ProviderUnavailable(
                "The proxy's admin socket does not answer.", hint="Start the proxy: restart Orca, or run `orc doctor`."
            ) from error


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"
