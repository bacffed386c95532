"""Providers that cannot be used are logged after the start, by a task that ends with the application."""

import asyncio
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs
from tests.conftest import make_settings, running_app, until

from orca import app as application


def list_reasons(logs: list[Any]) -> list[str]:
    return [line["reason"] for line in logs if line["event"] == "provider_unusable"]


async def test_unusable_provider_is_logged_after_the_start(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data", docker={"pool": "no network"})
    with capture_logs() as logs:
        async with running_app(settings):
            assert list_reasons(logs) == [], "the start does not wait for it"
            await asyncio.to_thread(until, lambda: list_reasons(logs), what="the provider is named")


async def test_unusable_provider_is_not_logged_after_the_end(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data", docker={"pool": "no network"})
    with capture_logs() as logs:
        async with running_app(settings):
            pass
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not [task for task in others if "_log_unusable" in repr(task)]
        await asyncio.sleep(2 * application.LOOK_AFTER_SECONDS)
    assert list_reasons(logs) == []
