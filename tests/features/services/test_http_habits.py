"""What clients expect of any HTTP API, at the doors of the real application."""

import asyncio
import gzip
import json
import time
from datetime import timedelta

import pytest
from fastapi.routing import iter_route_contexts
from jsonschema_rs import validator_for
from pydantic import ValidationError
from sqlalchemy import select
from tests.conftest import make_settings

from orca.app import create_app
from orca.features.access.idempotency import forget_old_keys
from orca.features.access.models import IdempotencyKey
from orca.features.audit.api import _frames
from orca.kit.ids import new_id
from orca.web.openapi import describe_api


@pytest.fixture
def database_url() -> None:
    """The habits are those of the doors; one database is enough."""


async def test_head_answers_like_get_without_a_body(client, project, service, anonymous):
    for path in (
        "/api/health",
        "/api/v1/projects",
        f"/api/v1/services/{service['id']}",
        f"/api/v1/services/{service['id']}/logs",
    ):
        head = await client.head(path)
        assert (head.status_code, head.content) == (200, b""), path
        assert head.headers["content-type"] == (await client.get(path)).headers["content-type"]
    assert (await client.head(f"/api/v1/projects/{new_id()}")).status_code == 404
    assert (await anonymous.head("/api/v1/projects")).status_code == 401


async def test_allow_names_what_an_address_takes(client, project):
    wrong = await client.put(f"/api/v1/projects/{project['id']}")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "DELETE, GET, HEAD, OPTIONS, PATCH")
    asked = await client.options("/api/v1/projects")
    assert (asked.status_code, asked.headers["allow"], asked.content) == (204, "GET, HEAD, OPTIONS, POST", b"")
    assert (await client.options("/api/v1/nowhere")).status_code == 404


async def test_a_401_says_how_to_sign_in(anonymous):
    assert (await anonymous.get("/api/v1/projects")).headers["www-authenticate"] == 'Bearer realm="orca"'


async def test_what_was_made_is_located(client, project, service):
    made = await client.post("/api/v1/projects", json={"name": "Located"})
    assert made.headers["location"] == f"/api/v1/projects/{made.json()['id']}"
    assert (await client.get(made.headers["location"])).json()["id"] == made.json()["id"]
    fields = {"name": "two", "source": {"type": "image", "image": "nginx"}}
    other = await client.post(f"/api/v1/projects/{project['id']}/services", json=fields)
    assert other.headers["location"] == f"/api/v1/services/{other.json()['id']}"
    deployed = await client.post(f"/api/v1/services/{other.json()['id']}/deployments", json={})
    assert (deployed.status_code, deployed.headers["location"]) == (202, f"/api/v1/deployments/{deployed.json()['id']}")
    gone = await client.delete(f"/api/v1/services/{service['id']}", params={"confirm": service["slug"]})
    assert (gone.status_code, "content-type" in gone.headers) == (204, False)


async def test_a_post_with_a_key_is_done_once(app, client, viewer, project):
    async def make(key, name="Once", http=client):
        answer = await http.post("/api/v1/projects", json={"name": name}, headers={"Idempotency-Key": key})
        return answer.status_code, answer.json(), answer.headers

    at_once = await asyncio.gather(*(make("k-1") for _ in range(4)))
    assert {status for status, *_ in at_once} <= {201, 409}
    status, made, headers = await make("k-1")
    assert (status, headers["idempotency-replayed"], headers["location"]) == (
        201,
        "true",
        f"/api/v1/projects/{made['id']}",
    )
    assert {body["id"] for status, body, _ in at_once if status == 201} == {made["id"]}
    assert (await make("k-1", "Other"))[0] == 422
    assert (await make("", "x"))[0] == 422
    assert (await make("k-2", "Twice"))[1]["id"] != made["id"]
    assert (await make("k-1", http=viewer))[0] == 403  # keys are of the one who asks, and rights come first
    path = f"/api/v1/projects/{new_id()}/services"
    fields = {"name": "n", "source": {"type": "image", "image": "a"}}
    refused = [(await client.post(path, json=fields, headers={"Idempotency-Key": "k-3"})).status_code for _ in range(2)]
    assert refused == [404, 404]  # what failed may be tried again
    started = time.monotonic()
    taken = {"name": "Twin", "slug": project["slug"]}
    headers = {"Idempotency-Key": "k-5"}
    late = [(await client.post("/api/v1/projects", json=taken, headers=headers)).status_code for _ in range(2)]
    assert late == [409, 409]  # refused by the database, with its only writer in hand
    assert time.monotonic() - started < 5
    fields = {"name": "secret", "scopes": ["project.read"], "expires_in_days": 1}
    tokens = [await client.post("/api/v1/tokens", json=fields, headers={"Idempotency-Key": "k-4"}) for _ in range(2)]
    assert tokens[0].status_code == tokens[1].status_code == 201, tokens[0].text
    assert tokens[0].json() == tokens[1].json()
    async with app.state.resources.db.write() as session:
        rows = (await session.scalars(select(IdempotencyKey))).all()
        assert [row.status for row in rows] == [201, 201, 201]
        assert not any(tokens[0].json()["token"].encode() in (row.answer or b"") for row in rows)
        for row in rows:
            row.created_at -= timedelta(hours=25)
    await forget_old_keys(app.state.resources)
    assert (await make("k-1", "Later"))[1]["id"] != made["id"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"cursor": "zzz"}, "cursor"),
        ({"slug": "x"}, "slug"),
        ({"state": "failed"}, "state"),
        ({"order": "name"}, "order"),
    ],
)
async def test_an_invalid_cursor_and_an_unknown_parameter_are_refused_by_name(client, query, named):
    answer = await client.get("/api/v1/git-credentials", params=query)
    assert (answer.status_code, list(answer.json()["fields"])) == (422, [named])


async def test_bodies_that_are_no_json_and_compressed_ones(client):
    headers = {"Content-Type": "application/json"}
    assert (await client.post("/api/v1/projects", content=b"{", headers=headers)).status_code == 400
    assert (await client.post("/api/v1/projects", content=b'{"name": "\\u0000"}', headers=headers)).status_code == 422
    packed = gzip.compress(json.dumps({"name": "x"}).encode())
    assert (
        await client.post("/api/v1/projects", content=packed, headers={**headers, "Content-Encoding": "gzip"})
    ).status_code == 415


async def test_names_of_a_request_are_those_of_its_answer(client, project):
    for name, names in (
        ("one", {"kind": "worker", "source": {"type": "image", "image": "a"}}),
        ("two", {"type": "worker", "build_source": {"type": "image", "image": "a"}}),
    ):
        made = await client.post(f"/api/v1/projects/{project['id']}/services", json={"name": name, **names})
        assert (made.status_code, made.json()["kind"], made.json()["source"]["image"]) == (201, "worker", "a")


def test_the_document_describes_itself(tmp_path):
    document = describe_api(create_app(make_settings(tmp_path)))
    text = json.dumps(document)
    assert len(text) < 450_000
    assert text.count("A failure as RFC 9457") == 1
    assert set(document["components"]["securitySchemes"]) == {"token", "session"}
    operations = [each for path in document["paths"].values() for each in path.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)
    assert {each["operationId"] for each in operations} > {"create_deployment", "create_project", "list_hooks"}
    assert {tag for each in operations for tag in each["tags"]} == {each["name"] for each in document["tags"]}
    health = document["paths"]["/api/health"]["get"]
    assert (health["security"], set(health["responses"])) == ([], {"200", "421", "default"})
    schemas = document["components"]["schemas"]
    assert {"kind", "source"} < set(schemas["ServiceFields"]["properties"])
    assert "type" in schemas["GitSource"]["required"]
    assert "enum" in schemas["DeploymentOut"]["properties"]["state"]
    assert not {"HTTPValidationError", "ValidationError"} & set(schemas)
    upload = document["paths"]["/api/v1/services/{service_id}/uploads"]["post"]["requestBody"]["content"]
    assert set(upload) == {"application/x-tar", "application/octet-stream"}


def test_null_is_refused_where_it_means_nothing(tmp_path):
    app = create_app(make_settings(tmp_path))
    schemas = describe_api(app)["components"]["schemas"]
    patched = {}
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if "PATCH" in (getattr(route, "methods", None) or ()) and route.path.startswith("/api/") and route.body_field:
            patched[route.body_field.field_info.annotation.__name__] = route.body_field.field_info.annotation
    assert {"ProjectChanges", "ServiceChanges", "RoutePatch", "VolumeChanges", "HookChanges"} < set(patched)
    for name, model in patched.items():
        for field, schema in schemas[name]["properties"].items():
            takes_null = {"type": "null"} in schema.get("anyOf", ())
            assert takes_null == (field in getattr(model, "may_be_null", ())), (name, field)
            if takes_null:
                model.model_validate({field: None})
            else:
                with pytest.raises(ValidationError):
                    model.model_validate({field: None})


async def test_null_in_a_change_is_refused_by_name(client, project, service):
    for path, body in (
        (f"/api/v1/projects/{project['id']}", {"name": None}),
        (f"/api/v1/projects/{project['id']}", {"description": None}),
        (f"/api/v1/services/{service['id']}", {"name": None}),
        (f"/api/v1/services/{service['id']}", {"ports": None}),
        (f"/api/v1/services/{service['id']}", {"source": None}),
    ):
        answer = await client.patch(path, json=body)
        assert (answer.status_code, list(answer.json()["fields"])) == (422, list(body)), answer.text
        assert "leave it out" in answer.json()["detail"]


async def test_a_log_is_followed_from_its_end_when_the_last_id_is_behind_it(client, project):
    fields = {"name": "job", "source": {"type": "image", "image": "app"}}
    made = (await client.post(f"/api/v1/projects/{project['id']}/services", json=fields)).json()
    deployment = (await client.post(f"/api/v1/services/{made['id']}/deployments", json={})).json()
    assert (await client.post(f"/api/v1/deployments/{deployment['id']}/cancel")).status_code == 202
    headers = {"Last-Event-ID": "1000", "Accept": "text/event-stream"}
    text = (await client.get(f"/api/v1/deployments/{deployment['id']}/log", headers=headers)).text
    assert text.startswith('id: 0\nevent: reset\ndata: {"offset":0}\n\n')


async def test_the_trail_is_followed_from_its_end_when_the_last_id_is_behind_it():
    async def nothing():
        for each in ():
            yield each

    frames = [frame async for frame in _frames(nothing(), reset_to=7)]
    assert frames == ['id: 7\nevent: reset\ndata: {"last_seq":7}\n\n']


def test_every_body_has_an_example_and_every_stream_names_its_events(tmp_path):
    document = describe_api(create_app(make_settings(tmp_path)))
    streams = set()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation["responses"]["default"], (path, method)
            for kind, content in operation["responses"].get("200", {}).get("content", {}).items():
                if kind == "text/event-stream":
                    assert content["x-events"], path
                    streams.add(operation["operationId"])
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body is None or path == "/api/v1/hooks/{hook_id}":  # as each Git host writes it
                continue
            references = [each["$ref"] for each in [body["schema"], *body["schema"].get("anyOf", ())] if "$ref" in each]
            name = references[0].rpartition("/")[2]
            [example] = document["components"]["schemas"][name]["examples"]
            whole = {"$ref": references[0], "components": document["components"]}
            assert not [str(each) for each in validator_for(whole).iter_errors(example)], name
    assert streams == {"read_log", "read_logs", "run_command", "stream_events", "stream_lines"}
