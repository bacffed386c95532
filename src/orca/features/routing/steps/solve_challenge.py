"""Proves names to an authority, from the thread of an order."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from acme import challenges

from orca.errors import OrcaError
from orca.features.routing.queries import PROOF
from orca.features.routing.rules.orders import OrderFailed
from orca.features.routing.steps.dns_records import Prover
from orca.features.routing.steps.order_certificate import Stopped
from orca.sdk.proxies import SupportsHttpChallenges

_SHOW_SECONDS = 15
_LOOK_SECONDS = 0.5
T = TypeVar("T")


class HttpSolver:
    """Proves a name by a file that the proxy serves on port 80 (RFC 8555, 8.3)."""

    challenge = challenges.HTTP01

    def __init__(self, proxy: SupportsHttpChallenges, loop: asyncio.AbstractEventLoop) -> None:
        self._proxy = proxy
        self._loop = loop
        self._tokens: list[str] = []

    def show(self, _name: str, challenge: Any, validation: str) -> None:
        """See `Solver.show`."""
        token = challenge.encode("token")
        self._tokens.append(token)
        try:
            self._wait(self._proxy.show_challenge(token, validation))
        except (OrcaError, OSError, TimeoutError) as error:
            raise OrderFailed("unreachable", "the proxy could not show the proof that the authority wants") from error

    def drop(self) -> None:
        """See `Solver.drop`."""
        for token in self._tokens:
            with suppress(OrcaError, OSError, TimeoutError, RuntimeError):
                self._wait(self._proxy.drop_challenge(token))

    def _wait(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_SHOW_SECONDS)


class DnsSolver:
    """Proves a name by a TXT record (RFC 8555, 8.4), the only proof for a wildcard."""

    challenge = challenges.DNS01

    def __init__(self, prover: Prover, loop: asyncio.AbstractEventLoop, is_stopped: Callable[[], bool]) -> None:
        self._prover = prover
        self._loop = loop
        self._is_stopped = is_stopped

    def show(self, name: str, _challenge: Any, validation: str) -> None:
        """See `Solver.show`."""
        self._wait(self._prover.show(PROOF + name, validation))

    def drop(self) -> None:
        """See `Solver.drop`. What cannot be removed now is removed later, by `sweep_records`."""
        with suppress(OrcaError, OrderFailed, OSError, RuntimeError, Stopped):
            self._wait(self._prover.drop())

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the event loop. Its deadlines may be minutes away: at shutdown they are not waited for."""
        if self._is_stopped():
            work.close()
            raise Stopped
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        while True:
            try:
                return future.result(_LOOK_SECONDS)
            except TimeoutError:
                if future.done():
                    raise
                if self._is_stopped():
                    future.cancel()
                    raise Stopped from None
