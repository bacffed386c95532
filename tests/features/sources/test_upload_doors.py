"""Uploads through their doors."""

import asyncio
import hashlib
import os
import time

from tests.conftest import API_TOKEN, claim, client_of, make_settings, running_app
from tests.features.services.conftest import SEED
from tests.features.services.events import events_of

from orca.features.sources.operations import Leftovers
from orca.kit.ids import new_id

TAR = {"Content-Type": "application/x-tar"}


async def upload(client, service, content, headers=TAR):
    return await client.post(f"/api/v1/services/{service['id']}/uploads", content=content, headers=headers)


async def directory_service(client, project, name="Site"):
    body = {"name": name, "kind": "static", "source": {"type": "directory"}}
    return (await client.post(f"/api/v1/projects/{project['id']}/services", json=body)).json()


def files_of(app):
    return sorted(each.name for each in (app.state.settings.data_dir / "uploads").iterdir())


async def test_an_upload_lies_on_the_disk_and_becomes_the_source(app, client, project):
    service = await directory_service(client, project)
    content = os.urandom(300_000)
    answer = await upload(client, service, content)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["sha256"], made["size_bytes"]) == (hashlib.sha256(content).hexdigest(), 300_000)
    path = app.state.settings.data_dir / "uploads" / f"{made['id']}.tar"
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o600
    after = (await client.get(f"/api/v1/services/{service['id']}")).json()
    assert after["source"] == {"type": "directory", "upload_id": made["id"]}
    assert (await client.get(f"/api/v1/services/{service['id']}/uploads")).json()["items"] == [made]
    event = (await events_of(app, "UploadReceived"))[0]
    assert event.payload == {"upload_id": made["id"], "sha256": made["sha256"], "size_bytes": 300_000}


async def test_a_git_service_keeps_its_source(client, service):
    assert (await upload(client, service, b"x")).status_code == 201
    assert (await client.get(f"/api/v1/services/{service['id']}")).json()["source"] == service["source"]


async def test_the_last_three_are_kept(app, client, project):
    service, other = await directory_service(client, project), await directory_service(client, project, "Other")
    kept = (await upload(client, other, b"other")).json()["id"]
    ids = [(await upload(client, service, bytes([number]))).json()["id"] for number in range(5)]
    assert files_of(app) == sorted(f"{each}.tar" for each in (kept, *ids[2:]))
    listed = (await client.get(f"/api/v1/services/{service['id']}/uploads")).json()["items"]
    assert [each["id"] for each in listed] == ids[:1:-1]


async def test_a_source_can_name_its_own_uploads_only(client, stranger, project):
    service, other = await directory_service(client, project), await directory_service(client, project, "Other")
    mine, others = [(await upload(client, each, b"x")).json()["id"] for each in (service, other)]
    theirs_project = (await stranger.post("/api/v1/projects", json={"name": "x"})).json()
    theirs = (await upload(stranger, await directory_service(stranger, theirs_project), b"x")).json()["id"]
    url = f"/api/v1/services/{service['id']}"
    assert (await client.patch(url, json={"source": {"type": "directory", "upload_id": mine}})).status_code == 200
    for foreign in (others, theirs, new_id()):
        assert (
            await client.patch(url, json={"source": {"type": "directory", "upload_id": foreign}})
        ).status_code == 422


async def test_who_may_not_deploy_or_sends_something_else_leaves_nothing(app, client, stranger, viewer, service):
    assert (await upload(viewer, service, b"x")).status_code == 403
    assert (await upload(stranger, service, b"x")).status_code == 404
    assert (await upload(client, {"id": new_id()}, b"x")).status_code == 404
    assert (await upload(client, service, b"{}", {"Content-Type": "application/json"})).status_code == 415
    assert (await upload(client, service, b"")).status_code == 422
    assert not (app.state.settings.data_dir / "uploads").exists() or files_of(app) == []
    assert (await client.get(f"/api/v1/services/{service['id']}/uploads")).json()["items"] == []


async def test_too_large_and_a_full_disk(tmp_path):
    for disk, status in (({"upload_limit_mb": 1}, 413), ({"reserve_mb": 1 << 40}, 507)):
        async with running_app(make_settings(tmp_path / str(status), disk=disk)) as app:
            await claim(app)
            async with client_of(app, Authorization=f"Bearer {API_TOKEN}") as client:
                project = (await client.post("/api/v1/projects", json={"name": "x"})).json()
                service = (await client.post(f"/api/v1/projects/{project['id']}/services", json=SEED)).json()

                async def chunks():
                    for _ in range(20):
                        yield b"x" * 65536

                for content in (b"x" * ((1 << 20) + 1), chunks()):
                    refused = await upload(client, service, content)
                    assert refused.status_code == status, refused.text
                    assert refused.json()["hint"]
                    assert not (app.state.settings.data_dir / "uploads").exists() or files_of(app) == []


async def test_files_without_an_owner_are_swept(app, client, project):
    service = await directory_service(client, project)
    kept = await directory_service(client, project, "Kept")
    lost, stays = [(await upload(client, each, b"x")).json()["id"] for each in (service, kept)]
    await client.delete(f"/api/v1/services/{service['id']}", params={"confirm": service["slug"]})
    folder = app.state.settings.data_dir / "uploads"
    (folder / "crashed.part").write_bytes(b"x")
    old = time.time() - 86_400
    for each in await asyncio.to_thread(lambda: list(folder.iterdir())):
        os.utime(each, (old, old))
    leftovers = Leftovers(patience=0.2)
    await leftovers.remove(app.state.resources)
    assert len(files_of(app)) == 3  # young ones may still be on their way, whatever the clock says
    await asyncio.sleep(0.2)
    await leftovers.remove(app.state.resources)
    assert files_of(app) == [f"{stays}.tar"]
    assert lost not in files_of(app)
