"""The status of services in the API: the state that pages show, its reason and since when."""

import httpx
from sqlalchemy import event
from tests.features.deployments.bench import Bench

from orca.errors import StepFailed
from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.deployments.models import Deployment
from orca.features.deployments.operations.progress import fail
from orca.features.deployments.schemas import ServiceStatusOut
from orca.features.deployments.statuses import read_statuses
from orca.features.services.models import Service
from orca.web.guard import Scope


async def statuses_of(bench: Bench, *services: Service) -> list[ServiceStatusOut]:
    async with bench.resources.db.read() as session:
        rows = [await session.get_one(Service, service.id) for service in services]
        return await read_statuses(session, Scope(rows[0].team_id), bench.resources, rows)


async def status_of(bench: Bench, service: Service) -> ServiceStatusOut:
    return (await statuses_of(bench, service))[0]


async def test_read_statuses_never_deployed_is_empty(bench: Bench) -> None:
    service = await bench.make_service()
    status = await status_of(bench, service)
    assert (status.state, status.reason, status.since) == ("empty", "Nothing was deployed yet.", service.created_at)
    assert (status.release, status.running, status.replicas, status.deployment_id) == (None, 0, 1, None)


async def test_read_statuses_queued_deployment_is_deploying(bench: Bench) -> None:
    service = await bench.make_service()
    deployment_id = await bench.ask(service, DeploymentRequest())
    status = await status_of(bench, service)
    assert (status.state, status.reason, status.deployment_id) == (
        "deploying", "Deployment 1 is queued.", deployment_id,
    )  # fmt: skip


async def test_read_statuses_failed_deployment_says_its_reason(bench: Bench) -> None:
    service = await bench.make_service()
    deployment_id = await bench.ask(service, DeploymentRequest())
    await fail(bench.resources.db, deployment_id, StepFailed("the build broke"))
    status = await status_of(bench, service)
    assert (status.state, status.reason) == ("failed", "the build broke")
    assert status.since is not None


async def test_read_statuses_live_service_is_running_degraded_or_crashed(bench: Bench) -> None:
    service = await bench.make_service()
    deployment_id = await bench.make_live(service)
    status = await status_of(bench, service)
    assert (status.state, status.reason, status.release, status.running) == ("running", "", 1, 1)
    async with bench.resources.db.write() as session:
        row = await session.get_one(Deployment, deployment_id)
        row.config = {**row.config, "replicas": 2}
    status = await status_of(bench, service)
    assert (status.state, status.reason, status.replicas) == ("degraded", "1 of its replicas run.", 2)
    (container,) = await bench.containers(service)
    await bench.host.stop(container.id, grace=1)
    status = await status_of(bench, service)
    assert (status.state, status.reason) == ("crashed", "Its process ended with exit code 137.")


async def test_read_statuses_engine_unreachable_is_unknown_with_its_message(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    bench.host.down = True
    status = await status_of(bench, service)
    assert (status.state, status.running) == ("unknown", None)
    assert "is down" in status.reason


async def test_read_statuses_cost_the_same_for_any_number(bench: Bench) -> None:
    services = [await bench.make_service(f"s{number}") for number in range(12)]
    for service in services:
        await bench.make_live(service)
    counts = []
    for some in (services[:2], services):
        queries: list[str] = []

        def count(*args: object, queries: list[str] = queries) -> None:
            queries.append(str(args[2]))

        reader = bench.resources.db.reader.sync_engine
        event.listen(reader, "before_cursor_execute", count)
        async with bench.resources.db.read() as session:
            found = await read_statuses(session, Scope(some[0].team_id), bench.resources, some)
        event.remove(reader, "before_cursor_execute", count)
        assert [status.state for status in found] == ["running"] * len(some)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 8


async def test_list_services_covers_all_projects_and_pages(client: httpx.AsyncClient) -> None:
    created = []
    for name in ("One", "Two"):
        project = (await client.post("/api/v1/projects", json={"name": name})).json()
        body = {"name": "web", "kind": "worker", "source": {"type": "image", "image": "app:1"}}
        created.append((await client.post(f"/api/v1/projects/{project['id']}/services", json=body)).json())
    first = (await client.get("/api/v1/services", params={"limit": 1})).json()
    second = (await client.get("/api/v1/services", params={"limit": 1, "cursor": first["next_cursor"]})).json()
    items = [*first["items"], *second["items"]]
    assert [(each["id"], each["project"]) for each in items] == [
        (created[1]["id"], "two"), (created[0]["id"], "one"),
    ]  # fmt: skip
    assert second["next_cursor"] is None
    narrowed = await client.get("/api/v1/services", params={"project_id": created[0]["project_id"]})
    assert [each["id"] for each in narrowed.json()["items"]] == [created[0]["id"]]
    for each in items:
        alone = (await client.get(f"/api/v1/services/{each['id']}/status")).json()
        assert (alone["state"], alone["service_id"]) == (each["status"]["state"], each["id"])
        assert {key: each[key] for key in created[0]} == next(one for one in created if one["id"] == each["id"])
    assert (await client.get("/api/v1/services", params={"state": "running"})).status_code == 422
