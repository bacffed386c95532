"""An upload that is made to keep the worker busy: its deployment ends with a reason, the others go on."""

import gzip
import tarfile
import time

import pytest
from tests.features.deployments.bench import Bench
from tests.features.deployments.test_pipeline import start_tasks

from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.sources.models import Upload
from orca.kit.ids import new_id

pytestmark = pytest.mark.slow


async def test_an_upload_of_metadata_ends_its_deployment_at_once(bench: Bench) -> None:
    header = tarfile.TarInfo("./PaxHeaders/x")
    header.type, header.size = tarfile.XHDTYPE, 8 * 8000
    content = gzip.compress((header.tobuf(tarfile.USTAR_FORMAT) + b"8 k=000\n" * 8000) * 4000, 1)
    service, upload_id = await bench.make_service(), new_id()
    folder = bench.resources.settings.data_dir / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{upload_id}.tar").write_bytes(content)
    async with bench.resources.db.write() as session:
        owner = {"team_id": service.team_id, "service_id": service.id}
        session.add(Upload(id=upload_id, **owner, sha256="0" * 64, size_bytes=len(content)))
    await bench.edit(service, kind="web", source={"type": "directory", "upload_id": upload_id}, health={"type": "none"})
    await start_tasks(bench)
    started = time.monotonic()
    ended = await bench.end_of(await bench.ask(service, DeploymentRequest()))
    assert ended.state == "failed"
    assert "metadata" in ended.reason
    assert time.monotonic() - started < 10
