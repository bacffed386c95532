"""Git and registry credentials through their doors."""

import asyncio

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key
from tests.features.services.conftest import SEED
from tests.features.services.events import events_of

from orca.errors import BadInput, NotFound
from orca.features.credentials.actions import trust_host_keys
from orca.features.credentials.queries import GitLogin, open_git_credential, open_registry_login
from orca.kit.ids import new_id
from orca.sdk.containers import RegistryLogin
from orca.web.guard import Scope

GIT, REGISTRY = "/api/v1/git-credentials", "/api/v1/registry-credentials"
HOST_KEY = "github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
KEY, TOKEN = {"kind": "ssh", "host": "github.com"}, {"kind": "token", "host": "github.com"}
LOGIN = {"name": "GHCR", "host": "ghcr.io", "username": "robot", "password": "canary-p$'\" word"}


async def team_of(app, credential_id):
    from sqlalchemy import select

    from orca.features.credentials.models import GitCredential, RegistryCredential

    async with app.state.resources.db.read() as session:
        for table in (GitCredential, RegistryCredential):
            if team := await session.scalar(select(table.team_id).where(table.id == credential_id)):
                return Scope(team)
    return Scope("nobody")


async def opened(app, credential_id, opener=open_git_credential):
    resources = app.state.resources
    scope = await team_of(app, credential_id)
    async with resources.db.read() as session:
        place = ("github.com",) if opener is open_git_credential else ()
        return await opener(session, resources.secret_box, scope, credential_id, *place)


async def test_orca_makes_a_deploy_key_and_shows_its_public_half(app, client):
    made = (await client.post(GIT, json={"name": "My Repo", **KEY, "known_hosts": HOST_KEY})).json()
    kind, key, comment = made["public_key"].split(" ")
    assert (kind, comment, made["username"]) == ("ssh-ed25519", "orca-my-repo", "")
    login = await opened(app, made["id"])
    private = load_ssh_private_key(login.deploy_key.encode(), None)
    assert private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() == f"{kind} {key}"
    assert (login.token, login.known_hosts) == (None, f"{HOST_KEY}\n")
    assert "PRIVATE KEY" not in (await client.get(GIT)).text + (await client.get(f"{GIT}/{made['id']}")).text
    another = (await client.post(GIT, json={"name": "My other Repo", **KEY})).json()
    assert another["public_key"] != made["public_key"]


@pytest.mark.parametrize(
    ("url", "body"), [(GIT, KEY), (GIT, {**TOKEN, "token": "canary"}), (REGISTRY, {**LOGIN, "name": ""})]
)
async def test_two_of_a_kind_have_two_names(client, stranger, url, body):
    first = (await client.post(url, json={**body, "name": "k1"})).json()
    refused = await client.post(url, json={**body, "name": " k1 "})
    assert (refused.status_code, list(refused.json()["fields"])) == (409, ["name"])
    assert "“k1” already" in refused.json()["detail"]
    second = (await client.post(url, json={**body, "name": "k2"})).json()
    assert (await client.patch(f"{url}/{second['id']}", json={"name": "k1"})).status_code == 409
    assert (await client.patch(f"{url}/{first['id']}", json={"name": "k1"})).status_code == 200
    assert sorted(each["name"] for each in (await client.get(url)).json()["items"]) == ["k1", "k2"]
    assert (await stranger.post(url, json={**body, "name": "k1"})).status_code == 201
    at_once = await asyncio.gather(*(client.post(url, json={**body, "name": "k3"}) for _ in range(5)))
    assert sorted(each.status_code for each in at_once) == [201, 409, 409, 409, 409]
    assert (await client.delete(f"{url}/{first['id']}")).status_code == 204
    assert (await client.patch(f"{url}/{second['id']}", json={"name": "k1"})).status_code == 200


async def test_kinds_do_not_share_their_names(client):
    for url, body in ((GIT, KEY), (GIT, {**TOKEN, "token": "canary"}), (REGISTRY, LOGIN)):
        assert (await client.post(url, json={**body, "name": "acme"})).status_code == 201


async def test_a_token_is_kept_and_replaced_but_never_shown(app, client):
    made = (await client.post(GIT, json={"name": "T", **TOKEN, "token": "canary-1"})).json()
    assert await opened(app, made["id"]) == GitLogin(username="x-access-token", token="canary-1")
    changed = await client.patch(f"{GIT}/{made['id']}", json={"username": "oauth2", "token": "canary-2", "name": "U"})
    assert (changed.status_code, changed.json()["name"]) == (200, "U")
    assert await opened(app, made["id"]) == GitLogin(username="oauth2", token="canary-2")
    await client.patch(f"{GIT}/{made['id']}", json={"name": "V"})
    assert (await opened(app, made["id"])).token == "canary-2"
    for answer in (changed, await client.get(GIT), await client.get(f"{GIT}/{made['id']}")):
        assert "canary" not in answer.text
    recorded = await events_of(app, "GitCredentialCreated", "GitCredentialUpdated")
    assert "canary" not in str([each.payload for each in recorded])
    assert "canary" not in repr(await opened(app, made["id"]))


async def test_no_credential_is_nobodys_login(app):
    resources, anywhere = app.state.resources, "github.com"
    async with resources.db.read() as session:
        assert await open_git_credential(session, resources.secret_box, Scope("x"), None, anywhere) == GitLogin()
        assert await open_registry_login(session, resources.secret_box, Scope("x"), None) is None


async def test_bad_git_credentials_are_refused_without_an_echo(client):
    for body in (
        {"name": "x", **TOKEN}, {"name": "x", **TOKEN, "token": ""}, {"name": "x", **TOKEN, "token": "canary a"},
        {"name": "x", **TOKEN, "token": "canary\nb"}, {"name": "x", **TOKEN, "token": "canaryé"},
        {"name": "x", **KEY, "token": "canary"}, {"name": "x", **KEY, "username": "u"},
        {"name": "x", **TOKEN, "token": "canary", "username": "a:b"}, {"name": "x", **TOKEN, "token": "canary", "username": "a\r\nb"},
        {"name": "x", "kind": "password", "token": "canary"}, {"name": "x", **TOKEN, "token": "canary", "team_id": "y"},
        {"name": "x", **KEY, "known_hosts": "@cert-authority * ssh-rsa AAAAAAAAAAAAAAAAAAAA"},
        {"name": "x", **KEY, "known_hosts": "-oProxyCommand=x"}, {"name": "x", **KEY, "known_hosts": "host key"},
    ):  # fmt: skip
        answer = await client.post(GIT, json=body)
        assert answer.status_code == 422, body
        assert "canary" not in answer.text
    assert (await client.get(GIT)).json()["items"] == []
    key = (await client.post(GIT, json={"name": "x", **KEY})).json()
    assert (await client.patch(f"{GIT}/{key['id']}", json={"token": "canary"})).status_code == 422
    assert (await client.patch(f"{GIT}/{key['id']}", json={**TOKEN})).status_code == 422


async def test_trusted_host_keys_are_bounded_in_all(app, client):
    made = (await client.post(GIT, json={"name": "x", **KEY, "known_hosts": HOST_KEY})).json()
    scope, resources = await team_of(app, made["id"]), app.state.resources

    async def trust(numbers):
        lines = "".join(HOST_KEY.replace("github", f"git{number}") + "\n" for number in numbers)
        async with resources.db.write() as session:
            await trust_host_keys(session, scope, made["id"], lines)

    await trust(range(49))
    await trust(range(49))
    with pytest.raises(BadInput) as refused:
        await trust([49])
    assert refused.value.hint
    assert len((await opened(app, made["id"])).known_hosts.splitlines()) == 50


async def test_a_registry_login_is_opened_for_its_host_alone(app, client):
    made = (await client.post(REGISTRY, json=LOGIN)).json()
    assert {key: made[key] for key in ("name", "host", "username")} == {
        key: LOGIN[key] for key in ("name", "host", "username")
    }
    login = await opened(app, made["id"], open_registry_login)
    assert login == RegistryLogin("ghcr.io", "robot", LOGIN["password"])
    assert (await client.patch(f"{REGISTRY}/{made['id']}", json={"host": "evil.example"})).status_code == 422
    await client.patch(f"{REGISTRY}/{made['id']}", json={"password": "canary-new"})
    assert (await opened(app, made["id"], open_registry_login)).password == "canary-new"
    for path in (REGISTRY, f"{REGISTRY}/{made['id']}"):
        assert "canary" not in (await client.get(path)).text


@pytest.mark.parametrize(
    "host", ["", "ghcr", "https://ghcr.io", "ghcr.io/a", "ghcr.io:99999999", "a b.io", "-x.io", "ghcr.io;x", "../x"]
)
def test_registry_hosts(host):
    from pydantic import ValidationError

    from orca.features.credentials.schemas import RegistryCredentialFields

    with pytest.raises(ValidationError) as caught:
        RegistryCredentialFields.model_validate({**LOGIN, "host": host})
    assert "canary" not in str(caught.value)
    for good in ("ghcr.io", "docker.io", "localhost:5000", "Registry.Example.org:5000"):
        assert RegistryCredentialFields.model_validate({**LOGIN, "host": good}).host == good.lower()


@pytest.mark.parametrize(
    ("url", "body", "source"),
    [
        (GIT, {"name": "Key", **KEY}, SEED["build_source"]),
        (REGISTRY, LOGIN, {"type": "image", "image": "ghcr.io/a/b"}),
    ],
)
async def test_a_credential_in_use_is_not_deleted(app, client, service, url, body, source):
    made = (await client.post(url, json=body)).json()
    used = {"source": {**source, "credential_id": made["id"]}}
    assert (await client.patch(f"/api/v1/services/{service['id']}", json=used)).status_code == 200
    refused = await client.delete(f"{url}/{made['id']}")
    assert (refused.status_code, refused.json()["blockers"]) == (409, ["service api-server"])
    assert (await client.get(f"{url}/{made['id']}")).status_code == 200
    assert await events_of(app, "GitCredentialDeleted", "RegistryCredentialDeleted") == []
    opener = open_git_credential if url == GIT else open_registry_login
    assert await opened(app, made["id"], opener)
    await client.patch(f"/api/v1/services/{service['id']}", json={"source": source})
    assert (await client.delete(f"{url}/{made['id']}")).status_code == 204
    assert (await client.get(f"{url}/{made['id']}")).status_code == 404
    with pytest.raises(NotFound):
        await opened(app, made["id"], opener)


async def test_credentials_of_others_are_unknown(client, stranger, viewer):
    for url, body in ((GIT, {"name": "Key", **KEY}), (REGISTRY, LOGIN)):
        made = (await client.post(url, json=body)).json()
        assert (await stranger.get(url)).json()["items"] == []
        for method, change in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
            answers = [await stranger.request(method, f"{url}/{each}", json=change) for each in (made["id"], new_id())]
            assert [each.status_code for each in answers] == [404, 404]
            assert answers[0].json() | {"request_id": ""} == answers[1].json() | {"request_id": ""}
        assert (await viewer.get(url)).status_code == 200
        assert (await viewer.post(url, json=body)).status_code == 403
        assert (await viewer.delete(f"{url}/{made['id']}")).status_code == 403
