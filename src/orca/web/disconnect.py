"""Stops work whose client has disconnected: a person closed the page, or asked for something else instead."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request

from orca.errors import OrcaError

Answer = TypeVar("Answer")


class ClientDisconnected(OrcaError):
    """The client disconnected before there was a response."""

    status = 400
    code = "asker-left"


async def cancel_on_disconnect(request: Request, work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run the work until it ends or the client disconnects, then raise ClientDisconnected. Read the body before."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_wait_for_disconnect(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnected("the asker went away")
    finally:
        leaving.cancel()
        working.cancel()
        await asyncio.wait({working, leaving})
    return working.result()


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
