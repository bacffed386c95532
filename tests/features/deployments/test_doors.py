"""Asking for builds, deployments and rollbacks through the API."""

import httpx


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


async def test_a_body_is_still_looked_at(client: httpx.AsyncClient) -> None:
    service = await make_service(client)
    answer = await client.post(f"/api/v1/services/{service}/deployments", json={"comit": "abc"})
    assert answer.status_code == 422
    assert "comit" in str(answer.json()["fields"])
    answer = await client.post(
        f"/api/v1/services/{service}/builds", content=b"commit=x", headers={"Content-Type": "text/plain"}
    )
    assert answer.status_code == 415
