"""`Idempotency-Key`: a POST that is sent again, because its answer was lost, is answered again and done once."""

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
"""More keys than that are not kept; the oldest go first."""
_ABANDONED = timedelta(minutes=2)
"""Longer than any request of the API may take: who began then is gone, and so is what it did not commit."""
_LARGEST = 1 << 20
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_HEADERS = ("content-type", "location")
Produce = Callable[[], Awaitable[Response]]


class Idempotency:
    """Keeps the answers of POST requests by the key that their sender chose."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def answer(self, request: Request, asker: str, produce: Produce) -> Response:
        """What `produce` answers, or what it answered to the same request before.

        Raises BadInput for a key that belongs to another body, Conflict while the first request is still at work.
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
            with suppress(OrcaError, SQLAlchemyError):  # what went wrong first is what is told
                await self._forget(name)
            raise
        if not _is_kept(response):
            await self._forget(name)
        return response

    async def _begin(self, name: str, digest: str) -> Response | None:
        """The earlier answer; None when this request is the first, which is on record from now on."""
        for _ in range(2):  # another one may begin, or end, at the same moment
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
        if row.status is None or row.answer is None:
            raise _at_work()
        headers, body = json.loads(self._resources.secret_box.unseal(row.answer, f"idempotency:{row.name}"))
        return Response(body.encode(), row.status, {**headers, "Idempotency-Replayed": "true"})

    async def _finish(self, name: str, session: AsyncSession | None, response: Response) -> None:
        """Keep the answer in the transaction that keeps the effect, where there is one."""
        if not _is_kept(response):
            return
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
        """What failed may be tried again with the same key."""
        async with self._resources.db.write() as session:
            unfinished = IdempotencyKey.status.is_(None)
            await session.execute(delete(IdempotencyKey).where(IdempotencyKey.name == name, unfinished))


async def forget_old_keys(resources: Resources) -> None:
    """Keys are kept for a day, and no more of them than there is room for."""
    async with resources.db.write() as session:
        await session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now() - KEPT))
        total = await session.scalar(select(func.count()).select_from(IdempotencyKey)) or 0
        if total > MOST:
            oldest = select(IdempotencyKey.id).order_by(IdempotencyKey.id).limit(total - MOST)
            await session.execute(delete(IdempotencyKey).where(IdempotencyKey.id.in_(oldest)))


def _is_kept(response: Response) -> bool:
    """Whether an answer can be given again: whole, and a success."""
    is_whole = not isinstance(response, StreamingResponse) and len(response.body) <= _LARGEST
    return is_whole and response.status_code < 400  # noqa: PLR2004 - the first status that is a failure


async def _digest(request: Request) -> str:
    return hashlib.sha256(await request.body()).hexdigest()


def _at_work() -> Conflict:
    return Conflict("the first request with this Idempotency-Key is still at work", hint="Send it again in a moment.")
