"""The watcher of the engines, which all open pages share."""

import asyncio
from types import SimpleNamespace

from orca.features.deployments.observer import watch_engines


class Systems:
    """Systems of which the first survey fails in a way that no provider should."""

    def __init__(self):
        self.states, self.surveys = {}, 0
        self.survey = lambda: None

    def state(self, _system_id, make):
        return self.states.setdefault(make, make())

    async def try_each(self, _work):
        self.surveys += 1
        if self.surveys == 1:
            raise RuntimeError("unexpected")
        return {}, {}


async def test_watcher_goes_on_after_a_survey_that_crashed():
    resources = SimpleNamespace(systems=Systems(), instance="test")
    async with asyncio.timeout(20):
        with watch_engines(resources, asyncio.Event()):
            while resources.systems.surveys < 2:  # noqa: ASYNC110 - a number sets no event
                await asyncio.sleep(0.05)
