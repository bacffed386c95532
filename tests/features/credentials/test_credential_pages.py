"""The pages of credentials through their doors: made, changed and deleted without a shell, and never shown again."""

import html

import httpx
import pytest
from tests.attacks.people import add_person, browser_of
from tests.features.services.conftest import SEED
from tests.features.services.events import events_of

pytestmark = pytest.mark.slow

GIT, REGISTRY = "/api/v1/git-credentials", "/api/v1/registry-credentials"
LOGIN = {"registry_host": "GHCR.io", "registry_username": "bot", "registry_password": "canary-password"}


async def page_of(browser: httpx.AsyncClient, path: str) -> str:
    answer = await browser.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return html.unescape(answer.text)


async def test_a_deploy_key_is_made_and_its_page_says_where_it_goes(app, client, browser):
    assert "No credentials yet" in await page_of(browser, "/credentials")
    made = await browser.post("/credentials/git", data={"kind": "ssh", "name": "shop", "host": "github.com"})
    assert made.status_code == 303
    shown = await page_of(browser, made.headers["location"])
    [row] = (await client.get(GIT)).json()["items"]
    assert made.headers["location"] == f"/credentials/git/{row['id']}"
    assert row["public_key"] in shown
    assert "Settings → Deploy keys → Add deploy key" in shown
    assert "PRIVATE KEY" not in shown
    elsewhere = await browser.post("/credentials/git", data={"kind": "ssh", "name": "own", "host": "git.example.org"})
    shown = await page_of(browser, elsewhere.headers["location"])
    assert all(name in shown for name in ("GitHub", "GitLab", "Gitea and Forgejo", "Bitbucket"))
    assert len(await events_of(app, "GitCredentialCreated")) == 2


async def test_a_token_and_a_login_are_write_only(client, browser):
    token = {"kind": "token", "name": "acme", "host": "git.example.org", "token": "canary-token", "username": "oauth2"}
    made = await browser.post("/credentials/git", data={**token, "known_hosts": "of the other kind"})
    assert made.status_code == 303, made.text
    assert (await browser.post("/credentials/registries", data=LOGIN)).status_code == 303
    [login] = (await client.get(REGISTRY)).json()["items"]
    assert (login["name"], login["host"]) == ("GHCR.io", "ghcr.io")
    shown = await page_of(browser, "/credentials")
    assert "acme" in shown
    for path in ("/credentials", made.headers["location"], f"/credentials/registries/{login['id']}"):
        assert "canary" not in await page_of(browser, path)


@pytest.mark.parametrize(
    ("path", "typed", "field"),
    [
        ("git", {"kind": "token", "name": "shop", "host": "github.com"}, "token"),
        ("git", {"kind": "token", "name": "shop", "host": "github.com", "token": "canary a"}, "token"),
        ("git", {"kind": "ssh", "name": "", "host": "github.com"}, "name"),
        ("git", {"kind": "ssh", "name": "shop", "host": "https://github.com"}, "host"),
        ("git", {"kind": "ssh", "name": "shop", "host": "github.com", "known_hosts": "-oProxyCommand=x"}, "known_hosts"),
        ("registries", {**LOGIN, "registry_host": "https://ghcr.io", "registry_name": "shop"}, "registry_host"),
        ("registries", {**LOGIN, "registry_name": "shop", "registry_password": ""}, "registry_password"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_told_at_its_field_and_no_secret_comes_back(app, browser, path, typed, field):
    answer = await browser.post(f"/credentials/{path}", data=typed)
    assert (answer.status_code, f'id="{field}-error"' in answer.text) == (422, True), answer.text
    assert "canary" not in answer.text
    if field != "name":
        assert 'value="shop"' in answer.text
    assert await events_of(app, "GitCredentialCreated", "RegistryCredentialCreated") == []


async def test_a_name_in_use_is_told_at_the_name(browser):
    for path, typed, field in (
        ("git", {"kind": "ssh", "name": "shop", "host": "github.com"}, "name"),
        ("registries", {**LOGIN, "registry_name": "shop"}, "registry_name"),
    ):
        assert (await browser.post(f"/credentials/{path}", data=typed)).status_code == 303
        again = await browser.post(f"/credentials/{path}", data=typed)
        assert (again.status_code, f'id="{field}-error"' in again.text) == (422, True)
    assert (await browser.post("/credentials/registries", data=LOGIN)).status_code == 303
    again = await browser.post("/credentials/registries", data=LOGIN)
    told = 'Name: <a href="#registry_name">a registry login named GHCR.io exists; give this one another name'
    assert told in again.text


async def test_what_is_wrong_is_called_as_its_field_is_labelled(browser):
    bad = {"kind": "ssh", "name": "shop", "host": "https://github.com", "known_hosts": "-oProxyCommand=x"}
    login = {**LOGIN, "registry_host": "https://ghcr.io", "registry_password": ""}
    told = (await browser.post("/credentials/git", data=bad)).text
    told += (await browser.post("/credentials/registries", data=login)).text
    for label, field in (
        ("Git host", "host"), ("Host keys", "known_hosts"), ("Registry", "registry_host"),
        ("Password or token", "registry_password"),
    ):  # fmt: skip
        assert f'<li>{label}: <a href="#{field}">' in told


async def test_a_host_is_changed_by_the_rules_of_the_api(client, browser):
    token = {"kind": "token", "name": "acme", "host": "github.com", "token": "canary"}
    path = (await browser.post("/credentials/git", data=token)).headers["location"]
    moved = {"name": "acme", "host": "git.example.org", "token": "", "username": ""}
    refused = await browser.post(path, data=moved)
    assert (refused.status_code, 'id="token-error"' in refused.text) == (422, True)
    assert 'value="git.example.org"' in refused.text
    assert (await client.get(GIT)).json()["items"][0]["host"] == "github.com"
    assert (await browser.post(path, data={**moved, "token": "canary-2"})).status_code == 303
    key = {"kind": "ssh", "name": "key", "host": "github.com"}
    path = (await browser.post("/credentials/git", data=key)).headers["location"]
    assert (await browser.post(path, data={"name": "k2", "host": "b.example", "known_hosts": ""})).status_code == 303
    hosts = {each["name"]: each["host"] for each in (await client.get(GIT)).json()["items"]}
    assert hosts == {"acme": "git.example.org", "k2": "b.example"}


async def test_a_password_is_replaced_and_the_registry_stays(client, browser):
    await browser.post("/credentials/registries", data=LOGIN)
    [login] = (await client.get(REGISTRY)).json()["items"]
    path = f"/credentials/registries/{login['id']}"
    changed = {"name": "ours", "username": "robot", "password": "canary-new", "host": "evil.example"}
    assert (await browser.post(path, data=changed)).status_code == 303
    [login] = (await client.get(REGISTRY)).json()["items"]
    assert (login["name"], login["username"], login["host"]) == ("ours", "robot", "ghcr.io")
    assert (await browser.post(path, data={"name": "", "username": "robot"})).status_code == 422


@pytest.mark.parametrize(
    ("kind", "api", "body", "source"),
    [
        ("git", GIT, {"name": "key", "kind": "ssh", "host": "github.com"}, SEED["build_source"]),
        ("registries", REGISTRY, {"name": "hub", "host": "ghcr.io", "username": "u", "password": "p"},
         {"type": "image", "image": "ghcr.io/a/b"}),
    ],
)  # fmt: skip
async def test_what_a_service_uses_is_shown_and_not_deleted(app, client, browser, service, kind, api, body, source):
    made = (await client.post(api, json=body)).json()
    path = f"/credentials/{kind}/{made['id']}"
    used = {"source": {**source, "credential_id": made["id"]}}
    assert (await client.patch(f"/api/v1/services/{service['id']}", json=used)).status_code == 200
    assert service["name"] in await page_of(browser, "/credentials")
    shown = await page_of(browser, path)
    assert f'href="/services/{service["id"]}"' in shown
    assert f'action="{path}/delete"' not in shown
    refused = await browser.post(f"{path}/delete")
    assert refused.status_code == 409
    assert f"the credential is used by: {service['slug']}" in refused.text
    assert await events_of(app, "GitCredentialDeleted", "RegistryCredentialDeleted") == []
    await client.patch(f"/api/v1/services/{service['id']}", json={"source": source})
    assert f'action="{path}/delete"' in await page_of(browser, path)
    assert (await browser.post(f"{path}/delete")).status_code == 303
    assert (await client.get(f"{api}/{made['id']}")).status_code == 404


async def test_the_form_is_filled_in_from_a_link_with_nothing_but_words(browser):
    shown = (await browser.get("/credentials?kind=token&host=%22%3E%3Cb%3E")).text
    assert 'value="&#34;&gt;&lt;b&gt;"' in shown
    assert 'value="token" checked' in shown
    assert 'value="ssh" checked' in (await browser.get("/credentials?kind=nonsense")).text


async def test_a_viewer_sees_credentials_and_is_offered_no_change(app, client):
    made = (await client.post(GIT, json={"name": "key", "kind": "ssh", "host": "github.com"})).json()
    async with browser_of(app, (await add_person(app, "viewer")).email) as viewer:
        for path in ("/credentials", f"/credentials/git/{made['id']}"):
            shown = await page_of(viewer, path)
            assert "key" in shown
            assert 'action="/credentials' not in shown
        assert (await viewer.post("/credentials/git", data={"name": "x", "host": "a.example"})).status_code == 403


async def test_foreign_credentials_are_unknown(browser, stranger):
    made = (await stranger.post(GIT, json={"name": "theirs", "kind": "ssh", "host": "github.com"})).json()
    assert "theirs" not in await page_of(browser, "/credentials")
    assert (await browser.get(f"/credentials/git/{made['id']}")).status_code == 404
    assert (await browser.post(f"/credentials/git/{made['id']}/delete")).status_code == 404


async def test_the_login_of_an_image_is_chosen_in_the_settings_of_its_service(client, browser, project):
    logins = {}
    for host in ("ghcr.io", "registry.example.org"):
        body = {"name": host, "host": host, "username": "u", "password": "p"}
        logins[host] = (await client.post(REGISTRY, json=body)).json()["id"]
    fields = {"name": "web", "source": {"type": "image", "image": "ghcr.io/a/b:1"}}
    made = (await client.post(f"/api/v1/projects/{project['id']}/services", json=fields)).json()
    path = f"/services/{made['id']}/settings"
    typed = {"name": "web", "kind": "web", "version": str(made["version"]), "health_type": "auto"}
    typed |= {"image": "ghcr.io/a/b:1"}
    assert "registry.example.org · registry.example.org" in await page_of(browser, path)
    wrong = await browser.post(path, data={**typed, "registry_credential_id": logins["registry.example.org"]})
    assert (wrong.status_code, "is for registry.example.org, not for ghcr.io" in wrong.text) == (422, True)
    assert (await browser.post(path, data={**typed, "registry_credential_id": logins["ghcr.io"]})).status_code == 303
    assert f'value="{logins["ghcr.io"]}" selected' in await page_of(browser, path)
    stored = (await client.get(f"/api/v1/services/{made['id']}")).json()
    assert stored["source"]["credential_id"] == logins["ghcr.io"]
    typed["version"] = str(stored["version"])
    assert (await browser.post(path, data={**typed, "registry_credential_id": ""})).status_code == 303
    assert (await browser.post(f"/credentials/registries/{logins['ghcr.io']}/delete")).status_code == 303
