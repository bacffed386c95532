"""Live parts: drawn once for all who see the same, again when something happened, and only what changed is sent."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any
from weakref import WeakValueDictionary

from fastapi import FastAPI, Request

from orca.events import Fact, notifier, record
from orca.web.guard import Subject
from orca.web.live import PAUSE_SECONDS, Sources, stream_fragment
from orca.web.marks import PART, PART_END, read_fragment
from orca.web.rights import team_wide


def asking(app: FastAPI, team: str = "team", permissions: tuple[str, ...] = ("service.read",)) -> Any:
    subject = Subject("sam@aurora.dev", "session", team, grants=team_wide(team, permissions), session_id="s")
    state = SimpleNamespace(drawings=app.state.drawings, resources=app.state.resources)
    request = Request(
        {"type": "http", "path": "/live", "query_string": b"", "headers": [], "app": SimpleNamespace(state=state)}
    )
    request.state.subject = subject
    return request


async def begun(stream: Any) -> tuple[Any, str]:
    frames = aiter(stream.body_iterator)
    return frames, str(await anext(frames))


async def test_what_changes_while_a_fragment_is_drawn_is_shown_at_once(app: FastAPI) -> None:
    state = "retiring"

    async def draw() -> tuple[str, bool]:
        nonlocal state
        drawn, state = state, "succeeded"
        notifier.notify("topic")
        await asyncio.sleep(0)
        return drawn, drawn == "succeeded"

    began = time.monotonic()
    stream = stream_fragment(asking(app), draw, Sources(topic="topic"))
    frames = [str(frame).splitlines()[:2] async for frame in stream.body_iterator]
    assert frames == [["event: whole", "data: retiring"], ["event: whole", "data: succeeded"], ["event: end", "data: "]]
    assert time.monotonic() - began < PAUSE_SECONDS * 5


async def test_a_fragment_is_drawn_when_something_happened_in_its_team_and_not_otherwise(app: FastAPI) -> None:
    drawn = 0

    async def draw() -> tuple[str, bool]:
        nonlocal drawn
        drawn += 1
        return f'<i>head</i>{PART}<p id="a">{drawn}</p>{PART_END}{PART}<p id="b">-</p>{PART_END}', False

    frames, first = await begun(stream_fragment(asking(app), draw))
    assert first.startswith("event: whole")
    assert PART not in first
    await asyncio.sleep(PAUSE_SECONDS * 3)  # what was committed before it began to watch may draw it once more
    before = drawn
    db = app.state.resources.db
    async with db.write() as session:
        await record(session, Fact("ServiceUpdated", "another team"))
    await asyncio.sleep(PAUSE_SECONDS * 3)
    assert drawn == before
    async with db.write() as session:
        await record(session, Fact("ServiceUpdated", "team"))
    while "parts" not in (frame := str(await anext(frames))) or f">{before + 1}<" not in frame:
        assert "beat" in frame or "parts" in frame
    assert 'id="b"' not in frame
    await frames.aclose()


async def test_tabs_with_the_same_rights_share_a_drawing_and_others_do_not(app: FastAPI) -> None:
    drawn: list[str] = []

    def drawing(name: str) -> Any:
        async def draw() -> tuple[str, bool]:
            drawn.append(name)
            return name, False

        return draw

    streams = [
        stream_fragment(asking(app), drawing("first"), shared=True),
        stream_fragment(asking(app), drawing("second"), shared=True),
        stream_fragment(asking(app, permissions=()), drawing("fewer rights"), shared=True),
        stream_fragment(asking(app, team="other"), drawing("other team"), shared=True),
    ]
    opened = [await begun(stream) for stream in streams]
    assert [frame.splitlines()[1] for _, frame in opened] == [
        "data: first", "data: first", "data: fewer rights", "data: other team",
    ]  # fmt: skip
    assert "second" not in drawn
    for frames, _ in opened:
        await frames.aclose()
    assert isinstance(app.state.drawings, WeakValueDictionary)


async def test_a_fragment_that_cannot_be_drawn_ends_its_streams_without_saying_that_it_is_final(app: FastAPI) -> None:
    async def draw() -> tuple[str, bool]:
        raise LookupError("gone")

    assert [frame async for frame in stream_fragment(asking(app), draw).body_iterator] == []


def test_marks_separate_the_elements_that_change_by_themselves() -> None:
    row = f'{PART}<tr id="{{0}}"><td>{{1}}</td></tr>{PART_END}'
    one = read_fragment("<table>" + row.format("a", 1) + row.format("b", 1) + "</table>")
    two = read_fragment("<table>" + row.format("a", 1) + row.format("b", 2) + "</table>")
    three = read_fragment("<table>" + row.format("a", 1) + row.format("c", 1) + "</table>")
    assert one.text == '<table><tr id="a"><td>1</td></tr><tr id="b"><td>1</td></tr></table>'
    assert one.outline == two.outline != three.outline
    assert [name for name, part in one.parts.items() if two.parts[name] != part] == ['1 <tr id="b"']
