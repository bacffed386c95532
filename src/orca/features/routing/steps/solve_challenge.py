"""Showing an authority that a name is ours, from the thread of an order."""

import asyncio
from contextlib import suppress
from typing import Any

from acme import challenges

from orca.errors import OrcaError
from orca.features.routing.rules.orders import OrderFailed
from orca.sdk.proxies import SupportsHttpChallenges

_SHOW_SECONDS = 15


class HttpSolver:
    """By a file that the proxy answers on port 80 (RFC 8555, 8.3)."""

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
