"""One engine's API: negotiated version, a deadline on every call, failures in the words of orca.errors.

aiodocker makes the calls that are answered at once. Streams (logs, pulls, exec) are read here from its session,
because they need what it hides: which stream a line came from, an early close, a deadline on silence.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
from aiodocker import Docker, DockerError

from orca.errors import ProviderUnavailable
from orca.providers.engines.docker.failures import explain, explain_nonsense, explain_silence, explain_status

T = TypeVar("T")
ApiVersion = tuple[int, int]

QUICK = 10.0
"""Seconds for a call that only asks."""
SLOW = 60.0
"""Seconds for a call that makes the engine work: create, start, remove."""
_GLANCE = 0.5
"""Seconds to wait for an engine that did not answer the last time."""
_OLDEST: ApiVersion = (1, 41)
"""Docker 20.10, the first with one-shot statistics."""
_NEWEST: ApiVersion = (1, 47)
_VERSION_TTL = 60.0
"""Seconds after which the version is asked again: Docker may have been upgraded under a running Orca."""


@dataclass(frozen=True, slots=True)
class Request:
    """A call that is answered by a stream."""

    method: str
    path: str
    params: Mapping[str, str] | None = None
    body: Any = None
    headers: Mapping[str, str] | None = None


class DockerConnection:
    """Calls one engine. Opening it does nothing; the first call connects."""

    def __init__(self, host: str) -> None:
        # Without a limit: a hundred followed logs must not keep the calls of a deployment waiting.
        connector = aiohttp.UnixConnector(host.removeprefix("unix://"), limit=0)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        self._docker = Docker(url="unix://localhost", connector=connector, session=self._session)
        self._version_expires = 0.0
        self._is_silent = False
        self._negotiation: asyncio.Future[None] | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._negotiation:
            self._negotiation.cancel()
            await asyncio.wait((self._negotiation,))
        await self._docker.close()
        await self._session.close()

    async def call(self, doing: str, action: Callable[[Docker], Awaitable[T]], *, deadline: float = QUICK) -> T:
        """One call through aiodocker. `doing` completes `Docker could not …`. Raises the ProviderError tree."""
        await self._negotiate()
        return await self._within(deadline, doing, lambda: action(self._docker))

    async def get_json(self, doing: str, path: str, **options: Any) -> Any:
        """A GET that aiodocker has no word for. `options`: `params`, `headers`."""
        async with self.stream(doing, Request("GET", path, **options), silence=QUICK) as response:
            body = await response.read()
        try:
            return json.loads(body)
        except ValueError as error:
            raise explain_nonsense(doing) from error

    @asynccontextmanager
    async def stream(
        self, doing: str, request: Request, *, answer: float = QUICK, silence: float | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer to be read bit by bit, closed at the end of the context.

        `answer`: seconds until it begins; `silence`: seconds between two bits. Raises the ProviderError tree.
        """
        await self._negotiate()
        response = await self._within(answer, doing, lambda: self._send(request, silence))
        try:
            if response.status >= 400:  # noqa: PLR2004 - where HTTP's errors begin
                raise explain_status(doing, response.status, _message(await response.read()))
            yield response
        except aiohttp.ServerTimeoutError:
            raise explain_silence(doing, silence or 0.0) from None
        except aiohttp.ClientError as error:
            raise explain(doing, error) from None
        finally:
            response.close()

    async def _send(self, request: Request, silence: float | None) -> aiohttp.ClientResponse:
        return await self._session.request(
            request.method,
            f"{self._docker.docker_host}/{self._docker.api_version}/{request.path}",
            params=request.params,
            json=request.body,
            headers=request.headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_read=silence),
        )

    async def _negotiate(self) -> None:
        """Make sure that requests name a version which the engine speaks. Callers at the same time share one answer.

        An engine that fell silent is asked again and again, but nobody waits for it longer than a glance: pages of
        the panel stay quick while it hangs.
        """
        if time.monotonic() < self._version_expires:
            return
        if self._negotiation is None or self._negotiation.done():
            self._negotiation = asyncio.ensure_future(self._agree_on_version())
        try:
            async with asyncio.timeout(_GLANCE if self._is_silent else None):
                await asyncio.shield(self._negotiation)
        except TimeoutError:
            raise explain_silence("say its version", _GLANCE) from None

    async def _agree_on_version(self) -> None:
        answer = await self._within(QUICK, "say its version", self._ask_version)
        version = choose_version(parse_version(answer["ApiVersion"]), parse_version(answer["MinAPIVersion"]))
        self._docker.api_version = "v{}.{}".format(*version)
        self._version_expires = time.monotonic() + _VERSION_TTL
        self._is_silent = False

    async def _ask_version(self) -> dict[str, str]:
        async with self._session.get(f"{self._docker.docker_host}/version") as response:
            response.raise_for_status()
            answer: dict[str, str] = await response.json()
            return answer

    async def _within(self, deadline: float, doing: str, action: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(deadline):
                return await action()
        except TimeoutError:
            self._version_expires = 0.0
            self._is_silent = True
            raise explain_silence(doing, deadline) from None
        except (DockerError, aiohttp.ClientError) as error:
            raise explain(doing, error) from None
        except (KeyError, TypeError, ValueError) as error:  # how aiodocker and json say that they did not understand
            raise explain_nonsense(doing) from error


def parse_version(text: str) -> ApiVersion:
    """`1.41` -> (1, 41)."""
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def choose_version(newest: ApiVersion, oldest: ApiVersion) -> ApiVersion:
    """The newest version that both sides know. Raises ProviderUnavailable when there is none."""
    version = min(newest, _NEWEST)
    if version < max(oldest, _OLDEST):
        raise ProviderUnavailable(
            "This Docker speaks API {}.{} to {}.{}".format(*oldest, *newest)
            + ", Orca speaks {}.{} to {}.{}.".format(*_OLDEST, *_NEWEST),
            hint="Upgrade Docker to 20.10 or later." if newest < _OLDEST else "Upgrade Orca.",
        )
    return version


def _message(body: bytes) -> str:
    """What the engine says about a failure."""
    try:
        message = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")
    return str(message)
