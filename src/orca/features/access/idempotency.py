"""`Idempotency-Key`: a POST that is repeated because its response was lost gets it again, and is executed once."""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from orca.db import now
from orca.errors import BadInput, Conflict, OrcaError
from orca.features.access.models import IdempotencyKey
from orca.resources import Resources

KEPT = timedelta(hours=24)
MOST = 20_000
"""Maximum number of stored keys; the oldest are deleted first."""
_ABANDONED = timedelta(minutes=2)
"""Longer than any request of the API may take: an older unfinished one has ended, without a commit."""
_LARGEST = 1 << 20
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_HEADERS = ("content-type", "location")
Produce = Callable[[], Awaitable[Response]]


class Idempotency:
    """Stores the responses of POST requests by the key that the client chose."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def answer(self, request: Request, asker: str, produce: Produce) -> Response:
        """Return the response of `produce`, or the stored one of the same earlier request.

        Raises BadInput for a key that was used with another body, Conflict while the first request still runs.
        """
        key = request.headers["idempotency-key"]
        if not _KEY.fullmatch(key):
            raise BadInput("Idempotency-Key is 1 to 255 visible ASCII characters", hint="A new UUID serves well.")
        target = f"{request.url.path}?{request.url.query}"
        name = hashlib.sha256(f"{asker}\n{request.method}\n{target}\n{key}".encode()).hexdigest()
        known = await self._begin(name, await _digest(request))
        if known is not None:
            return known
        request.state.before_commit = partial(self._finish, name)
        try:
            response = await produce()
        except BaseException:
            with suppress(OrcaError, SQLAlchemyError):  # the first error is the one to report
                await self._forget(name)
            raise
        if _is_failure(response):
            await self._forget(name)
        return response

    async def _begin(self, name: str, digest: str) -> Response | None:
        """Return the earlier response; None when this request is the first, which is then stored."""
        for _ in range(2):  # a concurrent one may begin or end
            try:
                async with self._resources.db.write() as session:
                    row = await session.scalar(select(IdempotencyKey).where(IdempotencyKey.name == name))
                    is_over = row is not None and now() - row.created_at > (_ABANDONED if row.status is None else KEPT)
                    if row is None or is_over:
                        await session.execute(delete(IdempotencyKey).where(IdempotencyKey.name == name))
                        session.add(IdempotencyKey(name=name, digest=digest))
                        return None
                    return self._repeat(row, digest)
            except IntegrityError:
                continue
        raise _at_work()

    def _repeat(self, row: IdempotencyKey, digest: str) -> Response:
        if row.digest != digest:
            raise BadInput(
                "this Idempotency-Key came before with another body", hint="Choose a new key for each new request."
            )
        if row.status is None:
            raise _at_work()
        if row.answer is None:
            raise Conflict(
                "the first request with this Idempotency-Key was carried out; its output was streamed and is not kept",
                hint="Choose a new key to do it once more.",
            )
        headers, body = json.loads(self._resources.secret_box.unseal(row.answer, f"idempotency:{row.name}"))
        return Response(body.encode(), row.status, {**headers, "Idempotency-Replayed": "true"})

    async def _finish(self, name: str, session: AsyncSession | None, response: Response) -> None:
        """Store the response in the same transaction as the request's effect, if there is one."""
        if _is_failure(response):
            return
        sealed = None
        if not isinstance(response, StreamingResponse) and len(response.body) <= _LARGEST:
            headers = {key: response.headers[key] for key in _HEADERS if key in response.headers}
            content = json.dumps([headers, bytes(response.body).decode()]).encode()
            sealed = self._resources.secret_box.seal(content, f"idempotency:{name}")
        kept = update(IdempotencyKey).where(IdempotencyKey.name == name)
        kept = kept.values(status=response.status_code, answer=sealed)
        if session is not None:
            await session.execute(kept)
            return
        async with self._resources.db.write() as own:
            await own.execute(kept)

    async def _forget(self, name: str) -> None:
        """Delete the key of a failed request, so that it can be repeated."""
        async with self._resources.db.write() as session:
            unfinished = IdempotencyKey.status.is_(None)
            await session.execute(delete(IdempotencyKey).where(IdempotencyKey.name == name, unfinished))


async def forget_old_keys(resources: Resources) -> None:
    """Delete keys that are older than a day, and the oldest above `MOST`."""
    async with resources.db.write() as session:
        await session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now() - KEPT))
        total = await session.scalar(select(func.count()).select_from(IdempotencyKey)) or 0
        if total > MOST:
            oldest = select(IdempotencyKey.id).order_by(IdempotencyKey.id).limit(total - MOST)
            await session.execute(delete(IdempotencyKey).where(IdempotencyKey.id.in_(oldest)))


def _is_failure(response: Response) -> bool:
    return response.status_code >= 400  # noqa: PLR2004 - the first status that is a failure


async def _digest(request: Request) -> str:
    return hashlib.sha256(await request.body()).hexdigest()


def _at_work() -> Conflict:
    return Conflict("the first request with this Idempotency-Key is still at work", hint="Send it again in a moment.")
