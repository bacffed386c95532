"""The command palette."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Header, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession
from orca.features.dashboard import palette as offers
from orca.features.dashboard.lookup import find_inside, find_named, find_place, list_vocabulary, look_up
from orca.features.dashboard.palette import Entry, EntryGroup, ParsedInput
from orca.web.guard import SIGNED_IN, CurrentScope, CurrentSubject, Router, Scope, Subject, guard, narrowed
from orca.web.nav import NavItem, navigation
from orca.web.render import render

router = Router(include_in_schema=False)
_LONGEST = 100


class PaletteQuery(BaseModel):
    """What was typed, and where the browser was lately: `services/<id>` and `projects/<id>`, separated by commas."""

    q: str = ""
    recent: str = ""


@dataclass(frozen=True, slots=True)
class PaletteResults:
    """What the palette shows."""

    groups: Sequence[EntryGroup]
    query: str


@router.get("/palette")
@narrowed("service.read")
@guard(SIGNED_IN, page=True)
async def palette(
    request: Request,
    session: ReadSession,
    scope: CurrentScope,
    subject: CurrentSubject,
    asked: Annotated[PaletteQuery, Query()],
    hx_current_url: Annotated[str, Header(max_length=2000)] = "",
) -> Response:
    """What can be done with what the page is about, what is called so and what to do with it, and pages."""
    text = asked.q[:_LONGEST]
    words = offers.read_words(text.removeprefix(">"))
    pages = navigation(request.app.state.menus, subject)
    name, here = "Here", list[Entry]()
    found: list[EntryGroup] = []
    if subject.can_anywhere("service.read"):
        service, project = await find_place(session, scope, offers.place_of(hx_current_url))
        name = service.name if service else name
        here = [entry for entry in offers.entries_of_place(service, project, subject) if words.fit(entry)]
        if not text:
            found.append(EntryGroup("Recent", await _recent(session, scope, asked.recent, name)))
        found += await _find(session, scope, subject, words, pages)
    else:
        found = offers.page_groups(pages, words)
    if text.startswith(">"):
        found = [group for group in found if group.label in offers.ACTIONS]
    groups = offers.without_shown([EntryGroup(name, here)], ()) + offers.without_shown(found, here)
    return render(request, "dashboard/_palette.html", PaletteResults(groups, text))


async def _find(
    session: AsyncSession, scope: Scope, subject: Subject, words: ParsedInput, pages: Sequence[NavItem]
) -> list[EntryGroup]:
    """What fits the words; when nothing does, what fits those that are spelled much like them."""
    found = await _find_exactly(session, scope, subject, words) + offers.page_groups(pages, words)
    if any(group.items for group in found) or not words.said:
        return found
    named = {part for item in pages for part in item.label.lower().split()}
    near = offers.correct(words, await list_vocabulary(session, scope) | named)
    if near is None:
        return found
    similar = await _find_exactly(session, scope, subject, near) + offers.page_groups(pages, near)
    filled = [group for group in similar if group.items]
    return [EntryGroup(f"{group.label} like “{' '.join(near.said)}”", group.items) for group in filled[:1]] + filled[1:]


async def _find_exactly(session: AsyncSession, scope: Scope, subject: Subject, words: ParsedInput) -> list[EntryGroup]:
    found = offers.found_groups(words, subject, await look_up(session, scope, words))
    return found + offers.inside_groups(subject, await find_inside(session, scope, words) if words.said else ())


async def _recent(session: AsyncSession, scope: Scope, text: str, here: str) -> list[Entry]:
    seen = offers.read_recent(text)
    known = await find_named(session, scope, seen)
    return [known[place] for place in seen if place in known and known[place].label != here]
