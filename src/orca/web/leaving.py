"""Work that nobody waits for any more is stopped: a person closed the page, or asked something else instead."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request

from orca.errors import OrcaError

Answer = TypeVar("Answer")


class AskerLeft(OrcaError):
    """Whoever asked went away before there was an answer."""

    status = 400
    code = "asker-left"


async def until_gone(request: Request, work: Coroutine[Any, Any, Answer]) -> Answer:
    """Do the work while the asker stays; AskerLeft, which nobody reads, when it was cancelled. The body was read."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_wait_until_gone(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise AskerLeft("the asker went away")
    finally:
        leaving.cancel()
        working.cancel()
        await asyncio.wait({working, leaving})
    return working.result()


async def _wait_until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
