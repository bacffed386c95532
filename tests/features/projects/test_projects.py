"""Projects through their doors."""

import asyncio

from tests.features.services.conftest import SEED
from tests.features.services.events import events_of

URL = "/api/v1/projects"


async def test_the_seeds_project_is_made_read_and_listed(app, client):
    made = await client.post(URL, json={"name": "My App", "slug": "my-app"})
    assert made.status_code == 201
    project = made.json()
    assert (project["name"], project["slug"]) == ("My App", "my-app")
    assert (await client.get(f"{URL}/{project['id']}")).json() == project
    assert (await client.get(URL)).json() == {"items": [project], "next_cursor": None}
    event = (await events_of(app, "ProjectCreated"))[0]
    assert (event.object_id, event.payload) == (project["id"], {"name": "My App", "slug": "my-app"})


async def test_slugs_are_spelled_from_names_and_never_numbered_in_silence(client):
    assert (await client.post(URL, json={"name": "Café Menü"})).json()["slug"] == "cafe-menu"
    for body, field in (({"name": "CAFÉ MENÜ"}, "name"), ({"name": "Cafe Menu!"}, "slug")):
        twin = await client.post(URL, json=body)
        assert (twin.status_code, twin.json()["code"], list(twin.json()["fields"])) == (409, "conflict", [field])
    taken = await client.post(URL, json={"name": "x", "slug": "cafe-menu"})
    assert taken.json()["hint"] == "Choose another slug, such as “cafe-menu-2”."
    assert (await client.post(URL, json={"name": "Café Menü", "slug": "menu"})).status_code == 201
    assert (await client.post(URL, json={"name": "витрина"})).json()["slug"] == "vitrina"
    unspelled = await client.post(URL, json={"name": "商店"})
    assert (unspelled.status_code, list(unspelled.json()["fields"])) == (422, ["slug"])


async def test_a_rename_to_the_name_of_another_project_is_refused(client, project):
    other = (await client.post(URL, json={"name": "Other"})).json()
    renamed = await client.patch(f"{URL}/{other['id']}", json={"name": project["name"].upper()})
    assert (renamed.status_code, list(renamed.json()["fields"])) == (409, ["name"])
    assert (await client.patch(f"{URL}/{other['id']}", json={"name": "OTHER"})).status_code == 200


async def test_many_at_once_get_slugs_of_their_own(client):
    answers = await asyncio.gather(*(client.post(URL, json={"name": "Rush"}) for _ in range(8)))
    made = [each.json()["slug"] for each in answers if each.status_code == 201]
    assert len(set(made)) == len(made) >= 1
    assert {each.status_code for each in answers} <= {201, 409}


async def test_pages_continue_where_they_ended(client):
    names = [f"Project {number}" for number in range(5)]
    for name in names:
        await client.post(URL, json={"name": name})
    seen, cursor = [], None
    while True:
        page = (await client.get(URL, params={"limit": 2, **({"cursor": cursor} if cursor else {})})).json()
        seen += [each["name"] for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == names[::-1]
    assert (await client.get(URL, params={"limit": 201})).status_code == 422


async def test_name_and_description_change_and_the_slug_stays(app, client, project):
    url = f"{URL}/{project['id']}"
    changed = await client.patch(url, json={"name": "Other", "description": "What it is"})
    assert changed.json() == {**project, "name": "Other", "description": "What it is"}
    assert (await client.patch(url, json={"slug": "other"})).status_code == 422
    assert (await client.patch(url, json={"name": "Other"})).status_code == 200
    assert [each.payload for each in await events_of(app, "ProjectUpdated")] == [{"fields": ["description", "name"]}]


async def test_a_project_with_services_or_volumes_is_not_deleted(client, project, service):
    url = f"{URL}/{project['id']}"
    refused = await client.delete(url)
    assert refused.status_code == 409
    assert refused.json()["blockers"] == ["service api-server"]
    assert "api-server" in refused.json()["detail"]
    body = {"name": "data", "path": "/data"}
    volume = (await client.post(f"/api/v1/services/{service['id']}/volumes", json=body)).json()["id"]
    assert (
        await client.delete(f"/api/v1/services/{service['id']}", params={"confirm": service["slug"]})
    ).status_code == 204
    refused = await client.delete(url)
    assert (refused.status_code, refused.json()["blockers"]) == (409, [f"volume data ({volume})"])


async def test_a_deleted_project_is_gone_and_its_slug_is_free(app, client, project):
    url = f"{URL}/{project['id']}"
    await client.put(f"{url}/variables/TOKEN", json={"value": "canary-project", "is_secret": True})
    assert (await client.delete(url)).status_code == 204
    assert (await client.get(url)).status_code == 404
    assert (await client.delete(url)).status_code == 404
    assert (await client.post(f"{url}/services", json=SEED)).status_code == 404
    assert (await client.get(URL)).json()["items"] == []
    assert (await client.post(URL, json={"name": "x", "slug": project["slug"]})).status_code == 201
    assert [each.object_id for each in await events_of(app, "ProjectDeleted")] == [project["id"]]


async def test_strangers_see_nothing_and_cannot_tell(client, stranger, project):
    unknown = project["id"][:-1] + ("0" if project["id"][-1] != "0" else "1")
    assert (await stranger.get(URL)).json()["items"] == []
    for method, path, body in (
        ("GET", "", None), ("PATCH", "", {"name": "x"}), ("DELETE", "", None), ("POST", "/services", SEED), ("GET", "/services", None),
        ("GET", "/variables", None), ("PUT", "/variables/A", {"value": "x"}), ("POST", "/variables/A/reveal", None), ("GET", "/volumes", None),
    ):  # fmt: skip
        foreign = await stranger.request(method, f"{URL}/{project['id']}{path}", json=body)
        missing = await stranger.request(method, f"{URL}/{unknown}{path}", json=body)
        assert foreign.status_code == missing.status_code == 404
        assert {**foreign.json(), "request_id": ""} == {**missing.json(), "request_id": ""}
    assert (await client.get(f"{URL}/{project['id']}")).json()["name"] == project["name"]


async def test_a_viewer_only_looks(viewer, project):
    url = f"{URL}/{project['id']}"
    assert (await viewer.get(url)).status_code == 200
    assert (await viewer.post(URL, json={"name": "x"})).status_code == 403
    assert (await viewer.patch(url, json={"name": "x"})).status_code == 403
    assert (await viewer.delete(url)).status_code == 403


async def test_bad_bodies_save_nothing(client):
    for body in (
        {},
        {"name": ""},
        {"name": "a\nb"},
        {"name": "x", "slug": "A"},
        {"name": "x", "team_id": "y"},
        [],
        {"name": 5},
    ):
        answer = await client.post(URL, json=body)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert (await client.get(URL)).json()["items"] == []
