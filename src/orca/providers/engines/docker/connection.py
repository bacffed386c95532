"""One engine's API: negotiated version, a deadline on every call, failures translated to orca.errors."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from orca.errors import ProviderUnavailable
from orca.kit.fence import check_fence
from orca.providers.engines.docker.failures import explain, explain_nonsense, explain_silence, explain_status

T = TypeVar("T")
ApiVersion = tuple[int, int]

QUICK = 10.0
"""Deadline in seconds of a call that only reads."""
SLOW = 60.0
"""Deadline in seconds of a call that changes something: create, start, remove."""
_FAST_FAIL_SECONDS = 0.5
"""Seconds to wait for an engine that did not answer the previous call."""
_OLDEST: ApiVersion = (1, 41)
"""Docker 20.10, the first with one-shot statistics."""
_NEWEST: ApiVersion = (1, 47)
_VERSION_TTL = 60.0
"""Seconds after which the version is negotiated again: Docker may be upgraded while Orca runs."""
_LOOKS_AT_ONCE = 16
"""Concurrent inspections: enough to be fast with hundreds of objects, few enough not to stall the engine."""
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=0)
"""A connection per call: a hundred followed logs delay no other call, and none is stale after Docker restarts."""


async def gather_limited(keys: Sequence[str], find: Callable[[str], Awaitable[T]]) -> list[T]:
    """Return the results of `find` in the order of `keys`, running a limited number of calls at a time."""
    slots = asyncio.Semaphore(_LOOKS_AT_ONCE)

    async def look(key: str) -> T:
        async with slots:
            return await find(key)

    return await asyncio.gather(*map(look, keys))


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One API call; `path` has no version prefix."""

    method: str
    path: str
    params: Mapping[str, str] | None = None
    body: Any = field(default=None, repr=False)
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    content: bytes | None = field(default=None, repr=False)
    """A body that is not JSON."""


class DockerConnection:
    """Calls one engine. The constructor does no I/O; the first call connects."""

    def __init__(self, host: str) -> None:
        unused = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # loading root certificates would cost time and memory
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
        """Read. `doing` completes `Docker could not …`; `options` are fields of `ApiRequest`. Raises ProviderError."""
        return await self.call(doing, ApiRequest("GET", path, **options), deadline=deadline)

    async def post(self, doing: str, path: str, *, deadline: float = SLOW, **options: Any) -> Any:
        """Like `get`, but changes something, so the deadline is longer."""
        return await self.call(doing, ApiRequest("POST", path, **options), deadline=deadline)

    async def delete(self, doing: str, path: str, *, deadline: float = SLOW, **options: Any) -> Any:
        """Like `get`, but removes something, so the deadline is longer."""
        return await self.call(doing, ApiRequest("DELETE", path, **options), deadline=deadline)

    async def call(self, doing: str, request: ApiRequest, *, deadline: float) -> Any:
        """Return the JSON of the response; None when the response is empty."""
        await self._negotiate()
        await _check_owner(request)
        return await self._within(deadline, doing, lambda: self._ask(doing, request, f"/{self._version}"))

    @asynccontextmanager
    async def stream(
        self, doing: str, request: ApiRequest, *, answer: float = QUICK, silence: float | None = None
    ) -> AsyncIterator[httpx.Response]:
        """Open a streamed response, which is closed at the end of the context.

        `answer`: seconds until the response begins; `silence`: seconds between two chunks. Raises ProviderError.
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

    async def _ask(self, doing: str, request: ApiRequest, version: str) -> Any:
        response = await self._send(request, version, None)
        try:
            body = await response.aread()
        finally:
            await response.aclose()
        if response.is_error:
            raise explain_status(doing, response.status_code, _message(body))
        return json.loads(body) if body else None

    async def _send(self, request: ApiRequest, version: str, silence: float | None) -> httpx.Response:
        built = self._http.build_request(
            request.method, f"{version}/{request.path}", params=request.params, json=request.body,
            content=request.content, headers=request.headers, timeout=httpx.Timeout(None, read=silence),
        )  # fmt: skip
        return await self._http.send(built, stream=True)

    async def _negotiate(self) -> None:
        """Make sure that requests use an API version which the engine supports. Concurrent callers share one request.

        Every call retries an engine that stopped answering, but waits only `_FAST_FAIL_SECONDS` for it, so that
        pages of the panel stay fast while the engine hangs.
        """
        if time.monotonic() < self._version_expires:
            return
        if self._negotiation is None or self._negotiation.done():
            self._negotiation = asyncio.ensure_future(self._agree_on_version())
        try:
            async with asyncio.timeout(_FAST_FAIL_SECONDS if self._is_silent else None):
                await asyncio.shield(self._negotiation)
        except TimeoutError:
            raise explain_silence("say its version", _FAST_FAIL_SECONDS) from None

    async def _agree_on_version(self) -> None:
        doing = "say its version"
        answer = await self._within(QUICK, doing, lambda: self._ask(doing, ApiRequest("GET", "version"), ""))
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
        except ValueError as error:  # the response is not JSON
            raise explain_nonsense(doing) from error


async def _check_owner(request: ApiRequest) -> None:
    """Refuse writes of a process that lost its task to another one, as after it was frozen; reads are harmless."""
    if request.method != "GET":
        await check_fence()


def parse_version(text: str) -> ApiVersion:
    """`1.41` -> (1, 41)."""
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def choose_version(newest: ApiVersion, oldest: ApiVersion) -> ApiVersion:
    """Return the newest version that both sides support. Raises ProviderUnavailable when there is none."""
    version = min(newest, _NEWEST)
    if version < max(oldest, _OLDEST):
        raise ProviderUnavailable(
            "This Docker speaks API {}.{} to {}.{}".format(*oldest, *newest)
            + ", Orca speaks {}.{} to {}.{}.".format(*_OLDEST, *_NEWEST),
            hint="Upgrade Docker to 20.10 or later." if newest < _OLDEST else "Upgrade Orca.",
        )
    return version


def _message(body: bytes) -> str:
    """Return the engine's error message."""
    try:
        message = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")
    return str(message)
