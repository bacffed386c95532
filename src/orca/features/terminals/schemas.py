"""Messages of a terminal's WebSocket. Texts are JSON; binary messages carry one byte of channel, then data."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from orca.features.services.schemas.settings import Argument

INPUT: Final = 0
CHANNELS: Final = {"stdout": 1, "stderr": 2}
"""First byte of a binary message: the input, or the stream that the process wrote to."""
WINDOW: Final = 256 << 10
"""Bytes that either side may send before the other has acknowledged them."""

Columns = Annotated[int, Field(ge=1, le=1000)]


class TerminalMessage(BaseModel):
    """Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OpenIn(TerminalMessage):
    """Start a command in a replica. The first message, unless it is `attach`."""

    type: Literal["open"]
    command: list[Argument] = Field(default=[], max_length=100)
    """Without one a shell is started."""
    tty: bool = False
    columns: Columns = 80
    rows: Columns = 24
    replica: int | None = Field(None, ge=0, le=49)
    keep: bool = False
    """Keep it for a minute after the connection is lost, so that `attach` finds it again."""


class AttachIn(TerminalMessage):
    """Show a terminal again that was kept."""

    type: Literal["attach"]
    terminal: str = Field(max_length=36)
    columns: Columns = 80
    rows: Columns = 24


class ResizeIn(TerminalMessage):
    """The window has another size."""

    type: Literal["resize"]
    columns: Columns
    rows: Columns


class AckIn(TerminalMessage):
    """So many further bytes of output were shown."""

    type: Literal["ack"]
    bytes: int = Field(ge=1, le=WINDOW)


class EndOfInputIn(TerminalMessage):
    """There will be no more input."""

    type: Literal["end-of-input"]


class CloseIn(TerminalMessage):
    """End the command and all that it started."""

    type: Literal["close"]


First = Annotated[OpenIn | AttachIn, Field(discriminator="type")]
Later = Annotated[ResizeIn | AckIn | EndOfInputIn | CloseIn, Field(discriminator="type")]
FIRST: Final[TypeAdapter[OpenIn | AttachIn]] = TypeAdapter(First)
LATER: Final[TypeAdapter[ResizeIn | AckIn | EndOfInputIn | CloseIn]] = TypeAdapter(Later)
