"""Lists take the filters that their users need, and refuse what they do not know, at the doors of the application."""

import re

import pytest
from tests.conftest import OWNER

from orca.kit.ids import new_id
from orca.web.openapi import describe_api

NEEDED = {
    "/api/v1/certificates": {"name", "hostname", "expires_before"},
    "/api/v1/deployments": {"state", "kind", "trigger", "since", "until", "service_id", "project_id"},
    "/api/v1/deployments/{deployment_id}/log/lines": {"grep", "before", "after", "around"},
    "/api/v1/dns-credentials": {"name", "provider", "sort"},
    "/api/v1/events": {"type", "object_type", "object_id", "actor", "outcome", "since", "until"},
    "/api/v1/git-credentials": {"name", "kind", "host", "sort"},
    "/api/v1/grants": {"user_id", "role", "project_id", "environment_id", "system_id"},
    "/api/v1/orphans": {"kind", "service_id"},
    "/api/v1/permissions": {"role"},
    "/api/v1/projects": {"name", "slug", "sort"},
    "/api/v1/projects/{project_id}/services": {"slug", "kind", "desired_state", "environment_id", "sort"},
    "/api/v1/services": {"slug", "kind", "desired_state", "environment_id", "project_id", "sort"},
    "/api/v1/projects/{project_id}/volumes": {"service_id", "name", "state", "sort"},
    "/api/v1/registry-credentials": {"name", "host", "sort"},
    "/api/v1/services/{service_id}/containers": {"state"},
    "/api/v1/services/{service_id}/deployments": {"state", "kind", "trigger", "since", "until"},
    "/api/v1/services/{service_id}/hooks": {"provider", "branch"},
    "/api/v1/services/{service_id}/hooks/{hook_id}/pushes": {"is_accepted", "since", "until"},
    "/api/v1/services/{service_id}/logs/lines": {
        "grep",
        "level",
        "stream",
        "replica",
        "release",
        "since",
        "until",
        "before",
        "after",
        "around",
        "context",
    },
    "/api/v1/services/{service_id}/releases": {"commit", "since", "until"},
    "/api/v1/services/{service_id}/routes": {"hostname", "state", "tls"},
    "/api/v1/services/{service_id}/uploads": {"since", "until"},
    "/api/v1/tokens": {"name", "expires_before"},
    "/api/v1/webhooks": {"name", "is_enabled", "sort"},
    "/api/v1/webhooks/{webhook_id}/deliveries": {"state", "type", "since", "until"},
}
INSTANT = re.compile(r'"([0-9]{4}-[0-9]{2}-[0-9]{2}T[^"]*)"')
UNFILTERED = {
    "/api/v1/disk",
    "/api/v1/dns-providers",
    "/api/v1/systems",
    "/api/v1/projects/{project_id}/environments",
    "/api/v1/me/sessions", "/api/v1/projects/{project_id}/variables", "/api/v1/services/{service_id}/variables",
    "/api/v1/services/{service_id}/volumes",
}  # fmt: skip
"""Short by nature, and always read as a whole."""


@pytest.fixture
async def hook(client, service):
    return (
        await client.post(f"/api/v1/services/{service['id']}/hooks", json={"provider": "github", "branch": "main"})
    ).json()


@pytest.fixture
async def deployment(client, service):
    return (await client.post(f"/api/v1/services/{service['id']}/deployments", json={})).json()


@pytest.fixture
async def webhook(client):
    body = {"name": "chat", "url": "https://hooks.example.org/orca"}
    return (await client.post("/api/v1/webhooks", json=body)).json()


def is_list(operation, schemas):
    answer = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
    schema = schemas.get(answer.get("$ref", "").rpartition("/")[2], answer)
    return schema.get("type") == "array" or "items" in schema.get("properties", {})


def samples(schema):
    """Values that a parameter takes."""
    for each in schema.get("anyOf", [schema]):
        if "enum" in each:
            yield from each["enum"]
        elif each.get("format") == "date-time":
            yield from ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05+02:00", "2026-01-02")
        elif each.get("type") == "string":
            yield (
                new_id()
                if "[0-9a-f]{8}" in each.get("pattern", "")
                else "12"
                if "cursor" in each.get("description", "")
                else "x"
            )
        elif each.get("type") == "boolean":
            yield from ("true", "false")
        elif each.get("type") == "integer":
            yield 5


def wrong_values(schema):
    """Values that it does not take."""
    for each in schema.get("anyOf", [schema]):
        if "enum" in each or each.get("format") == "date-time" or each.get("type") in {"integer", "boolean"}:
            yield from ("nonsense", "")
        elif "pattern" in each:
            yield "?"


async def test_every_list_has_its_filters_and_refuses_others(app, client, project, service, hook, webhook, deployment):
    document = describe_api(app)
    schemas = document["components"]["schemas"]
    found = {}
    for path, item in document["paths"].items():
        if "get" not in item or not is_list(item["get"], schemas):
            continue
        parameters = {
            each["name"]: each["schema"] for each in item["get"].get("parameters", ()) if each["in"] == "query"
        }
        found[path] = set(parameters) - {"limit", "cursor"}
        ids = {"project_id": project, "service_id": service, "hook_id": hook, "webhook_id": webhook,
               "deployment_id": deployment}  # fmt: skip
        address = path.format(**{name: made["id"] for name, made in ids.items()})
        for name, schema in parameters.items():
            if name == "cursor":
                continue
            for value in samples(schema):
                answer = await client.get(address, params={name: value})
                assert answer.status_code == 200, (path, name, value, answer.text)
                assert not [each for each in INSTANT.findall(answer.text) if not each.endswith("Z")], path
            for value in wrong_values(schema):
                answer = await client.get(address, params={name: value})
                assert (answer.status_code, list(answer.json()["fields"])) == (422, [name]), (path, name, value)
        answer = await client.get(address, params={"nonsense": "x"})
        assert (answer.status_code, list(answer.json()["fields"])) == (422, ["nonsense"]), path
    assert found == {**NEEDED, **{path: set() for path in UNFILTERED}}


async def test_filters_choose_what_they_say(client, project, service):
    other = (await client.post("/api/v1/projects", json={"name": "Other"})).json()
    fields = {"name": "job", "kind": "worker", "source": {"type": "image", "image": "app"}}
    job = (await client.post(f"/api/v1/projects/{project['id']}/services", json=fields)).json()
    elsewhere = (await client.post(f"/api/v1/projects/{other['id']}/services", json=fields)).json()
    for each in (job, elsewhere):
        assert (await client.post(f"/api/v1/services/{each['id']}/deployments", json={})).status_code == 202
    assert (await client.post(f"/api/v1/services/{job['id']}/builds", json={})).status_code == 202
    volume = (await client.post(f"/api/v1/services/{job['id']}/volumes", json={"name": "a", "path": "/a"})).json()
    gone = (await client.post(f"/api/v1/services/{job['id']}/volumes", json={"name": "b", "path": "/b"})).json()
    assert (await client.delete(f"/api/v1/services/{job['id']}/volumes/{gone['id']}")).status_code == 204
    routes = f"/api/v1/services/{service['id']}/routes"
    token = {"name": "ci", "scopes": ["project.read"], "expires_in_days": 2}
    await client.post("/api/v1/tokens", json=token)
    place, services = f"/api/v1/projects/{project['id']}", [elsewhere["id"], job["id"], job["id"]]
    for path, query, shown, expected in (
        ("/api/v1/projects", {"slug": "other"}, "name", ["Other"]),
        ("/api/v1/projects", {"name": "My App"}, "name", ["My App"]),
        (f"{place}/services", {"kind": "worker"}, "id", [job["id"]]),
        (f"{place}/services", {"desired_state": "stopped"}, "id", []),
        (f"{place}/services", {"slug": service["slug"]}, "id", [service["id"]]),
        ("/api/v1/deployments", {}, "service_id", services),
        ("/api/v1/deployments", {"state": "queued"}, "service_id", services),
        ("/api/v1/deployments", {"state": "failed"}, "service_id", []),
        ("/api/v1/deployments", {"kind": "build"}, "service_id", [job["id"]]),
        ("/api/v1/deployments", {"project_id": other["id"]}, "service_id", [elsewhere["id"]]),
        ("/api/v1/deployments", {"service_id": job["id"], "kind": "deploy"}, "service_id", [job["id"]]),
        ("/api/v1/deployments", {"since": "2099-01-01T00:00:00Z"}, "service_id", []),
        ("/api/v1/deployments", {"until": "2099-01-01T00:00:00Z", "trigger": "api"}, "service_id", services),
        (f"/api/v1/services/{job['id']}/deployments", {"kind": "build"}, "kind", ["build"]),
        (f"{place}/volumes", {"state": "attached"}, "id", [volume["id"]]),
        (f"{place}/volumes", {"state": "detached"}, "id", [gone["id"]]),
        (f"{place}/volumes", {"service_id": job["id"]}, "id", [volume["id"]]),
        (f"{place}/volumes", {"name": "b"}, "id", [gone["id"]]),
        (routes, {"state": "live"}, "id", []),
        ("/api/v1/tokens", {"name": "ci"}, "name", ["ci"]),
        ("/api/v1/tokens", {"expires_before": "2020-01-01T00:00:00Z"}, "name", []),
        ("/api/v1/events", {"type": "ProjectCreated", "object_id": other["id"]}, "object_id", [other["id"]]),
        ("/api/v1/events", {"type": "ProjectCreated", "actor": OWNER["email"]}, "object_id", []),
        ("/api/v1/events", {"type": "ProjectCreated", "since": "2099-01-01T00:00:00Z"}, "object_id", []),
        ("/api/v1/events", {"outcome": "denied"}, "type", []),
        ("/api/v1/certificates", {"hostname": "a.example"}, "id", []),
    ):  # fmt: skip
        answer = await client.get(path, params=query)
        assert answer.status_code == 200, (path, query, answer.text)
        assert sorted(each[shown] for each in answer.json()["items"]) == sorted(expected), (path, query)


async def test_pages_of_a_filtered_list_go_on(client, project):
    for number in range(5):
        fields = {
            "name": f"s{number}",
            "kind": "worker" if number % 2 else "web",
            "source": {"type": "image", "image": "a"},
        }
        await client.post(f"/api/v1/projects/{project['id']}/services", json=fields)
    names, cursor = [], None
    while True:
        query = {"kind": "web", "limit": 1, **({"cursor": cursor} if cursor else {})}
        page = (await client.get(f"/api/v1/projects/{project['id']}/services", params=query)).json()
        names += [each["name"] for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert names == ["s4", "s2", "s0"]


async def test_lists_are_sorted_by_name_or_age_over_all_pages(client, project):
    """Names that are equal, too: those of other projects."""
    made = []
    for target in (project, (await client.post("/api/v1/projects", json={"name": "Other"})).json()):
        for name in ("b", "a", "c"):
            fields = {"name": name, "source": {"type": "image", "image": "app"}}
            made.append((await client.post(f"/api/v1/projects/{target['id']}/services", json=fields)).json())
    ages = [each["id"] for each in made]
    names = sorted(made, key=lambda each: (each["name"], each["id"]))
    orders = {"created_at": ages, "-created_at": ages[::-1], "name": [each["id"] for each in names]}
    for sort, ids in {**orders, "-name": orders["name"][::-1]}.items():
        seen, cursor = [], {}
        while cursor is not None:
            page = (await client.get("/api/v1/services", params={"sort": sort, "limit": 2, **cursor})).json()
            seen += [each["id"] for each in page["items"]]
            cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None
        assert seen == ids, sort
