"""A Git credential is used at its own host only: when a service is saved, looked at, and fetched from a snapshot."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update
from tests.attacks.people import add_person, add_token
from tests.conftest import client_of
from tests.features.services.events import events_of
from tests.features.services.test_detect_doors import app
from tests.features.sources.steps.conftest import TOKEN, elsewhere, make_repository, repositories, server, tls_files

from orca.features.credentials.errors import GitCredentialElsewhere
from orca.features.credentials.models import GitCredential
from orca.features.sources.schemas import GitSource
from orca.features.sources.steps.fetch_git import fetch_git
from orca.web.guard import Scope

__all__ = ["app", "elsewhere", "make_repository", "repositories", "server", "tls_files"]
pytestmark = pytest.mark.slow

GIT = "/api/v1/git-credentials"
FIELD = "source.credential_id"


@pytest.fixture
async def member(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A member who may change services, and neither see nor change secrets."""
    token = await add_token(app, await add_person(app, "member"), "*")
    async with client_of(app, Authorization=f"Bearer {token}") as http:
        yield http


async def token_for(client, host, **more) -> dict:
    made = await client.post(GIT, json={"name": "hub", "kind": "token", "host": host, "token": TOKEN, **more})
    assert made.status_code == 201, made.text
    return made.json()


def source_at(place, credential, path="/private/app.git") -> dict:
    return {"type": "git", "repository": place.url(path), "credential_id": credential["id"]}


async def fetched(app, team_id, source, into):
    async def log(_line: str) -> None:
        return None

    return await fetch_git(app.state.resources, Scope(team_id), GitSource.model_validate(source), into, log)


async def team_of(app, credential) -> str:
    async with app.state.resources.db.read() as session:
        return (await session.get_one(GitCredential, credential["id"])).team_id


async def test_a_host_is_kept_as_addresses_spell_it(app, client):
    for kind, given, kept in (
        ("token", " GitHub.com ", "github.com"), ("token", "h.example:443", "h.example"),
        ("token", "h.example:22", "h.example:22"), ("ssh", "h.example:22", "h.example"),
        ("ssh", "h.example:443", "h.example:443"), ("ssh", "[2001:DB8::0:1]:2222", "[2001:db8::1]:2222"),
        ("token", "xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
    ):  # fmt: skip
        body = {"name": f"for {given}", "kind": kind, "host": given} | ({"token": TOKEN} if kind == "token" else {})
        made = (await client.post(GIT, json=body)).json()
        assert made["host"] == kept
        assert (await client.get(f"{GIT}/{made['id']}")).json()["host"] == kept
        assert (await events_of(app, "GitCredentialCreated"))[-1].payload["host"] == kept


async def test_what_is_no_host_is_refused_at_its_field(client):
    for host in (
        "", " ", "*", "*.example", "https://h.example", "h.example/a", "me@h.example", "h.example:", "h.example:0",
        "h.example:99999", "h.example.", "münchen.example", "a b", "h\ni", "0x7f.1", "::1", "[h]", "h?x", "h#x", "-h", None,
    ):  # fmt: skip
        made = await client.post(GIT, json={"name": "x", "kind": "token", "host": host, "token": TOKEN})
        assert (made.status_code, list(made.json()["fields"])) == (422, ["host"]), host
        assert TOKEN not in made.text
    assert (await client.get(GIT)).json()["items"] == []


async def test_a_credential_without_a_host_is_not_made(client):
    made = await client.post(GIT, json={"name": "x", "kind": "ssh"})
    assert (made.status_code, list(made.json()["fields"])) == (422, ["host"])


async def test_a_member_cannot_lead_a_token_to_a_server_of_their_own(
    app, client, member, project, server, elsewhere, make_repository
):
    """The attack itself, through every door that takes a repository and a credential."""
    make_repository("private/app.git").commit({"index.html": "x"})
    credential = await token_for(client, server.host)
    services = f"/api/v1/projects/{project['id']}/services"
    made = await member.post(services, json={"name": "Shop", "source": source_at(server, credential)})
    assert made.status_code == 201, made.text
    url, before = f"/api/v1/services/{made.json()['id']}", made.json()
    evil = source_at(elsewhere, credential)
    answers = [
        await member.patch(url, json={"name": "Renamed", "source": evil}),
        await member.post(services, json={"name": "Evil", "source": evil}),
        await member.post(f"/api/v1/projects/{project['id']}/detect", json={"build_source": evil}),
    ]
    for answer in answers:
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, "git-credential-elsewhere")
        assert f"is for {server.host}, not for {elsewhere.host}" in problem["fields"][FIELD]
        assert "Choose a credential for" in problem["hint"]
    assert (await member.get(url)).json() == before
    assert len((await member.get(services)).json()["items"]) == 1
    assert (await member.patch(f"{GIT}/{credential['id']}", json={"host": elsewhere.host})).status_code == 403
    assert elsewhere.requests == []


async def test_a_snapshot_is_fetched_only_where_its_credential_belongs(
    app, client, server, elsewhere, make_repository, tmp_path
):
    make_repository("private/app.git").commit({"index.html": "x"})
    credential = await token_for(client, server.host)
    team = await team_of(app, credential)
    with pytest.raises(GitCredentialElsewhere, match=f"is for {server.host}") as refused:
        await fetched(app, team, source_at(elsewhere, credential), tmp_path / "evil")
    assert refused.value.hint
    assert elsewhere.requests == []
    await fetched(app, team, source_at(server, credential), tmp_path / "good")
    moved = await client.patch(f"{GIT}/{credential['id']}", json={"host": elsewhere.host, "token": TOKEN})
    assert moved.json()["host"] == elsewhere.host
    server.requests.clear()
    with pytest.raises(GitCredentialElsewhere):
        await fetched(app, team, source_at(server, credential), tmp_path / "late")
    assert server.requests == []


async def test_a_token_changes_its_host_only_together_with_itself(app, client, server, elsewhere):
    credential = await token_for(client, server.host)
    url = f"{GIT}/{credential['id']}"
    refused = await client.patch(url, json={"host": elsewhere.host, "name": "Renamed"})
    assert (refused.status_code, sorted(refused.json()["fields"])) == (422, ["host", "token"])
    assert (await client.get(url)).json() == credential
    same = await client.patch(url, json={"host": server.host.upper(), "name": "Renamed"})
    assert (same.status_code, same.json()["host"]) == (200, server.host)
    assert (await client.patch(url, json={"host": "a/b", "token": TOKEN})).json()["fields"].keys() == {"host"}
    key = (await client.post(GIT, json={"name": "key", "kind": "ssh", "host": "a.example"})).json()
    moved = await client.patch(f"{GIT}/{key['id']}", json={"host": "B.example:22"})
    assert (moved.json()["host"], moved.json()["public_key"]) == ("b.example", key["public_key"])
    assert (await events_of(app, "GitCredentialUpdated"))[-1].payload["host"] == "b.example"


async def test_a_credential_of_before_is_used_nowhere_until_somebody_says_where(
    app, client, project, server, make_repository, tmp_path
):
    make_repository("private/app.git").commit({"index.html": "x"})
    credential = await token_for(client, server.host)
    async with app.state.resources.db.write() as session:
        await session.execute(update(GitCredential).values(host=""))
    fields = {"name": "Shop", "source": source_at(server, credential)}
    refused = await client.post(f"/api/v1/projects/{project['id']}/services", json=fields)
    assert "has no host yet, so it is used nowhere" in refused.json()["fields"][FIELD]
    assert "orc credentials set-host" in refused.json()["hint"]
    team = await team_of(app, credential)
    with pytest.raises(GitCredentialElsewhere, match="has no host yet"):
        await fetched(app, team, fields["source"], tmp_path / "tree")
    assert server.requests == []
    await client.patch(f"{GIT}/{credential['id']}", json={"host": server.host, "token": TOKEN})
    assert (await client.post(f"/api/v1/projects/{project['id']}/services", json=fields)).status_code == 201
    await fetched(app, team, fields["source"], tmp_path / "tree")


async def test_a_registry_login_stays_with_its_registry(app, client, project):
    """As for Git: refused when it is saved, not first when it is pulled."""
    login = {"name": "GHCR", "host": "ghcr.io", "username": "u", "password": "canary"}
    made = (await client.post("/api/v1/registry-credentials", json=login)).json()
    services = f"/api/v1/projects/{project['id']}/services"
    right = {"type": "image", "image": "ghcr.io/a/b:1", "credential_id": made["id"]}
    service = (await client.post(services, json={"name": "Shop", "source": right})).json()
    for image in ("registry.example.org/a/b:1", "nginx", "ghcr.io.example.org/a/b"):
        wrong = {**right, "image": image}
        for answer in (
            await client.post(services, json={"name": "Evil", "source": wrong}),
            await client.patch(f"/api/v1/services/{service['id']}", json={"source": wrong}),
            await client.post(f"/api/v1/projects/{project['id']}/detect", json={"build_source": wrong}),
        ):
            problem = answer.json()
            assert (answer.status_code, problem["code"]) == (422, "registry-credential-elsewhere"), image
            assert "is for ghcr.io, not for" in problem["fields"][FIELD]
    assert (await client.get(f"/api/v1/services/{service['id']}")).json()["source"]["image"] == right["image"]
    hub = {"name": "Hub", "host": "index.docker.io", "username": "u", "password": "canary"}
    made = (await client.post("/api/v1/registry-credentials", json=hub)).json()
    fields = {"name": "Web", "source": {"type": "image", "image": "nginx", "credential_id": made["id"]}}
    assert (await client.post(services, json=fields)).status_code == 201
