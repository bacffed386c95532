"""What is refused of a body at the door: too much of it, and texts that no database can keep."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import HTTPException, Request
from starlette.datastructures import FormData
from starlette.types import Message, Receive

_SUSPECT = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)")
MAX_BODY_BYTES = 1 << 20
"""What a request may carry, unless its route declares a `max_body_size`."""
UNSTORABLE = "a text holds a NUL or half of a character"


class TextRequest(Request):
    """A request that gives away no more than its route reads, and only texts that can be stored.

    A NUL cannot (PostgreSQL has none), nor half of a surrogate pair.
    """

    def __init__(self, incoming: Request, limit: int | None) -> None:
        super().__init__(incoming.scope, _limited(incoming.receive, MAX_BODY_BYTES if limit is None else limit))

    async def json(self) -> Any:
        """The parsed body. Raises JSONDecodeError, which FastAPI answers with 422."""
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
    """The body until it is larger than `limit` bytes, whatever its length was said to be."""
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
    """Whether a database can keep them all."""
    try:
        return not any(b"\0" in text.encode() for text in texts)
    except UnicodeEncodeError:
        return False


def _texts_in(value: Any) -> Iterator[str]:
    """Every key and text, however deep; a stack instead of recursion, because depth is the sender's choice."""
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
