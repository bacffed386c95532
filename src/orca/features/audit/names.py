"""What the ids in events are called today, by the directories of features above; deleted objects keep a name."""

from collections.abc import Collection, Mapping

from sqlalchemy.ext.asyncio import AsyncSession

from orca.features import all_directories
from orca.features.identity.queries import find_emails
from orca.features.manifest import NamedObject
from orca.web.guard import Scope


async def find_names(
    session: AsyncSession, scope: Scope, wanted: Mapping[str, Collection[str]]
) -> dict[tuple[str, str], NamedObject]:
    """(object type, id) -> name."""
    people = await _find_people(session, wanted["user"]) if wanted.get("user") else {}
    found = {("user", identifier): name for identifier, name in people.items()}
    directories = all_directories()
    for object_type, ids in wanted.items():
        directory = directories.get(object_type)
        if directory is not None and ids:
            names = await directory.find_names(session, scope, ids)
            found |= {(object_type, identifier): name for identifier, name in names.items()}
    return found


async def find_named(session: AsyncSession, scope: Scope, text: str) -> list[str]:
    """Ids of everything whose name holds the text."""
    found = [await directory.find_ids(session, scope, text) for directory in all_directories().values()]
    return [identifier for ids in found for identifier in ids]


async def _find_people(session: AsyncSession, ids: Collection[str]) -> dict[str, NamedObject]:
    """Return the e-mails of users; a subject that may read an event may also read whom it is about."""
    return {identifier: NamedObject(email) for identifier, email in (await find_emails(session, ids)).items()}
