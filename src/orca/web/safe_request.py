"""Limits on request bodies: their size, and texts that a database cannot store."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import HTTPException, Request
from starlette.datastructures import FormData
from starlette.types import Message, Receive

_SUSPECT = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)")
MAX_BODY_BYTES = 1 << 20
"""Maximum size of a body, unless the route declares a `max_body_size`."""
UNSTORABLE = "a text holds a NUL or half of a character"


class SafeRequest(Request):
    """A request with a limited body, which contains only texts that can be stored.

    NULs (PostgreSQL does not support them) and unpaired surrogates are refused.
    """

    def __init__(self, incoming: Request, limit: int | None) -> None:
        super().__init__(incoming.scope, _limited(incoming.receive, MAX_BODY_BYTES if limit is None else limit))

    async def json(self) -> Any:
        """Return the parsed body. Raises JSONDecodeError, for which FastAPI responds with 422."""
        parsed = await super().json()
        if _SUSPECT.search(await self.body()) and not are_storable(_texts_in(parsed)):
            raise json.JSONDecodeError(UNSTORABLE, "", 0)
        return parsed

    async def _get_form(self, **limits: Any) -> FormData:
        form = await super()._get_form(**limits)
        if not are_storable(text for pair in form.multi_items() for text in pair if isinstance(text, str)):
            await form.close()
            raise HTTPException(422, UNSTORABLE)
        return form


def _limited(receive: Receive, limit: int) -> Receive:
    """Limit the body to `limit` bytes, regardless of its Content-Length."""
    total = 0

    async def receive_some() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > limit:
            raise HTTPException(413, f"The body is larger than {limit} bytes.")
        return message

    return receive_some


def are_storable(texts: Iterable[str]) -> bool:
    """Whether a database can store all these texts."""
    try:
        return not any(b"\0" in text.encode() for text in texts)
    except UnicodeEncodeError:
        return False


def _texts_in(value: Any) -> Iterator[str]:
    """Yield every key and text at any depth; a stack instead of recursion, as the sender chooses the depth."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, str):
            yield current
        elif isinstance(current, dict):
            yield from current
            waiting.extend(current.values())
        elif isinstance(current, list):
            waiting.extend(current)
