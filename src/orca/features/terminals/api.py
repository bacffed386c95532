"""The WebSocket of terminals."""

import asyncio
from typing import Any

from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect

from orca.errors import BadInput, OrcaError
from orca.features.terminals.operations.open import find_terminal, open_terminal
from orca.features.terminals.operations.session import TerminalSession
from orca.features.terminals.operations.viewer import Viewer
from orca.features.terminals.schemas import (
    FIRST,
    INPUT,
    LATER,
    AckIn,
    AttachIn,
    CloseIn,
    EndOfInputIn,
    ResizeIn,
)
from orca.resources import Resources
from orca.sdk.terminals import TerminalSize
from orca.web.guard import guard
from orca.web.sockets import AdmittedSocket, GuardedSocket

_FIRST_SECONDS = 10.0


@guard("service.shell", tenant="service_id", rate="write", audit="TerminalOpened")
async def serve_terminal(visit: AdmittedSocket) -> None:
    """Open a terminal, or show one again that was kept, until either side ends it."""
    await visit.socket.accept()
    viewer = Viewer(visit.socket)
    try:
        session = await _begin(visit, viewer)
    except OrcaError as error:
        await viewer.say("refused", code=error.code, message=error.message, hint=error.hint)
        await viewer.hang_up()
        return
    except WebSocketDisconnect:
        return
    try:
        await _listen(visit, viewer, session)
    finally:
        session.leave(viewer)


async def _begin(visit: AdmittedSocket, viewer: Viewer) -> TerminalSession:
    resources: Resources = visit.request.app.state.resources
    service_id = visit.request.path_params["service_id"]
    try:
        async with asyncio.timeout(_FIRST_SECONDS):
            text = (await _receive(visit)).get("text")
    except TimeoutError:
        raise BadInput("The first message did not arrive in time.") from None
    try:
        wanted = FIRST.validate_json(text or "")
    except ValidationError:
        raise BadInput("The first message is none of `open` and `attach`.") from None
    if isinstance(wanted, AttachIn):
        session = find_terminal(resources, visit.subject, service_id, wanted.terminal)
        session.resize(TerminalSize(wanted.columns, wanted.rows))
    else:
        session = await open_terminal(resources, visit.subject, visit.scope, service_id, wanted)
    await session.show_on(viewer, visit.is_still_admitted)
    return session


async def _listen(visit: AdmittedSocket, viewer: Viewer, session: TerminalSession) -> None:
    """Take messages until the socket is closed, by whichever side."""
    while True:
        try:
            message = await _receive(visit)
            if data := message.get("bytes"):
                _type(data, session)
            elif text := message.get("text"):
                _obey(text, viewer, session)
        except BadInput as error:
            await viewer.say("refused", code=error.code, message=error.message, hint=error.hint)
            await viewer.hang_up()
            return
        except WebSocketDisconnect:
            return


def _type(data: bytes, session: TerminalSession) -> None:
    if data[0] != INPUT:
        raise BadInput("A binary message begins with the channel of the input.")
    session.type(data[1:])


def _obey(text: str, viewer: Viewer, session: TerminalSession) -> None:
    try:
        message = LATER.validate_json(text)
    except ValidationError:
        raise BadInput("A message of a terminal cannot be read.") from None
    match message:
        case ResizeIn(columns=columns, rows=rows):
            session.resize(TerminalSize(columns, rows))
        case AckIn(bytes=count):
            viewer.acknowledge(count)
        case EndOfInputIn():
            session.end_input()
        case CloseIn():
            session.stop("closed")


async def _receive(visit: AdmittedSocket) -> dict[str, Any]:
    """Return the next message. Raises WebSocketDisconnect."""
    message = dict(await visit.socket.receive())
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1000))
    return message


SOCKETS = (GuardedSocket("/api/v1/services/{service_id}/terminal", serve_terminal),)
