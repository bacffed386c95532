"""Volumes through their doors: attached, detached, and destroyed only on a separate, confirmed wish."""

import asyncio
import subprocess
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import select
from tests.conftest import API_TOKEN, claim, client_of, docker_client, make_settings, running_app
from tests.features.services.conftest import SEED
from tests.features.services.events import events_of
from tests.open_systems import exchange

from orca.errors import RequestRefused
from orca.features.services.models import Volume
from orca.features.services.tasks import TASKS, settle
from orca.kit.ids import new_id
from orca.sdk.containers import ContainerSpec
from orca.sdk.testing.fake_host import FakeHost
from orca.sdk.workloads import Mount
from orca.tasks import Task


async def attach(client, service, **fields):
    return await client.post(f"/api/v1/services/{service['id']}/volumes", json=fields)


async def test_a_volume_is_attached_detached_and_attached_again(app, client, project, service):
    made = (await attach(client, service, name="data", path="/var/lib/data/")).json()
    assert (made["name"], made["path"], made["service_id"]) == ("data", "/var/lib/data", service["id"])
    url = f"/api/v1/services/{service['id']}/volumes"
    assert (await client.delete(f"{url}/{made['id']}")).status_code == 204
    assert (await client.get(url)).json() == []
    detached = (await client.get(f"/api/v1/projects/{project['id']}/volumes")).json()["items"]
    assert [(each["id"], each["service_id"], each["detached_at"] is not None) for each in detached] == [
        (made["id"], None, True)
    ]
    assert (await client.delete(f"{url}/{made['id']}")).status_code == 404
    again = (await attach(client, service, volume_id=made["id"], path="/srv")).json()
    assert (again["id"], again["path"], again["detached_at"]) == (made["id"], "/srv", None)
    assert [each.type for each in await events_of(app, "VolumeAttached", "VolumeDetached")] == [
        "VolumeAttached", "VolumeDetached", "VolumeAttached",
    ]  # fmt: skip


async def test_names_and_paths_are_taken_once(client, service):
    made = (await attach(client, service, name="data", path="/data")).json()
    assert (await attach(client, service, name="data", path="/other")).status_code == 409
    assert (await attach(client, service, name="other", path="/data")).status_code == 409
    assert (await attach(client, service, volume_id=made["id"], path="/other")).status_code == 409
    for body in ({"path": "/x"}, {"name": "a", "volume_id": made["id"], "path": "/x"}, {"name": "A", "path": "/x"},
                 {"name": "a", "path": "/x:ro"}, {"name": "../a", "path": "/x"}, {"name": "a", "path": "/x", "driver": "o=bind"}):  # fmt: skip
        assert (await attach(client, service, **body)).status_code == 422
    for number in range(19):
        assert (await attach(client, service, name=f"v{number}", path=f"/v{number}")).status_code == 201
    assert (await attach(client, service, name="one-more", path="/one-more")).status_code == 422


@pytest.fixture
async def api(client, project):
    """A second service of the project."""
    return (await client.post(f"/api/v1/projects/{project['id']}/services", json={**SEED, "name": "Other"})).json()


async def test_volume_of_two_services_stays_until_the_last_detaches_it(app, client, project, service, api):
    made = (await attach(client, service, name="data", path="/data", owner="1:1")).json()
    shared = (await attach(client, api, volume_id=made["id"], path="/srv", read_only=True)).json()
    assert (shared["name"], shared["path"], shared["read_only"], shared["service_id"]) == (
        "data",
        "/srv",
        True,
        api["id"],
    )
    assert [(each["service"], each["path"], each["read_only"]) for each in shared["mounts"]] == [
        ("api-server", "/data", False), ("other", "/srv", True),
    ]  # fmt: skip
    (seen,) = (await client.get(f"/api/v1/services/{service['id']}/volumes")).json()
    assert (seen["path"], seen["mounts"], seen["owner"]) == ("/data", shared["mounts"], "1:1")
    assert (await attach(client, api, volume_id=made["id"], path="/again")).status_code == 409
    (listed,) = (await client.get(f"/api/v1/projects/{project['id']}/volumes")).json()["items"]
    assert (listed["service_id"], listed["path"]) == (service["id"], "/data")
    filtered = await client.get(f"/api/v1/projects/{project['id']}/volumes?service_id={api['id']}&state=attached")
    assert [each["path"] for each in filtered.json()["items"]] == ["/srv"]

    assert (await client.delete(f"/api/v1/services/{service['id']}/volumes/{made['id']}")).status_code == 204
    destroy = f"/api/v1/volumes/{made['id']}/destroy"
    refused = await client.post(destroy, json={"confirm": "data"})
    assert (refused.status_code, refused.json()["detail"]) == (409, "the volume is attached to other")
    assert (await find(app, made["id"])).detached_at is None
    gone = await client.delete(f"/api/v1/services/{api['id']}?confirm={api['slug']}")
    assert gone.status_code == 204
    (listed,) = (await client.get(f"/api/v1/projects/{project['id']}/volumes?state=detached")).json()["items"]
    assert (listed["service_id"], listed["path"], listed["mounts"]) == (None, "/srv", [])
    assert listed["detached_at"] is not None
    assert (await client.post(destroy, json={"confirm": "data"})).status_code == 202


async def test_deleting_a_service_leaves_what_another_mounts_attached(app, client, project, service, api):
    made = (await attach(client, service, name="data", path="/data")).json()
    await attach(client, api, volume_id=made["id"], path="/srv")
    await client.delete(f"/api/v1/services/{service['id']}?confirm={service['slug']}")
    (seen,) = (await client.get(f"/api/v1/services/{api['id']}/volumes")).json()
    assert ([each["service"] for each in seen["mounts"]], seen["detached_at"]) == (["other"], None)


async def test_same_name_in_two_services_is_two_volumes(client, project, service, api):
    first = (await attach(client, service, name="data", path="/data")).json()
    second = (await attach(client, api, name="data", path="/data")).json()
    assert (first["name"], first["volume_name"]) == ("data", "data")
    assert (second["name"], second["volume_name"]) == ("data", "other-data")
    url = f"/api/v1/services/{api['id']}/volumes"
    await client.delete(f"{url}/{second['id']}")
    third = (await attach(client, api, name="data", path="/data")).json()
    assert third["volume_name"] == "other-data-2"
    await client.delete(f"{url}/{third['id']}")
    again = (await attach(client, api, volume_id=second["id"], path="/data")).json()
    assert (again["name"], again["volume_name"]) == ("data", "other-data")
    listed = (await client.get(f"/api/v1/projects/{project['id']}/volumes")).json()["items"]
    assert sorted(each["name"] for each in listed) == ["data", "other-data", "other-data-2"]


async def test_another_owner_of_shared_data_is_refused_and_can_be_set_for_all(client, service, api):
    made = (await attach(client, service, name="data", path="/data", owner="1:1")).json()
    refused = await attach(client, api, volume_id=made["id"], path="/srv", owner="2:2")
    assert refused.status_code == 409
    assert "also mounted by api-server, and its data belongs to 1:1" in refused.json()["detail"]
    assert (await attach(client, api, volume_id=made["id"], path="/srv", owner="1:1")).status_code == 201
    url = f"/api/v1/services/{api['id']}/volumes/{made['id']}"
    changed = (await client.patch(url, json={"owner": "2:2", "read_only": True})).json()
    assert (changed["owner"], changed["read_only"], changed["mounts"][0]["read_only"]) == ("2:2", True, False)


async def test_new_service_mounts_a_shared_volume(client, project, service):
    made = (await attach(client, service, name="data", path="/data")).json()
    volumes = [{"name": "data", "path": "/d", "shared": True}, {"name": "new", "path": "/n", "shared": True}]
    fields = {**SEED, "name": "Third", "volumes": volumes}
    third = (await client.post(f"/api/v1/projects/{project['id']}/services", json=fields)).json()
    seen = (await client.get(f"/api/v1/services/{third['id']}/volumes")).json()
    assert [(each["name"], each["id"] == made["id"]) for each in seen] == [("data", True), ("new", False)]


async def test_volumes_of_others_are_unknown(client, stranger, project, service):
    made = (await attach(client, service, name="data", path="/data")).json()
    await client.delete(f"/api/v1/services/{service['id']}/volumes/{made['id']}")
    theirs = (await stranger.post("/api/v1/projects", json={"name": "x"})).json()
    other = (await stranger.post(f"/api/v1/projects/{theirs['id']}/services", json=SEED)).json()
    elsewhere = (await client.post("/api/v1/projects", json={"name": "Elsewhere"})).json()
    sibling = (await client.post(f"/api/v1/projects/{elsewhere['id']}/services", json=SEED)).json()
    answers = [
        await attach(who, target, volume_id=volume, path="/x")
        for who, target, volume in (
            (stranger, other, made["id"]),
            (stranger, other, new_id()),
            (client, sibling, made["id"]),
        )
    ]
    assert {(each.status_code, each.json()["detail"]) for each in answers} == {
        (422, "volume_id: there is no such volume in this project")
    }
    for volume in (made["id"], new_id()):
        refused = await stranger.post(f"/api/v1/volumes/{volume}/destroy", json={"confirm": "data"})
        assert refused.status_code == 404
        assert (await stranger.delete(f"/api/v1/services/{other['id']}/volumes/{volume}")).status_code == 404


async def test_destroying_needs_a_detached_volume_and_its_name(app, client, viewer, service):
    made = (await attach(client, service, name="data", path="/data")).json()
    url = f"/api/v1/volumes/{made['id']}/destroy"
    assert (await client.post(url, json={"confirm": "data"})).status_code == 409
    await client.delete(f"/api/v1/services/{service['id']}/volumes/{made['id']}")
    assert (await client.post(url, json={"confirm": "date"})).status_code == 422
    assert (await client.post(url, json={})).status_code == 422
    assert (await viewer.post(url, json={"confirm": "data"})).status_code == 403
    assert await tasks_of(app) == []
    queued = await client.post(url, json={"confirm": "data"})
    assert (queued.status_code, queued.json()["destroying_since"] is not None) == (202, True)
    assert (await client.post(url, json={"confirm": "data"})).status_code == 202
    assert [(each.name, each.target) for each in await tasks_of(app)] == [("DestroyVolume", made["id"])]
    assert (await attach(client, service, volume_id=made["id"], path="/data")).status_code == 409


async def tasks_of(app):
    async with app.state.resources.db.read() as session:
        return (await session.scalars(select(Task))).all()


class Run:
    """A task run that remembers nothing: every step is carried out."""

    def __init__(self, resources):
        self.resources = resources

    async def step(self, _name, work, *, deadline, cancellable=True):
        return await work()


@asynccontextmanager
async def being_destroyed(app, client, service):
    made = (await attach(client, service, name="data", path="/data")).json()
    await client.delete(f"/api/v1/services/{service['id']}/volumes/{made['id']}")
    await client.post(f"/api/v1/volumes/{made['id']}/destroy", json={"confirm": "data"})
    host = FakeHost()
    yield made["id"], host, Run(exchange(app.state.resources, containers=host))


async def find(app, volume_id):
    async with app.state.resources.db.read() as session:
        return await session.get(Volume, volume_id)


async def test_the_task_removes_the_data_and_then_the_row_and_can_run_twice(app, client, service):
    async with being_destroyed(app, client, service) as (volume_id, host, run):
        host.volumes[f"orca-{volume_id}"] = {}
        for _ in range(2):
            await TASKS[0].run(run, {"volume_id": volume_id})
        assert host.volumes == {}
        assert await find(app, volume_id) is None
        assert [each.object_id for each in await events_of(app, "VolumeDestroyed")] == [volume_id]


async def test_a_refusal_of_the_engine_is_told_and_the_volume_stays(app, client, service):
    async with being_destroyed(app, client, service) as (volume_id, host, run):
        user = ContainerSpec(
            name="user", image="sha256:1", network="n", labels={}, mounts=(Mount(f"orca-{volume_id}", "/data"),)
        )
        host.add_image("sha256:1")
        await host.apply(host.plan([], [user]))
        with pytest.raises(RequestRefused, match="in use"):
            await TASKS[0].run(run, {"volume_id": volume_id})
        assert (await find(app, volume_id)).destroying_since is None
        event = (await events_of(app, "VolumeDestructionFailed"))[0]
        assert event.outcome == "failed"
        assert "is in use" in event.payload["reason"]


async def test_a_task_that_is_given_up_frees_the_volume(app, client, service):
    async with being_destroyed(app, client, service) as (volume_id, _engine, _run):
        task = (await tasks_of(app))[0]
        await settle(app.state.resources, task.id, "Orca was interrupted.")
        assert (await find(app, volume_id)).destroying_since is None


@pytest.mark.docker
async def test_the_whole_way_on_a_real_engine(tmp_path):
    async with running_app(make_settings(tmp_path / "data", worker=True)) as app:
        await claim(app)
        async with client_of(app, Authorization=f"Bearer {API_TOKEN}") as client:
            project = (await client.post("/api/v1/projects", json={"name": "x"})).json()
            service = (await client.post(f"/api/v1/projects/{project['id']}/services", json=SEED)).json()
            made = (await attach(client, service, name="data", path="/data")).json()
            name, instance = f"orca-{made['id']}", app.state.resources.instance
            docker = (docker_client(), "volume")
            label = f"orca.instance={instance}"
            subprocess.run([*docker, "create", "--label", label, name], check=True, capture_output=True)
            try:
                await client.delete(f"/api/v1/services/{service['id']}/volumes/{made['id']}")
                await client.post(f"/api/v1/volumes/{made['id']}/destroy", json={"confirm": "data"})
                for _ in range(200):
                    if await find(app, made["id"]) is None:
                        break
                    await asyncio.sleep(0.1)
                assert await find(app, made["id"]) is None
                left = subprocess.run(
                    [*docker, "ls", "--quiet", "--filter", f"label={label}"], check=True, capture_output=True
                )
                assert left.stdout == b""
            finally:
                subprocess.run([*docker, "rm", "--force", name], check=True, capture_output=True)
