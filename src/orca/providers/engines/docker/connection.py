"""One engine's API: negotiated version, a deadline on every call, failures in the words of orca.errors."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from orca.errors import ProviderUnavailable
from orca.kit.fence import check_fence
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
_LOOKS_AT_ONCE = 16
"""Inspections in flight: enough for hundreds of objects in a blink, few enough not to stall the engine."""
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=0)
"""A connection per call: a hundred followed logs keep nobody waiting, and none is stale after Docker restarted."""


async def look_at_each(keys: Sequence[str], find: Callable[[str], Awaitable[T]]) -> list[T]:
    """What `find` finds for each, in this order, some at a time."""
    slots = asyncio.Semaphore(_LOOKS_AT_ONCE)

    async def look(key: str) -> T:
        async with slots:
            return await find(key)

    return await asyncio.gather(*map(look, keys))


@dataclass(frozen=True, slots=True)
class Request:
    """One call of the API; `path` without version."""

    method: str
    path: str
    params: Mapping[str, str] | None = None
    body: Any = None
    headers: Mapping[str, str] | None = None
    content: bytes | None = None
    """A body that is no JSON."""


class DockerConnection:
    """Calls one engine. Opening it does nothing; the first call connects."""

    def __init__(self, host: str) -> None:
        unused = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # reading root certificates would cost time and memory
        transport = httpx.AsyncHTTPTransport(uds=host.removeprefix("unix://"), limits=_LIMITS, verify=unused)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://docker", timeout=None)  # noqa: S113 - each call has a deadline
        self._version = ""
        self._version_expires = 0.0
        self._is_silent = False
        self._negotiation: asyncio.Future[None] | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._negotiation:
            self._negotiation.cancel()
            await asyncio.wait((self._negotiation,))
        await self._http.aclose()

    async def get(self, doing: str, path: str, *, deadline: float = QUICK, **options: Any) -> Any:
        """Ask. `doing` completes `Docker could not …`; `options`: see `Request`. Raises the ProviderError tree."""
        return await self.call(doing, Request("GET", path, **options), deadline=deadline)

    async def post(self, doing: str, path: str, *, deadline: float = SLOW, **options: Any) -> Any:
        """Make the engine do something; otherwise as `get`."""
        return await self.call(doing, Request("POST", path, **options), deadline=deadline)

    async def delete(self, doing: str, path: str, *, deadline: float = SLOW, **options: Any) -> Any:
        """Make the engine forget something; otherwise as `get`."""
        return await self.call(doing, Request("DELETE", path, **options), deadline=deadline)

    async def call(self, doing: str, request: Request, *, deadline: float) -> Any:
        """The JSON that answers a call, None when the answer is empty."""
        await self._negotiate()
        await _check_owner(request)
        return await self._within(deadline, doing, lambda: self._ask(doing, request, f"/{self._version}"))

    @asynccontextmanager
    async def stream(
        self, doing: str, request: Request, *, answer: float = QUICK, silence: float | None = None
    ) -> AsyncIterator[httpx.Response]:
        """An answer to be read bit by bit, closed at the end of the context.

        `answer`: seconds until it begins; `silence`: seconds between two bits. Raises the ProviderError tree.
        """
        await self._negotiate()
        await _check_owner(request)
        response = await self._within(answer, doing, lambda: self._send(request, f"/{self._version}", silence))
        try:
            if response.is_error:
                raise explain_status(doing, response.status_code, _message(await response.aread()))
            yield response
        except httpx.ReadTimeout:
            raise explain_silence(doing, silence or 0.0) from None
        except httpx.HTTPError as error:
            raise explain(doing, error) from None
        finally:
            await response.aclose()

    async def _ask(self, doing: str, request: Request, version: str) -> Any:
        response = await self._send(request, version, None)
        try:
            body = await response.aread()
        finally:
            await response.aclose()
        if response.is_error:
            raise explain_status(doing, response.status_code, _message(body))
        return json.loads(body) if body else None

    async def _send(self, request: Request, version: str, silence: float | None) -> httpx.Response:
        built = self._http.build_request(
            request.method, f"{version}/{request.path}", params=request.params, json=request.body,
            content=request.content, headers=request.headers, timeout=httpx.Timeout(None, read=silence),
        )  # fmt: skip
        return await self._http.send(built, stream=True)

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
        doing = "say its version"
        answer = await self._within(QUICK, doing, lambda: self._ask(doing, Request("GET", "version"), ""))
        try:
            version = choose_version(parse_version(answer["ApiVersion"]), parse_version(answer["MinAPIVersion"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise explain_nonsense(doing) from error
        self._version = "v{}.{}".format(*version)
        self._version_expires = time.monotonic() + _VERSION_TTL
        self._is_silent = False

    async def _within(self, deadline: float, doing: str, action: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(deadline):
                return await action()
        except TimeoutError:
            self._version_expires = 0.0
            self._is_silent = True
            raise explain_silence(doing, deadline) from None
        except httpx.HTTPError as error:
            raise explain(doing, error) from None
        except ValueError as error:  # how json says that it did not understand
            raise explain_nonsense(doing) from error


async def _check_owner(request: Request) -> None:
    """A process that was frozen may have lost its work to another one meanwhile: looking is all that it may do."""
    if request.method != "GET":
        await check_fence()


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
