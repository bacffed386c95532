"""What an engine that is away interrupts is done again, unless it was asked to end."""

import asyncio
from types import SimpleNamespace
from typing import Any

from tests.open_systems import OpenSystems

from orca.features.deployments.steps.retry import retry_while_unavailable
from orca.sdk.engines import EngineUnreachable
from orca.sdk.testing.fake_host import FakeHost


async def test_retry_cancelled_while_cleaning_up_fails_ends_and_repeats_nothing() -> None:
    """The failure takes the place of the cancellation, which was lost: the step went on beside its own undoing."""
    begun: list[str] = []

    async def act() -> None:
        begun.append("once")
        try:
            await asyncio.sleep(60)
        finally:
            raise EngineUnreachable("Docker does not answer.", hint="Start it.")

    async def write(_line: str) -> None: ...

    work: Any = SimpleNamespace(
        resources=SimpleNamespace(systems=OpenSystems(containers=FakeHost())),
        log=SimpleNamespace(write=write),
        interruptions=[],
        system_id="local",
    )
    step = asyncio.create_task(retry_while_unavailable(work, act))
    await asyncio.wait({step}, timeout=0.05)
    step.cancel()
    await asyncio.wait({step}, timeout=5)
    assert step.cancelled()
    assert begun == ["once"]
