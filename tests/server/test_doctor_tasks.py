"""`orc doctor` names tasks that no worker would run, and consumers of events that are late."""

from datetime import timedelta

from fastapi import FastAPI

from orca.db import now
from orca.events import Event
from orca.events.consumers import EventCursor
from orca.resources import PlaceInLine, on_system
from orca.server.doctor import check_background
from orca.systems import LOCAL
from orca.tasks.rows import Worker


async def test_check_background_stranded_task_and_late_consumer_are_named(app: FastAPI) -> None:
    resources = app.state.resources
    assert [(found.name, found.state) for found in await check_background(resources)] == [("tasks", "ok")]
    worker = Worker(id="w", host="edge", knows=["DeliverWebhook"], offers=["system:edge"])
    async with resources.db.write() as session:
        worker.started_at = worker.seen_at = now()
        session.add_all([worker, EventCursor(consumer="webhooks", last_seq=0, updated_at=now())])
        place = PlaceInLine(needs=on_system(LOCAL))
        await resources.tasks.enqueue(session, "DeliverWebhook", target="t", payload={}, place=place)
        values = {"actor": "", "via": "system", "outcome": "done", "payload": {}, "previous_hash": "", "hash": "x"}
        session.add(Event(seq=1000, at=now() - timedelta(hours=1), type="ServiceCreated", **values))
    tasks, events = await check_background(resources)
    assert (tasks.state, tasks.message) == ("warning", "1 task cannot begin")
    assert "works on the system “local”" in tasks.remedy
    assert (events.name, events.state) == ("events", "warning")
    assert "webhooks is 1 event behind, the oldest of 20" in events.message


async def test_check_background_without_a_database_is_silent(tmp_path) -> None:
    from tests.conftest import make_settings

    from orca.db import Database
    from orca.resources import open_resources
    from orca.server.doctor import NoTasks

    settings = make_settings(tmp_path / "data")
    async with open_resources(settings, Database(settings.database), NoTasks()) as resources:
        assert await check_background(resources) == []
