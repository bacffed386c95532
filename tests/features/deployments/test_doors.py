"""Asking for builds, deployments and rollbacks through the API."""

import httpx
import pytest
from fastapi import FastAPI

from orca.db import now
from orca.features.deployments.actions.start import TASK
from orca.tasks.rows import Worker


async def make_service(client: httpx.AsyncClient) -> str:
    project = (await client.post("/api/v1/projects", json={"name": "Doors"})).json()
    body = {"name": "web", "type": "static", "build_source": {"type": "directory"}}
    return (await client.post(f"/api/v1/projects/{project['id']}/services", json=body)).json()["id"]


async def test_a_build_and_a_deployment_need_no_body(client: httpx.AsyncClient) -> None:
    service = await make_service(client)
    for what in ("builds", "deployments"):
        answer = await client.post(f"/api/v1/services/{service}/{what}")
        assert (answer.status_code, answer.json()["state"]) == (202, "queued"), answer.text


async def test_a_rollback_without_a_body_goes_to_the_release_before(client: httpx.AsyncClient) -> None:
    service = await make_service(client)
    answer = await client.post(f"/api/v1/services/{service}/rollback")
    assert (answer.status_code, answer.json()["detail"]) == (409, "there is no earlier release to go back to")


async def test_what_was_never_deployed_is_compared_with_nothing(client: httpx.AsyncClient) -> None:
    service = await make_service(client)
    answer = await client.get(f"/api/v1/services/{service}/changes")
    assert answer.json() == {"live": None, "target": None, "changes": [], "variables": [], "revision": ""}
    answer = await client.get(f"/api/v1/services/{service}/rollback")
    assert (answer.status_code, answer.json()["detail"]) == (409, "there is no earlier release to go back to")
    answer = await client.get(f"/api/v1/services/{service}/rollback", params={"release": 3})
    assert (answer.status_code, answer.json()["detail"]) == (404, "there is no release to go back to")


async def test_a_body_is_still_looked_at(client: httpx.AsyncClient) -> None:
    service = await make_service(client)
    answer = await client.post(f"/api/v1/services/{service}/deployments", json={"comit": "abc"})
    assert answer.status_code == 422
    assert "comit" in str(answer.json()["fields"])
    answer = await client.post(
        f"/api/v1/services/{service}/builds", content=b"commit=x", headers={"Content-Type": "text/plain"}
    )
    assert answer.status_code == 415


@pytest.mark.parametrize("number", ["9" * 30, "9" * 5000])
async def test_an_offset_beyond_all_logs_is_no_surprise(client: httpx.AsyncClient, number: str) -> None:
    deployment = (await client.post(f"/api/v1/services/{await make_service(client)}/deployments")).json()["id"]
    address = f"/api/v1/deployments/{deployment}"
    assert (await client.post(f"{address}/cancel")).status_code < 300
    answer = await client.get(f"{address}/log", params={"after": number})
    assert answer.status_code == 422
    headers = {"Accept": "text/event-stream", "Last-Event-ID": number}
    answer = await client.get(f"{address}/log", headers=headers)
    assert (answer.status_code, "event: end" in answer.text) == (200, True)


async def test_a_deployment_says_why_it_does_not_begin(app: FastAPI, client: httpx.AsyncClient) -> None:
    deployment = (await client.post(f"/api/v1/services/{await make_service(client)}/deployments")).json()["id"]
    address = f"/api/v1/deployments/{deployment}"
    assert "No worker runs" in (await client.get(address)).json()["waits_for"]
    worker = Worker(id="w", host="edge", knows=[TASK], offers=["system:edge"], started_at=now(), seen_at=now())
    async with app.state.resources.db.write() as session:
        session.add(worker)
    assert "No worker that runs works on the system “local”" in (await client.get(address)).json()["waits_for"]
    await client.post(f"{address}/cancel")
    assert (await client.get(address)).json()["waits_for"] == ""
