"""Decides whether this process may use this database with this key and these containers. Pure."""

from dataclasses import dataclass

from orca.errors import StartRefused
from orca.instance.marker import Marker


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """Facts about a database, written by any version of Orca."""

    name: str
    """Display name: a path, or host and name."""
    id: str | None = None
    key_fingerprint: str | None = None
    has_data: bool = False
    """Whether it has events, users or services; false for a missing file and for a schema without rows."""
    is_sealed: bool = False
    """Whether it contains secrets."""
    opens: bool = False
    """Whether the key decrypts one of them."""
    last_seq: int = 0
    knows_marked: bool = True
    """Whether it has the event that is recorded in the data directory, unchanged."""


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """All facts that are checked before a start."""

    data_dir: str
    key_fingerprint: str | None
    """None if there is no `secret.key`."""
    derived_id: str | None
    """The id derived from the key, used unless another one is recorded."""
    marker: Marker | None
    database: DatabaseFacts
    left_behind: str = ""
    """An SQLite database with data in the data directory, while the settings name another one."""
    labelled: int | None = 0
    """Number of containers and volumes with this instance's label; None when the engine did not answer."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The permission to start, and the identity to start with."""

    id: str | None
    """None: the key does not exist yet, and the id will be derived from it."""
    lost_after: int | None = None
    """Set when the database ends before an event that the data directory had recorded."""
    is_accepted: bool = False
    """An administrator confirmed that the present state is right."""


_ADOPT = "`orc adopt` accepts what is there as it is"
_NEW = "`orc serve --new-instance` starts beside it and leaves everything of the other one alone"


def judge(facts: InstanceFacts) -> Verdict:
    """Decide. Raises StartRefused with the facts and the possible next steps."""
    if facts.database.id is not None:
        return _judge_named(facts, facts.database.id)
    if facts.database.has_data:
        return _judge_unnamed(facts)
    return _judge_empty(facts)


def _judge_named(facts: InstanceFacts, instance_id: str) -> Verdict:
    database, marker = facts.database, facts.marker
    check_key(facts)
    if marker is not None and marker.id != instance_id:
        raise StartRefused(
            f"the database {database.name} belongs to the instance {instance_id}, and the data directory "
            f"{facts.data_dir} to the instance {marker.id}",
            hint=f"Set DATABASE_URL and ORC_DATA_DIR to two that belong together; {_ADOPT}; {_NEW}.",
        )
    return Verdict(instance_id, None if database.knows_marked else database.last_seq)


def check_key(facts: InstanceFacts) -> None:
    """Raise StartRefused when the key is not the database's."""
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


def _judge_unnamed(facts: InstanceFacts) -> Verdict:
    """Judge a database from before instances were recorded: it is ours if the key decrypts its secrets."""
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


def _judge_empty(facts: InstanceFacts) -> Verdict:
    """Judge an empty database: a first start, the wrong database, or a lost one."""
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
