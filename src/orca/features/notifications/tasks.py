"""Background doors: the consumer that queues messages, the task that delivers one, and the cleanup of old ones."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from orca.db import now
from orca.db.batches import delete_in_batches
from orca.errors import HeldBack
from orca.events.consumers import Consumer
from orca.features.notifications.actions import DELIVER, give_up, queue_event
from orca.features.notifications.messages import list_event_types
from orca.features.notifications.models import Delivery
from orca.features.notifications.operations import SECONDS, forget_replaced_secrets, note_failure, try_delivery
from orca.features.notifications.rules import KEEP_DELIVERIES, PAUSES
from orca.resources import Resources
from orca.tasks import Periodic, Task, TaskDefinition, TaskRun
from orca.tasks.lanes import DELIVERIES


async def deliver(run: TaskRun, payload: Mapping[str, Any]) -> None:
    """Try a delivery until its receiver takes it or the last pause is over; a test message is tried once."""
    delivery_id, pauses = str(payload["delivery_id"]), () if payload["once"] else PAUSES
    for number, pause in enumerate((*pauses, None), 1):
        work = partial(try_delivery, run.resources, delivery_id, pause)
        try:
            due = await run.step(f"try {number}", work, deadline=3 * SECONDS)
        except HeldBack as error:  # the process died at it more than once: others have their turn before the next try
            work = partial(note_failure, run.resources, delivery_id, pause, error.message)
            due = await run.step(f"after try {number}", work, deadline=3 * SECONDS)
        if due is None:
            return
        await run.sleep_until(datetime.fromisoformat(due), f"Try {number} of this delivery failed.")


async def settle(resources: Resources, task_id: str, reason: str) -> None:
    """End the delivery of a task that could not."""
    async with resources.db.write() as session:
        task = await session.get_one(Task, task_id)
        await give_up(session, str(task.payload["delivery_id"]), reason)


async def forget_deliveries(resources: Resources) -> None:
    """Delete old deliveries; none of them waits any more."""
    await delete_in_batches(resources.db, Delivery, Delivery.created_at < now() - KEEP_DELIVERIES)


TASKS = (TaskDefinition(DELIVER, run=deliver, settle=settle, lane=DELIVERIES),)
PERIODIC = (
    Periodic("old-webhook-deliveries", 3600, forget_deliveries),
    Periodic("old-webhook-secrets", 3600, forget_replaced_secrets),
)
CONSUMERS = (Consumer("webhooks", list_event_types, queue_event),)
