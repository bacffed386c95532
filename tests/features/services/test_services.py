"""Services through their doors."""

import json

import pytest
from tests.attacks.people import add_person, add_token
from tests.conftest import client_of
from tests.features.services.conftest import SEED
from tests.features.services.events import events_of

from orca.kit.ids import new_id


def url_of(service):
    return f"/api/v1/services/{service['id']}"


async def make(client, project, **fields):
    return await client.post(f"/api/v1/projects/{project['id']}/services", json={**SEED, **fields})


async def test_the_seeds_service_is_made_as_it_stands(app, client, project):
    made = await make(client, project, slug="api-server")
    assert made.status_code == 201, made.text
    service = made.json()
    assert (service["slug"], service["kind"], service["version"], service["desired_state"]) == (
        "api-server",
        "web",
        1,
        "running",
    )
    assert service["source"]["repository"] == "https://github.com/user/repo"
    assert service["ports"] == [{"name": "http", "port": 8080, "public": True}]
    assert (await client.get(url_of(service))).json() == service
    assert (await client.get(f"/api/v1/projects/{project['id']}/services")).json()["items"] == [service]
    event = (await events_of(app, "ServiceCreated"))[0]
    assert event.payload == {"name": "API Server", "slug": "api-server", "kind": "web", "project_id": project["id"]}


async def test_what_each_kind_needs(client, project):
    static = await make(client, project, name="Site", type="static", ports=[], build_source={"type": "directory"})
    assert static.json()["ports"] == [{"name": "http", "port": 8080, "public": True}]
    web = await make(client, project, name="Web", ports=[])
    assert web.json()["ports"] == []
    worker = await make(client, project, name="Worker", type="worker")
    assert worker.status_code == 422
    assert "ports" in worker.json()["fields"]
    assert (await make(client, project, name="Worker", type="worker", ports=[])).json()["kind"] == "worker"


async def test_slugs_are_unique_in_a_project(client, project, service):
    twin = await make(client, project)
    assert (twin.status_code, list(twin.json()["fields"])) == (409, ["name"])
    assert (await make(client, project, slug="api")).status_code == 201  # told apart on purpose
    renamed = await client.patch(url_of(service), json={"name": "x"})
    assert renamed.json()["slug"] == "api-server"
    assert (await make(client, project, slug="api-server")).status_code == 409
    other = (await client.post("/api/v1/projects", json={"name": "Other"})).json()
    assert (await make(client, other, slug="api-server")).status_code == 201


async def test_a_service_can_be_deployed_when_it_is_made(app, client, project):
    made = await make(client, project, deploy=True)
    assert made.status_code == 201, made.text
    deployment = (await client.get(f"/api/v1/deployments/{made.json()['deployment_id']}")).json()
    assert (deployment["service_id"], deployment["number"], deployment["trigger"]) == (made.json()["id"], 1, "api")
    refused = await make(client, project, name="Files", source={"type": "directory"}, build_source=None, deploy=True)
    assert refused.status_code == 422
    async with client_of(
        app, Authorization=f"Bearer {await add_token(app, await add_person(app, 'member'), 'service.create')}"
    ) as http:
        assert (await make(http, project, name="Third", deploy=True)).status_code == 403
        assert (await make(http, project, name="Third")).status_code == 201


async def test_variables_and_volumes_can_come_with_it(client, project):
    service = (await make(client, project, variables={"A": "1"}, volumes=[{"name": "data", "path": "/data/"}])).json()
    variables = (await client.get(f"{url_of(service)}/variables")).json()
    assert [(each["key"], each["value"]) for each in variables] == [("A", "1")]
    volumes = (await client.get(f"{url_of(service)}/volumes")).json()
    assert [(each["name"], each["path"]) for each in volumes] == [("data", "/data")]


async def test_a_change_replaces_what_is_given_and_counts_a_version(app, client, service):
    changed = await client.patch(
        url_of(service),
        json={"version": 1, "name": "New", "replicas": 3, "health": {"type": "tcp"}, "command": ["a", "b c"]},
    )
    assert changed.status_code == 200
    after = changed.json()
    assert (after["name"], after["slug"], after["replicas"], after["version"]) == ("New", "api-server", 3, 2)
    assert (after["health"]["type"], after["health"]["path"], after["command"]) == ("tcp", "/", ["a", "b c"])
    assert after["source"] == service["source"]
    event = (await events_of(app, "ServiceUpdated"))[0]
    assert event.payload == {"slug": "api-server", "fields": ["command", "health", "name", "replicas"], "version": 2}


async def test_a_stale_change_is_refused_and_changes_nothing(client, service):
    assert (await client.patch(url_of(service), json={"version": 1, "replicas": 2})).status_code == 200
    stale = await client.patch(url_of(service), json={"version": 1, "replicas": 9})
    assert stale.status_code == 409
    assert "version 2" in stale.json()["detail"]
    assert (await client.get(url_of(service))).json()["replicas"] == 2


async def test_a_change_that_changes_nothing_counts_nothing(app, client, service):
    for body in ({}, {"replicas": 1}, {"source": service["source"]}, {"version": 1}):
        assert (await client.patch(url_of(service), json=body)).json()["version"] == 1
    assert await events_of(app, "ServiceUpdated") == []


async def test_the_result_must_make_sense_as_a_whole(client, service):
    refused = await client.patch(url_of(service), json={"kind": "worker"})
    assert (refused.status_code, list(refused.json()["fields"])) == (422, ["ports"])
    assert (await client.get(url_of(service))).json()["kind"] == "web"
    assert (await client.patch(url_of(service), json={"kind": "worker", "ports": []})).json()["kind"] == "worker"
    assert (await client.patch(url_of(service), json={"type": "static"})).json()["ports"][0]["port"] == 8080


BAD_CHANGES = (
    {"slug": "x"}, {"team_id": "x"}, {"project_id": "x"}, {"id": "x"}, {"desired_state": "stopped"}, {"version": "x"}, {"replicas": -1},
     {"replicas": 10**9}, {"stop_grace": 1e308}, {"resources": {"cpus": 0}}, {"resources": {"memory_mb": -5}}, {"restart": "sometimes"},
     {"ports": [{"port": 0}]}, {"ports": [{"port": 70000}]}, {"source": {"type": "git", "repository": "ext::sh"}},
     {"source": {"type": "git", "repository": "file:///etc"}}, {"build": {"target": "--privileged"}}, {"command": ["a\u0000"]},
     {"volumes": []}, {"variables": {}}, {"name": "a\u202eb"},
)  # fmt: skip


async def test_bad_changes_are_refused_before_anything_is_saved(client, service):
    for change in BAD_CHANGES:
        assert (await client.patch(url_of(service), json=change)).status_code == 422, change
    assert (await client.get(url_of(service))).json() == service


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"resources": {"memory_mb": 1}}, "resources.memory_mb", "must be at least 6"),
        ({"health": {"type": "http", "path": "no slash"}}, "health.path", "has a form or characters that are not"),
        ({"build": {"builder": "sh"}}, "build.builder", "is none of auto, buildpacks, dockerfile, template"),
        ({"nonsense": 1}, "nonsense", "is not known here"),
        ("{", "body", "is not valid JSON: "),
    ],
)
async def test_what_is_wrong_is_told_in_plain_words(client, service, body, field, words):
    content = body if isinstance(body, str) else json.dumps(body)
    answer = await client.patch(
        f"/api/v1/services/{service['id']}", content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == (400 if body == "{" else 422)
    problem = answer.json()
    assert words in problem["fields"][field]
    assert problem["detail"] == f"{field}: {problem['fields'][field]}"


async def test_what_a_source_names_must_be_the_teams_own(client, stranger, project, service):
    key = {"name": "Key", "kind": "ssh", "host": "github.com"}
    mine = (await client.post("/api/v1/git-credentials", json=key)).json()["id"]
    theirs = (await stranger.post("/api/v1/git-credentials", json=key)).json()["id"]
    registry = (await client.post("/api/v1/registry-credentials", json={
        "name": "GHCR", "host": "ghcr.io", "username": "u", "password": "p"})).json()["id"]  # fmt: skip
    git = SEED["build_source"]
    assert (await client.patch(url_of(service), json={"source": {**git, "credential_id": mine}})).status_code == 200
    answers = [
        await client.patch(url_of(service), json={"source": {**git, "credential_id": other}})
        for other in (theirs, new_id(), registry)
    ]
    assert {answer.status_code for answer in answers} == {422}
    assert len({(answer.json()["detail"], str(answer.json()["fields"])) for answer in answers}) == 1
    image = {"type": "image", "image": "ghcr.io/a/b:1"}
    assert (
        await client.patch(url_of(service), json={"source": {**image, "credential_id": registry}})
    ).status_code == 200
    assert (await client.patch(url_of(service), json={"source": {**image, "credential_id": mine}})).status_code == 422
    made = await make(client, project, name="Other", build_source={**git, "credential_id": theirs})
    assert made.status_code == 422
    assert (
        await make(client, project, name="Dir", build_source={"type": "directory", "upload_id": new_id()})
    ).status_code == 422


async def test_deleting_asks_for_the_slug_and_keeps_the_data(app, client, project, service):
    url = url_of(service)
    volume = (await client.post(f"{url}/volumes", json={"name": "data", "path": "/data"})).json()
    await client.put(f"{url}/variables/TOKEN", json={"value": "canary-service", "is_secret": True})
    for params in ({}, {"confirm": ""}, {"confirm": service["name"]}):
        refused = await client.delete(url, params=params)
        assert refused.status_code == 422
        assert "?confirm=api-server" in refused.json()["hint"]
    assert (await client.delete(url, params={"confirm": "api-server"})).status_code == 204
    assert (await client.get(url)).status_code == 404
    assert (await client.get(f"{url}/variables")).status_code == 404
    kept = (await client.get(f"/api/v1/projects/{project['id']}/volumes")).json()["items"]
    assert [(each["id"], each["service_id"]) for each in kept] == [(volume["id"], None)]
    event = (await events_of(app, "ServiceDeleted"))[0]
    assert event.payload["kept_volumes"] == ["data"]
    assert (await make(client, project, slug="api-server")).status_code == 201


async def test_strangers_get_the_same_answer_as_for_nothing(client, stranger, service):
    for method, path, body in (
        ("GET", "", None), ("PATCH", "", {"name": "x"}), ("DELETE", "?confirm=api-server", None), ("GET", "/variables", None),
        ("PUT", "/variables", {"variables": []}), ("PUT", "/variables/A", {"value": "x"}), ("DELETE", "/variables/A", None),
        ("POST", "/variables/A/reveal", None), ("GET", "/volumes", None), ("POST", "/volumes", {"name": "a", "path": "/a"}),
        ("GET", "/hooks", None), ("POST", "/hooks", {"provider": "github", "branch": "main"}), ("GET", "/uploads", None),
    ):  # fmt: skip
        answers = [
            await stranger.request(method, f"/api/v1/services/{each}{path}", json=body)
            for each in (service["id"], new_id())
        ]
        assert [each.status_code for each in answers] == [404, 404]
        assert answers[0].json() | {"request_id": ""} == answers[1].json() | {"request_id": ""}
    assert (await client.get(url_of(service))).json() == service


async def test_a_viewer_cannot_change_or_delete(viewer, service):
    assert (await viewer.get(url_of(service))).json()["slug"] == "api-server"
    assert (await viewer.patch(url_of(service), json={"replicas": 2})).status_code == 403
    assert (await viewer.delete(url_of(service), params={"confirm": "api-server"})).status_code == 403


async def test_the_schema_of_orca_yaml_is_public(anonymous):
    answer = await anonymous.get("/api/v1/schemas/orca.yaml.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/schema+json"
    assert answer.json()["title"] == "orca.yaml"
