"""Uploads stay while unfinished work needs them, and the newest is the one that came last, whatever the clock says."""

from pathlib import Path

from sqlalchemy import select
from tests.features.deployments.bench import Bench

from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.sources.actions.uploads import KEPT_UPLOADS, keep_upload
from orca.features.sources.models import Upload
from orca.features.sources.uploads import StoredUpload
from orca.web.guard import Scope


async def send(bench: Bench, service_id: str, team_id: str, upload_id: str) -> list[str]:
    async with bench.resources.db.write() as session:
        stored = StoredUpload(upload_id, Path("x"), "0" * 64, 1)
        return (await keep_upload(session, Scope(team_id), service_id, stored))[1]


async def test_keep_upload_what_a_waiting_deployment_names_stays(bench: Bench) -> None:
    service = await bench.make_service()
    await send(bench, service.id, service.team_id, "waited-for")
    await bench.ask(service, DeploymentRequest(upload_id="waited-for"))
    replaced = [
        each for number in range(KEPT_UPLOADS + 2)
        for each in await send(bench, service.id, service.team_id, f"later-{number}")
    ]  # fmt: skip
    async with bench.resources.db.read() as session:
        left = set(await session.scalars(select(Upload.id)))
    assert "waited-for" in left
    assert "waited-for" not in replaced
    assert len(left) == KEPT_UPLOADS + 1


async def test_keep_upload_a_clock_that_goes_back_does_not_make_the_newest_the_oldest(bench: Bench) -> None:
    service = await bench.make_service()
    for name in ("z-before-1", "z-before-2", "z-before-3", "a-after-the-clock-went-back"):
        replaced = await send(bench, service.id, service.team_id, name)
    assert replaced == ["z-before-1"]
