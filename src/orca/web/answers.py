"""Handles posted forms: performs the action and redirects with a message, or renders the form again."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from orca.errors import OrcaError
from orca.web.forms import Filled, Model
from orca.web.redirects import see_other


class Redirect(NamedTuple):
    """The page to redirect to after the action, and the message to show there."""

    path: str
    said: str = ""
    hint: str = ""


async def submit(
    request: Request,
    session: AsyncSession,
    filled: Filled[Model],
    act: Callable[[Model], Awaitable[Redirect]],
    draw: Callable[[Filled[Model]], Awaitable[Response]],
) -> Response:
    """Perform the action and redirect with its message. If the form is invalid or refused, roll back and redraw it."""

    async def draw_again(form: Filled[Model]) -> Response:
        await session.rollback()
        return await draw(form)

    return await submit_apart(request, filled, act, draw_again)


async def submit_apart(
    request: Request,
    filled: Filled[Model],
    act: Callable[[Model], Awaitable[Redirect]],
    draw: Callable[[Filled[Model]], Awaitable[Response]],
) -> Response:
    """Like `submit`, for an action that opens its own transactions, as one does that calls machines."""
    if filled.model is not None:
        try:
            done = await act(filled.model)
        except OrcaError as error:
            filled = filled.refused(error)
        else:
            return see_other(request, done.path, said=done.said, hint=done.hint)
    return await draw(filled)


async def attempt(
    request: Request,
    session: AsyncSession,
    act: Awaitable[object],
    done: Redirect,
    draw: Callable[..., Awaitable[Response]],
) -> Response:
    """Perform an action without a form and redirect with its message. If refused, roll back and draw `refusal`."""
    try:
        await act
    except OrcaError as error:
        await session.rollback()
        return await draw(refusal=error)
    return see_other(request, done.path, said=done.said, hint=done.hint)
