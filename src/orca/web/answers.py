"""How a form is answered: what was asked for is done and told, or the form is drawn again."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from orca.errors import OrcaError
from orca.web.forms import Filled, Model
from orca.web.redirects import see_other


class Done(NamedTuple):
    """Where to go now that it is done, and what to say there."""

    path: str
    said: str
    hint: str = ""


async def submit(
    request: Request,
    session: AsyncSession,
    filled: Filled[Model],
    act: Callable[[Model], Awaitable[Done]],
    draw: Callable[[Filled[Model]], Awaitable[Response]],
) -> Response:
    """Act, go on and say so. A form that is wrong or refused saves nothing and is drawn again."""
    if filled.model is not None:
        try:
            done = await act(filled.model)
        except OrcaError as error:
            filled = filled.refused(error)
        else:
            return see_other(request, done.path, said=done.said, hint=done.hint)
    await session.rollback()
    return await draw(filled)
