"""Decides whether this process may use the existing database and containers, and records the decision."""

import asyncio
import secrets
from dataclasses import dataclass, replace
from pathlib import Path

import structlog
from sqlalchemy import Connection, delete, insert, select, text, update
from sqlalchemy.engine import URL

from orca.errors import OrcaError, StartRefused
from orca.instance.marker import Marker, find_marker, set_aside_broken, write_marker
from orca.instance.models import Instance
from orca.instance.rules import InstanceFacts, Verdict, check_key, judge
from orca.kit.crypto import fingerprint_of, load_key
from orca.kit.threads import run_in_thread
from orca.migrations import upgrade
from orca.resources import Identity, derive_id, open_containers
from orca.settings import Settings
from orca.startup.facts import find_usable_key, has_content, open_database, read_database
from orca.startup.folder import prepare_data_dir
from orca.startup.integrity import check_integrity

log = structlog.get_logger("orca.startup")
KEY_FILE = "secret.key"
_ENGINE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class StartChoice:
    """An administrator's decision about a database that does not match."""

    new_instance: bool = False
    adopt: bool = False
    lost_secrets: bool = False


def check_before_start(settings: Settings, choice: StartChoice | None = None) -> None:
    """Run every check that is possible before the schema is changed. Raises StartRefused."""
    prepare_data_dir(settings.data_dir)
    if not check_integrity(settings.database):
        log.info("database_checked_in_part", hint="It is large; `orc doctor` checks all of it.")
    asyncio.run(check_start(settings, choice))


async def check_start(settings: Settings, choice: StartChoice | None = None) -> Verdict:
    """Check whether to start. Raises StartRefused; changes only the modes of files that other users could read."""
    choice = choice or StartChoice()
    if choice.adopt:
        await run_in_thread(set_aside_broken, settings.data_dir)
    facts = await _gather(settings)
    try:
        return replace(judge(facts), is_accepted=choice.adopt)
    except StartRefused:
        if choice.adopt:
            return _accept(facts, choice)
        if choice.new_instance:
            check_key(facts)
            return Verdict(secrets.token_hex(4))
        raise


def _accept(facts: InstanceFacts, choice: StartChoice) -> Verdict:
    """Accept this database and this key. The id is that of the labels of the database's containers."""
    database = facts.database
    is_same = database.key_fingerprint in {None, facts.key_fingerprint}
    opens = facts.key_fingerprint is not None and is_same and (database.opens or not database.is_sealed)
    if database.is_sealed and not opens and not choice.lost_secrets:
        check_key(facts)
    return Verdict(database.id or (facts.marker.id if facts.marker else facts.derived_id), is_accepted=True)


async def establish(settings: Settings, choice: StartChoice | None = None) -> Identity:
    """Check, migrate the schema, and record the decision."""
    prepare_data_dir(settings.data_dir)
    verdict = await check_start(settings, choice)
    await run_in_thread(upgrade, settings.database)
    key = await run_in_thread(load_key, settings.data_dir / KEY_FILE)
    instance_id = verdict.id or derive_id(key)
    if verdict.lost_after is not None:
        log.critical("database_is_behind", last_event=verdict.lost_after)
    return await run_in_thread(_record, settings, replace(verdict, id=instance_id), key)


def _record(settings: Settings, verdict: Verdict, key: bytes) -> Identity:
    """Record in the database first, so that a data directory is never marked for a database without that record."""
    instance_id, fingerprint = str(verdict.id), fingerprint_of(key)
    earlier = find_marker(settings.data_dir)
    with open_database(settings.database) as connection:
        _write_row(connection, Instance(id=instance_id, key_fingerprint=fingerprint), verdict, earlier)
        newest = connection.execute(text("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1")).one_or_none()
        connection.commit()
    seq, event_hash = (int(newest.seq), str(newest.hash)) if newest else (0, "")
    proxy = earlier.proxy if earlier else "proxy"
    if earlier is None or earlier.id != instance_id:
        proxy = _choose_proxy(settings.data_dir, instance_id, key)
    write_marker(settings.data_dir, Marker(instance_id, fingerprint, proxy, seq, event_hash))
    return Identity(instance_id, key, proxy)


def _choose_proxy(data_dir: Path, instance_id: str, key: bytes) -> str:
    """Choose the proxy's folder: a later instance of a data directory does not use the first one's proxy."""
    is_first = instance_id == derive_id(key) or not (data_dir / "proxy").exists()
    return "proxy" if is_first else f"proxy-{instance_id}"


def _write_row(connection: Connection, wanted: Instance, verdict: Verdict, earlier: Marker | None) -> None:
    row = connection.execute(select(Instance.id, Instance.key_fingerprint)).one_or_none()
    if row is None or tuple(row) != (wanted.id, wanted.key_fingerprint):
        connection.execute(delete(Instance))
        connection.execute(insert(Instance).values(id=wanted.id, key_fingerprint=wanted.key_fingerprint))
    if verdict.is_accepted:
        connection.execute(update(Instance).values(lost_after=None, lost_until=None))
    elif verdict.lost_after is not None:
        until = earlier.seq if earlier else verdict.lost_after
        connection.execute(update(Instance).values(lost_after=verdict.lost_after, lost_until=until))


async def _gather(settings: Settings) -> InstanceFacts:
    """Collect the facts for the decision; those of the engine only when they may matter."""
    key = await asyncio.to_thread(find_usable_key, settings.data_dir / KEY_FILE)
    marker = await asyncio.to_thread(find_marker, settings.data_dir)
    database = await asyncio.to_thread(read_database, settings.database, key, marker)
    facts = InstanceFacts(
        data_dir=str(settings.data_dir), key_fingerprint=fingerprint_of(key) if key else None,
        derived_id=derive_id(key) if key else None, marker=marker, database=database,
        left_behind=await asyncio.to_thread(_find_left_behind, settings),
    )  # fmt: skip
    instance_id = marker.id if marker else facts.derived_id
    if database.id is None and not database.opens and key is not None and instance_id is not None:
        return replace(facts, labelled=await _count_labelled(settings, Identity(instance_id, key)))
    return facts


def _find_left_behind(settings: Settings) -> str:
    """Return the data directory's SQLite database if it has data while the settings name another database."""
    path = settings.data_dir / "orc.db"
    if settings.database.get_backend_name() == "sqlite" or not has_content(path):
        return ""
    found = read_database(URL.create("sqlite", database=str(path)), None, None)
    return str(path) if found.has_data or found.id else ""


async def _count_labelled(settings: Settings, identity: Identity) -> int | None:
    """Count containers and volumes of this instance; None when the engine does not answer."""
    try:
        async with asyncio.timeout(_ENGINE_SECONDS), open_containers(settings, identity.id) as host:
            containers, volumes = await host.inspect({}), await host.list_volumes({})
    except (OrcaError, TimeoutError):
        return None
    return len(containers) + len(volumes)
