"""Lines as programs see them, and what may be asked for."""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from orca.features.deployments.output import to_microseconds
from orca.features.logs.rules import STREAMS, Filter, StoredLine
from orca.kit.fields import Output
from orca.kit.pagination import Instant

Level = Literal["none", "debug", "info", "warn", "error", "fatal"]
_NAMES: Final[tuple[Level, ...]] = get_args(Level)
"""By their number in the store, as `LEVELS`."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LineFilter(BaseModel):
    """Which lines are wanted. Every condition that is set must hold."""

    model_config = ConfigDict(extra="forbid")

    grep: str = Field("", max_length=200, description="Part of the text, without regard to case.")
    level: list[Level] = Field(
        [], description="Levels that lines name; `none` is those that name none. May be repeated."
    )
    stream: Literal["stdout", "stderr"] | None = Field(None, description="Only this stream.")
    replica: int | None = Field(None, ge=0, le=49, description="Only this replica.")
    release: int | None = Field(None, ge=1, description="Only what replicas of the release of this number wrote.")
    since: Instant | None = Field(None, description="Nothing that was written before this instant.")
    until: Instant | None = Field(None, description="Only what was written before this instant.")

    def to_filter(self) -> Filter:
        """Return it as the store compares it."""
        return Filter(
            text=self.grep,
            levels=frozenset(_NAMES.index(level) for level in self.level),
            stream=self.stream or "",
            replica=self.replica,
            release=self.release,
            since=None if self.since is None else to_microseconds(self.since),
            until=None if self.until is None else to_microseconds(self.until),
        )


class LineQuery(LineFilter):
    """A page of lines: the newest ones, or those before, after or around a line."""

    before: int | None = Field(
        None, ge=0, description="Only lines before the one of this id: `older` of the page before."
    )
    after: int | None = Field(
        None, ge=-1, description="Only lines after the one of this id: `newer` of the page before."
    )
    around: int | None = Field(None, ge=0, description="Lines before and after the one of this id, and that one.")
    limit: int = Field(200, ge=1, le=1000, description="How many lines a page holds, without their context.")
    context: int = Field(0, ge=0, le=20, description="So many lines before and after each match are added.")


class DownloadQuery(LineFilter):
    """A file of lines."""

    format: Literal["text", "ndjson"] = Field("text", description="Plain text, or one JSON object per line.")


class StreamQuery(LineFilter):
    """A live stream of lines."""

    after: int | None = Field(None, ge=-1, description="Begin after the line of this id; else with the next new line.")


class LineOut(Output):
    """One line of the timeline of a service."""

    id: int = Field(description="Its number in the timeline: later lines have higher ones.")
    at: datetime
    replica: int
    release: int | None = Field(description="The number of the release of its replica; null where it is not known.")
    stream: Literal["stdout", "stderr"]
    level: Level = Field(description="As the line itself names it.")
    text: str = Field(
        description="Without control sequences other than colours; values of secret variables are hidden."
    )
    is_match: bool = Field(description="False for a line that is context of a match.")


class LinesOut(Output):
    """Lines in the order of the timeline, oldest first."""

    items: list[LineOut]
    older: int | None = Field(
        description="Value of `before` for the page of older lines; null when there are none. A search that takes "
        "long returns a page that is not full, or empty, and goes on there."
    )
    newer: int | None = Field(description="Value of `after` for what is or will be newer.")
    total: int | None = Field(
        description="How many lines match in all; null on pages that `before`, `after` or `around` ask for."
    )
    is_total_exact: bool = Field(description="False where counting stopped: there are at least so many.")
    first: int = Field(
        description="The first line that is kept; when it is not 0, older ones were deleted to keep the budget."
    )
    problem: str = Field(description="Why new lines may be missing at the moment; empty otherwise.")


def show_line(line: StoredLine) -> LineOut:
    """Return a line as the API shows it."""
    return LineOut.model_construct(
        id=line.number,
        at=_EPOCH + timedelta(microseconds=line.at),
        replica=line.writer.replica,
        release=line.writer.release or None,
        stream=STREAMS[line.is_error],
        level=_NAMES[line.level],
        text=line.text,
        is_match=line.is_match,
    )
