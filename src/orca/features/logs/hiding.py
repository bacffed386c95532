"""Hides values of secret variables when lines are read: they may have been stored while the service showed them."""

import time
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import select

from orca.features.deployments.models import Release
from orca.features.deployments.output import list_hidden_of
from orca.features.logs.rules import StoredLine
from orca.kit.text import redact
from orca.resources import Resources
from orca.web.guard import Scope

_KNOWN_SECONDS = 3.0
"""A stream asks again after this time whether the service shows the values."""


class Hiding:
    """What one reader must not see of a service's lines."""

    def __init__(self, resources: Resources, scope: Scope, service_id: str) -> None:
        self._resources = resources
        self._scope = scope
        self._service_id = service_id
        self._hidden: dict[int, tuple[str, ...]] = {}
        """Number of a release -> the texts to hide in what it wrote."""
        self._asked_at = time.monotonic()

    async def hide(self, lines: Sequence[StoredLine]) -> list[StoredLine]:
        """Return the lines as they may be shown."""
        if time.monotonic() - self._asked_at > _KNOWN_SECONDS:
            self._hidden, self._asked_at = {}, time.monotonic()
        for number in {line.writer.release for line in lines} - self._hidden.keys():
            self._hidden[number] = await self._list_hidden(number)
        whole = "\n".join(line.text for line in lines)
        here = {number: tuple(text for text in hidden if text in whole) for number, hidden in self._hidden.items()}
        if not any(here.values()):
            return list(lines)
        return [replace(line, text=redact(line.text, here[line.writer.release])) for line in lines]

    async def _list_hidden(self, number: int) -> tuple[str, ...]:
        query = select(Release.id).where(Release.service_id == self._service_id, Release.number == number)
        async with self._resources.db.read(self._scope.team_id, self._scope.reach) as session:
            release_id = await session.scalar(query)
        if release_id is None:
            return ()
        return await list_hidden_of(self._resources, self._scope, self._service_id, {release_id})
