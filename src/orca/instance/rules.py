"""May this process act on this database, with this key, beside these containers? Pure."""

from dataclasses import dataclass

from orca.errors import StartRefused
from orca.instance.marker import Marker


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What a database holds, whichever version of Orca wrote it."""

    name: str
    """For people: a path, or host and name."""
    id: str | None = None
    key_fingerprint: str | None = None
    has_data: bool = False
    """Events, people or services; false for a missing file and for a schema without rows."""
    is_sealed: bool = False
    """It holds secrets."""
    opens: bool = False
    """The key at hand opens one of them."""
    last_seq: int = 0
    knows_marked: bool = True
    """The event that the data directory remembers is there, and is the same one."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is looked at before a start."""

    data_dir: str
    key_fingerprint: str | None
    """None: there is no `secret.key`."""
    derived_id: str | None
    """The id that the key stands for, as long as nothing else was decided."""
    marker: Marker | None
    database: DatabaseFacts
    left_behind: str = ""
    """An SQLite database with data in the data directory, while the settings name another one."""
    labelled: int | None = 0
    """Containers and volumes that carry this instance's label; None when the engine did not answer."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """It may start, as this."""

    id: str | None
    """None: the key is still to be made, and the id follows from it."""
    lost_after: int | None = None
    """Set when the database ends before an event that had been seen."""
    is_accepted: bool = False
    """An administrator said that what is there is right."""


_ADOPT = "`orc adopt` accepts what is there as it is"
_NEW = "`orc serve --new-instance` starts beside it and leaves everything of the other one alone"


def judge(facts: Facts) -> Verdict:
    """Raises StartRefused with what is there and what can be done."""
    if facts.database.id is not None:
        return _judge_named(facts, facts.database.id)
    if facts.database.has_data:
        return _judge_unnamed(facts)
    return _judge_empty(facts)


def _judge_named(facts: Facts, instance_id: str) -> Verdict:
    database, marker = facts.database, facts.marker
    check_key(facts)
    if marker is not None and marker.id != instance_id:
        raise StartRefused(
            f"the database {database.name} belongs to the instance {instance_id}, and the data directory "
            f"{facts.data_dir} to the instance {marker.id}",
            hint=f"Set DATABASE_URL and ORC_DATA_DIR to two that belong together; {_ADOPT}; {_NEW}.",
        )
    return Verdict(instance_id, None if database.knows_marked else database.last_seq)


def check_key(facts: Facts) -> None:
    """Raises StartRefused when the key is not the one of the database."""
    database = facts.database
    is_known = database.key_fingerprint is not None
    if facts.key_fingerprint is None and (is_known or database.is_sealed):
        raise StartRefused(
            f"{facts.data_dir}/secret.key is missing, and the database {database.name} holds what was sealed with it",
            hint="Put the file back from your copy; on a further machine, copy it from the first one. When it is lost "
            "for good, `orc adopt --lost-secrets` makes a new one, and each secret has to be set again.",
        )
    is_foreign = facts.key_fingerprint != database.key_fingerprint if is_known else not database.opens
    if facts.key_fingerprint is not None and is_foreign and (is_known or database.is_sealed):
        raise StartRefused(
            f"{facts.data_dir}/secret.key is not the key of the database {database.name}",
            hint="Put the right key back, or set DATABASE_URL and ORC_DATA_DIR to two that belong together. When the "
            "right one is lost for good, `orc adopt --lost-secrets` accepts this one.",
        )


def _judge_unnamed(facts: Facts) -> Verdict:
    """Written before databases had a name: one whose secrets the key opens is ours."""
    database = facts.database
    check_key(facts)
    if not database.is_sealed and facts.labelled:
        raise StartRefused(
            f"the database {database.name} does not say whose it is, and {facts.labelled} containers and volumes of "
            "this instance are on the engine",
            hint=f"Set DATABASE_URL to the database that knows them, or restore it; {_ADOPT}; {_NEW}.",
        )
    lost = None if database.knows_marked else database.last_seq
    return Verdict(facts.marker.id if facts.marker else facts.derived_id, lost)


def _judge_empty(facts: Facts) -> Verdict:
    """A first start, or the wrong database, or one that was lost."""
    marker = facts.marker
    if marker is None and not facts.labelled and not facts.left_behind:
        return Verdict(facts.derived_id)
    there = [f"the data directory {facts.data_dir} belongs to the instance {marker.id}"] if marker else []
    there += [f"{facts.labelled} of its containers and volumes are on the engine"] if facts.labelled else []
    there += [f"its database lies in {facts.left_behind}"] if facts.left_behind else []
    move = "`orc migrate-database` moves SQLite to PostgreSQL. " if facts.left_behind else ""
    raise StartRefused(
        f"the database {facts.database.name} is empty or missing, but {', and '.join(there)}",
        hint=f"{move}Restore the database, or set DATABASE_URL to the one that knows them; {_ADOPT}; {_NEW}.",
    )
