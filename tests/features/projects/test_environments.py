"""Environments through their doors, and services in them."""

import asyncio

import pytest
from tests.features.services.conftest import SEED
from tests.features.services.events import events_of

from orca.features.projects.rules import MAX_ENVIRONMENTS

API = "/api/v1"
UNKNOWN = "01890000-0000-7000-8000-000000000000"


@pytest.fixture
async def environments(project: dict) -> str:
    return f"{API}/projects/{project['id']}/environments"


@pytest.fixture
async def staging(client, environments: str) -> dict:
    return (await client.post(environments, json={"name": "Staging"})).json()


@pytest.fixture
async def services(project: dict) -> str:
    return f"{API}/projects/{project['id']}/services"


async def test_an_environment_is_made_read_renamed_and_deleted(app, client, project, environments):
    made = await client.post(environments, json={"name": "Staging"})
    assert (made.status_code, made.headers["Location"]) == (201, f"{API}/environments/{made.json()['id']}")
    place = made.headers["Location"]
    assert (await client.get(place)).json() == made.json()
    assert made.json()["network"] == f"orca-{made.json()['id']}"
    assert [each["slug"] for each in (await client.get(environments)).json()] == ["production", "staging"]
    renamed = await client.patch(place, json={"name": "Rehearsals"})
    assert renamed.json() == made.json() | {"name": "Rehearsals"}
    assert (await client.patch(place, json={"name": "production"})).status_code == 409
    assert (await client.patch(place, json={"slug": "x"})).status_code == 422
    assert (await client.delete(place)).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        body = {"name": "Late"} if method == "PATCH" else None
        assert (await client.request(method, place, json=body)).status_code == 404, method
    assert (await client.post(environments, json={"name": "Staging"})).json()["slug"] == "staging"  # free again
    for kind, name in (("Created", "Staging"), ("Updated", "Rehearsals"), ("Deleted", "Rehearsals")):
        event = (await events_of(app, f"Environment{kind}"))[0]
        assert event.payload == {"name": name, "slug": "staging", "project_id": project["id"]}


async def test_names_and_slugs_of_environments_differ_in_a_project(client, environments, staging):
    for body, field in (
        ({"name": "STAGING"}, "name"),
        ({"name": "x", "slug": "staging"}, "slug"),
        ({"name": "Staging!"}, "slug"),
        ({"name": "Production"}, "name"),
    ):
        refused = await client.post(environments, json=body)
        assert (refused.status_code, list(refused.json()["fields"])) == (409, [field]), body
    other = (await client.post(f"{API}/projects", json={"name": "Other"})).json()["id"]
    assert (await client.post(f"{API}/projects/{other}/environments", json={"name": "Staging"})).status_code == 201
    answers = await asyncio.gather(*(client.post(environments, json={"name": "Rush"}) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


async def test_production_stays_and_so_does_what_is_not_empty(client, environments, services, staging):
    production = (await client.get(environments)).json()[0]
    assert (await client.delete(f"{API}/environments/{production['id']}")).status_code == 409
    service = (await client.post(services, json=SEED | {"environment": "staging"})).json()
    body = {"name": "data", "path": "/data"}
    volume = (await client.post(f"{API}/services/{service['id']}/volumes", json=body)).json()["id"]
    place = f"{API}/environments/{staging['id']}"
    refused = await client.delete(place)
    expected = [f"service {service['slug']}", f"volume data ({volume})"]
    assert (refused.status_code, refused.json()["blockers"]) == (409, expected)
    await client.delete(f"{API}/services/{service['id']}", params={"confirm": service["slug"]})
    assert (await client.delete(place)).json()["blockers"] == [f"volume data ({volume})"]


async def test_there_are_only_so_many(client, environments):
    for number in range(MAX_ENVIRONMENTS - 1):
        assert (await client.post(environments, json={"name": f"E{number}"})).status_code == 201
    refused = await client.post(environments, json={"name": "More"})
    assert (refused.status_code, str(MAX_ENVIRONMENTS) in refused.text) == (409, True)


async def test_services_of_one_name_have_slugs_and_hostnames_of_their_own(client, services, staging):
    made = [await client.post(services, json=SEED | {"environment": wanted}) for wanted in (None, staging["id"])]
    assert [(answer.json()["name"], answer.json()["slug"]) for answer in made] == [
        ("API Server", "api-server"),
        ("API Server", "api-server-staging"),
    ]
    assert made[1].json()["environment_id"] == staging["id"] != made[0].json()["environment_id"]
    assert (await client.post(services, json=SEED | {"environment": "staging"})).status_code == 409
    taken = await client.post(services, json=SEED | {"environment": "staging", "name": "x", "slug": "api-server"})
    assert (taken.status_code, list(taken.json()["fields"])) == (409, ["slug"])
    routes = [(await client.get(f"{API}/services/{answer.json()['id']}/routes")).json() for answer in made]
    assert [page["items"][0]["hostname"].partition(".")[0] for page in routes] == [
        "api-server-my-app",
        "api-server-staging-my-app",
    ]
    renamed = await client.patch(f"{API}/services/{made[1].json()['id']}", json={"name": "API SERVER"})
    assert renamed.status_code == 200  # of the one in production
    listed = await client.get(f"{API}/services", params={"environment_id": staging["id"]})
    assert [each["slug"] for each in listed.json()["items"]] == ["api-server-staging"]


async def test_the_door_of_an_environment_makes_services_in_it_alone(client, services, staging):
    door = f"{API}/environments/{staging['id']}/services"
    made = await client.post(door, json=SEED)
    assert (made.status_code, made.json()["environment_id"]) == (201, staging["id"])
    assert made.headers["Location"] == f"{API}/services/{made.json()['id']}"
    assert (await client.post(door, json=SEED | {"name": "b", "environment": "staging"})).status_code == 201
    for place, wanted in ((door, "production"), (services, "nowhere"), (services, UNKNOWN)):
        refused = await client.post(place, json=SEED | {"name": "c", "environment": wanted})
        assert (refused.status_code, list(refused.json()["fields"])) == (422, ["environment"]), wanted
    other = (await client.post(f"{API}/projects", json={"name": "Other"})).json()["id"]
    foreign = await client.post(f"{API}/projects/{other}/services", json=SEED | {"environment": staging["id"]})
    assert foreign.status_code == 422
    await client.post(f"{API}/projects/{other}/environments", json={"name": "Decoy", "slug": staging["id"]})
    assert (await client.post(door, json=SEED | {"name": "d"})).json()["environment_id"] == staging["id"]


async def test_a_deleted_environment_takes_no_service(client, services, staging):
    place = f"{API}/environments/{staging['id']}"
    assert (await client.delete(place)).status_code == 204
    assert (await client.post(f"{place}/services", json=SEED)).status_code == 404
    assert (await client.post(services, json=SEED | {"environment": staging["id"]})).status_code == 422


async def test_strangers_and_viewers_change_nothing(client, stranger, viewer, environments, staging):
    place = f"{API}/environments/{staging['id']}"
    for method, path, body in (
        ("POST", environments, {"name": "x"}), ("PATCH", place, {"name": "x"}), ("DELETE", place, None),
        ("POST", f"{place}/services", SEED), ("GET", place, None),
    ):  # fmt: skip
        assert (await stranger.request(method, path, json=body)).status_code == 404, (method, path)
        expected = 200 if method == "GET" else 403
        assert (await viewer.request(method, path, json=body)).status_code == expected, (method, path)
    assert (await client.get(place)).json() == staging


async def test_pages_show_environments_where_there_are_several(client, browser, project, environments, services):
    new, page = f"/projects/{project['id']}/services/new", f"/projects/{project['id']}"
    await client.post(services, json=SEED)
    assert 'name="environment"' not in (await browser.get(new)).text
    assert "col-environment" not in (await browser.get(page)).text
    made = await browser.post(page + "/environments", data={"environment_name": "Staging"})
    assert made.status_code == 303
    again = await browser.post(page + "/environments", data={"environment_name": "Staging"})
    assert (again.status_code, 'href="#environment_name"' in again.text) == (422, True)
    assert 'name="environment"' in (await browser.get(new)).text
    suggested = await browser.get(f"{new}/slug", params={"name": "API Server", "environment": "staging"})
    assert 'value="api-server-staging"' in suggested.text
    form = {"name": "Web", "source_type": "image", "image": "nginx", "kind": "web", "environment": "staging"}
    assert (await browser.post(new, data=form)).status_code == 303
    for path in (page, "/"):
        text = (await browser.get(path)).text
        assert ('data-label="Environment">Staging<' in text, 'data-label="Environment">Production<' in text) == (
            True,
            True,
        )
    grouped = (await browser.get(page, params={"group": "environment"})).text
    assert "<strong>Staging</strong>" in grouped
    staging = (await client.get(environments)).json()[1]["id"]
    refused = await browser.post(f"/environments/{staging}/delete")
    assert (refused.status_code, "still has: service web-staging" in refused.text) == (409, True)
    service = (await client.get(f"{API}/services", params={"environment_id": staging})).json()["items"][0]["id"]
    await client.delete(f"{API}/services/{service}", params={"confirm": "web-staging"})
    assert (await browser.post(f"/environments/{staging}/delete")).status_code == 303
