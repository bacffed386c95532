"""The pages of services through their doors: forms that are right, wrong and refused; and the fragment that looks."""

import html
import re
from urllib.parse import unquote

import httpx
import pytest
from tests.features.services.events import events_of
from tests.features.services.test_detect_doors import FASTAPI, app
from tests.features.sources.steps.conftest import (
    TOKEN,
    elsewhere,
    make_repository,
    repositories,
    server,
    ssh_server,
    tls_files,
)

from orca.features.services import forms

pytestmark = pytest.mark.slow

__all__ = ["app", "elsewhere", "make_repository", "repositories", "server", "ssh_server", "tls_files"]


def key_for(ssh_server) -> dict[str, str]:
    """A deploy key for one host."""
    return {"name": "key", "kind": "ssh", "host": ssh_server.host}


def test_ports_are_written_as_people_write_them() -> None:
    assert forms.parse_ports("8080, metrics:9090 private,") == [
        {"name": "http", "port": 8080, "public": True},
        {"name": "metrics", "port": 9090, "public": False},
    ]
    for wrong in ("http", "http:80 hidden", "http:8o", "80 private more"):
        with pytest.raises(ValueError, match="is not a port"):
            forms.parse_ports(wrong)


def test_a_source_takes_only_the_fields_of_its_kind() -> None:
    typed = {"repository": "https://h/r", "image": "nginx", "git_credential_id": "g", "registry_credential_id": "r"}
    assert forms.source_data(typed) == {"type": "git", "repository": "https://h/r", "credential_id": "g"}
    assert forms.source_data({**typed, "source_type": "image"}) == {
        "type": "image", "image": "nginx", "credential_id": "r",
    }  # fmt: skip
    assert forms.source_data({**typed, "source_type": "directory"}) == {"type": "directory"}


async def test_a_new_service_is_made_or_its_form_comes_back_as_it_was(app, browser, project):
    path = f"/projects/{project['id']}/services/new"
    typed = {"source_type": "git", "repository": "ftp://x/y", "name": "Shop <b>", "port": "70000"}
    answer = await browser.post(path, data=typed)
    assert answer.status_code == 422
    assert "Repositories are not fetched by" in answer.text
    assert 'value="Shop &lt;b&gt;"' in answer.text
    assert await events_of(app, "ServiceCreated") == []
    answer = await browser.post(path, data={**typed, "repository": "https://example.org/shop.git", "port": "8000"})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/services/")


async def test_create_and_deploy_leads_to_the_deployment_unless_the_look_failed(client, browser, project):
    path = f"/projects/{project['id']}/services/new"
    typed = {"source_type": "git", "repository": "github.com/acme/shop", "name": "Витрина", "deploy": "true"}
    refused = await browser.post(path, data={**typed, "look_git": "failed"})
    assert refused.status_code == 422
    assert 'name="insist_git"' in refused.text
    assert 'name="look_git" value="failed"' in refused.text  # and so it stays
    made = await browser.post(path, data={**typed, "look_git": "failed", "insist_git": "true"})
    deployment = (await client.get(f"/api/v1{made.headers['location']}")).json()
    assert deployment["trigger"] == "page"
    service = (await client.get(f"/api/v1/services/{deployment['service_id']}")).json()
    assert (service["slug"], service["source"]["repository"]) == ("vitrina", "https://github.com/acme/shop")
    twin = await browser.post(path, data=typed)
    assert "with the slug vitrina" in twin.text
    only = await browser.post(path, data={**typed, "deploy": "", "slug": "second", "look_git": "failed"})
    assert only.headers["location"].startswith("/services/")


async def test_the_slug_of_a_name_is_suggested_while_it_is_typed(browser, viewer, project, service):
    for path, name in (
        ("/projects/new/slug", project["name"]),
        (f"/projects/{project['id']}/services/new/slug", "API server"),
    ):
        assert 'value="lavka"' in (await browser.get(path, params={"name": "Лавка"})).text
        assert "already, with the slug" in (await browser.get(path, params={"name": name})).text
        assert "Type a slug" in (await browser.get(path, params={"name": "商店"})).text
    assert (await viewer.get(f"/projects/{project['id']}/services/new/slug", params={"name": "x"})).status_code == 403


async def test_chosen_processes_become_services_of_their_own(client, browser, project):
    path = f"/projects/{project['id']}/services/new"
    typed = {"source_type": "git", "repository": "https://example.org/shop.git", "name": "Shop", "kind": "web"}
    processes = {
        "process-queue": "rq worker $QUEUE",
        "process-clock": "python clock.py",
        "process-a b": "x",
        "process-none": "",
    }
    assert (await browser.post(path, data={**typed, **processes})).status_code == 303
    services = (await client.get(f"/api/v1/projects/{project['id']}/services")).json()["items"]
    made = {each["name"]: (each["kind"], each["command"], each["source"]["type"]) for each in services}
    assert made["queue"] == ("worker", ["/bin/sh", "-c", "rq worker $QUEUE"], "git")
    assert made["clock"] == ("worker", ["python", "clock.py"], "git")
    assert set(made) == {"Shop", "queue", "clock"}


async def test_a_refused_variable_saves_nothing_and_keeps_what_may_be_shown(app, browser, service):
    path = f"/services/{service['id']}/variables"
    answer = await browser.post(path, data={"key": "1X", "value": "the-secret", "is_secret": "true"})
    assert answer.status_code == 422
    assert 'value="1X"' in answer.text
    assert "the-secret" not in answer.text
    assert 'value="true" checked' in answer.text  # else the next try would store it in the clear
    assert await events_of(app, "VariablesChanged") == []
    assert (await browser.post(path, data={"key": "X", "value": "1"})).status_code == 303
    assert len(await events_of(app, "VariablesChanged")) == 1


async def test_a_volume_that_is_refused_by_the_action_says_so_in_the_form(browser, service):
    path = f"/services/{service['id']}/volumes"
    assert (await browser.post(path, data={"name": "data", "path": "/data"})).status_code == 303
    answer = await browser.post(path, data={"name": "other", "path": "/data"})
    assert answer.status_code == 422
    assert 'value="other"' in answer.text
    assert "/data" in answer.text


async def test_a_first_volume_tells_what_it_does_to_deployments(client, browser, service):
    path = f"/services/{service['id']}/volumes"
    told = "From then on a deployment stops the old release first; Settings → Strategy changes that."
    assert told in (await browser.get(path)).text
    first = await browser.post(path, data={"name": "data", "path": "/data"})
    second = await browser.post(path, data={"name": "more", "path": "/more"})
    said = [unquote(unquote(answer.headers["set-cookie"])) for answer in (first, second)]
    assert ["From then on" in each for each in said] == [True, False]
    shown = (await browser.get(path)).text
    assert "A deployment stops the old release first; Settings → Strategy changes that." in shown
    await client.patch(f"/api/v1/services/{service['id']}", json={"strategy": "rolling"})
    assert "stops the old release first" not in (await browser.get(path)).text


async def test_settings_that_are_wrong_are_told_at_their_field(client, browser, service):
    path = f"/services/{service['id']}/settings"
    values = {"name": "Shop", "kind": "web", "version": str(service["version"]), "health_type": "auto"}
    answer = await browser.post(path, data={**values, "memory_mb": "1", "ports": "http:8080"})
    assert answer.status_code == 422
    assert 'id="memory_mb-error"' in answer.text
    answer = await browser.post(path, data={**values, "cpus": "0", "stop_grace": "601"})
    assert ("must be at least 0.01<" in answer.text, "must be at most 600<" in answer.text) == (True, True)
    assert ">Strategy</label>" in answer.text
    answer = await browser.post(path, data={**values, "ports": "eighty"})
    assert (answer.status_code, "is not a port" in answer.text) == (422, True)
    answer = await browser.post(path, data={**values, "command": "'unclosed"})
    assert answer.status_code == 422
    assert (await client.get(f"/api/v1/services/{service['id']}")).json()["version"] == service["version"]
    assert (await browser.post(path, data={**values, "ports": "http:8081"})).status_code == 303
    stale = await browser.post(path, data={**values, "ports": "http:8082"})
    assert (stale.status_code, "changed meanwhile" in stale.text) == (422, True)


async def test_every_field_of_the_settings_that_is_wrong_is_marked_and_nothing_is_saved(client, browser, service):
    path = f"/services/{service['id']}/settings"
    wrong = {
        "name": "", "replicas": "many", "ports": "eighty", "command": "'open", "memory_mb": "1", "arguments": "A=1\nB",
        "health_type": "command", "health_command": "", "health_interval": "0", "health_status": "200, 1000",
        "dockerfile": "../x", "repository": "ftp://x/y",
    }  # fmt: skip
    answer = await browser.post(path, data={**wrong, "version": str(service["version"])})
    assert answer.status_code == 422
    fields = [field for field in wrong if field not in {"name", "health_type"}]  # an empty name keeps the stored one
    assert [field for field in fields if f'id="{field}-error"' not in answer.text] == []
    assert 'value="eighty"' in answer.text
    assert "line 2 is not KEY=value" in answer.text
    assert (await client.get(f"/api/v1/services/{service['id']}")).json() == service


async def test_all_that_orca_yaml_says_of_build_and_health_is_set_on_the_page_and_shown_again(client, browser, service):
    path = f"/services/{service['id']}/settings"
    typed = {
        "name": "API Server", "kind": "web", "ports": "http:8080", "version": str(service["version"]), "target": "run",
        "arguments": "A=1\nB=x=y", "options": "version=3.12", "health_type": "http", "health_path": "/up",
        "health_method": "HEAD", "health_port": "9000", "health_status": "200, 204", "health_interval": "2",
        "health_timeout": "3", "health_start_period": "90", "health_settle": "4", "health_host": "app.example.org",
    }  # fmt: skip
    answer = await browser.post(path, data=typed)
    assert answer.status_code == 303, answer.text
    assert "Saved" in answer.headers["set-cookie"]
    stored = (await client.get(f"/api/v1/services/{service['id']}")).json()
    assert stored["build"] == {
        "builder": "auto", "dockerfile": "Dockerfile", "target": "run", "arguments": {"A": "1", "B": "x=y"},
        "options": {"version": "3.12"},
    }  # fmt: skip
    assert stored["health"] == {
        "type": "http", "path": "/up", "method": "HEAD", "port": 9000, "command": [], "status": [200, 204],
        "interval": 2.0, "timeout": 3.0, "start_period": 90.0, "settle": 4.0, "host": "app.example.org",
    }  # fmt: skip
    again = forms_of(await browser.get(path))
    answer = await browser.post(path, data={**again, "health_command": ""})
    assert answer.status_code == 303, answer.text
    assert (await client.get(f"/api/v1/services/{service['id']}")).json() == stored


def forms_of(answer: httpx.Response) -> dict[str, str]:
    """What a browser would send of the settings form as it was drawn."""
    form = answer.text[answer.text.index('action="/services/') :]
    form = form[form.index("data-choices") : form.index(">Save settings<")]
    values = dict(re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', form))
    values |= dict(re.findall(r'<textarea[^>]* name="(\w+)"[^>]*>\n([^<]*)</textarea>', form))
    for name, options in re.findall(r'<select[^>]* name="(\w+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        values[name] = (re.findall(r'value="([^"]*)" selected', options) or [""])[0]
    return {name: html.unescape(value) for name, value in values.items() if name != "csrf_token"}


# ── variables ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["project", "service"])
async def place(request: pytest.FixtureRequest, project: dict, service: dict) -> str:
    """The address of an owner of variables."""
    return f"/{request.param}s/{(project if request.param == 'project' else service)['id']}"


async def test_a_pasted_file_is_set_whole_or_not_at_all(app, client, browser, place):
    path = f"{place}/variables"
    text = "# a comment\nA=1\nnonsense\nB='open\n1C=2\n"
    answer = await browser.post(f"{path}/import", data={"text": text})
    assert answer.status_code == 422
    told = html.unescape(answer.text)
    problems = ("KEY=value is expected", "the closing ' is missing", "a name cannot begin with a digit")
    for line in (f"Line {number}: {problem}" for number, problem in enumerate(problems, 3)):
        assert line in told
    assert "# a comment\nA=1" in told  # to be corrected, not typed again
    assert await events_of(app, "VariablesChanged") == []
    assert (await browser.post(f"{path}/import", data={"text": "\n# nothing\n"})).status_code == 422
    text = 'A=1\nexport B="two words"\nA=3\n'
    assert (await browser.post(f"{path}/import", data={"text": text})).status_code == 303
    stored = {each["key"]: each["value"] for each in (await client.get(f"/api/v1{path}")).json()}
    assert stored == {"A": "3", "B": "two words"}


async def test_a_pasted_secret_is_stored_as_one_and_never_drawn(client, browser, place):
    path = f"{place}/variables"
    form = {"text": "KEY=the-secret\nnonsense", "import_is_secret": "true"}
    answer = await browser.post(f"{path}/import", data=form)
    assert (answer.status_code, "the-secret" in answer.text) == (422, False)
    assert (await browser.post(f"{path}/import", data={**form, "text": "KEY=the-secret"})).status_code == 303
    assert "the-secret" not in (await browser.get(path)).text
    assert (await browser.post(f"{path}/import", data={"text": "KEY=another\nOPEN=1"})).status_code == 303
    stored = (await client.get(f"/api/v1{path}")).json()
    told = [(each["key"], each["is_secret"], each["value"]) for each in stored]
    assert told == [("KEY", True, None), ("OPEN", False, "1")]  # a secret stays one
    assert (await client.post(f"/api/v1{path}/KEY/reveal")).json()["value"] == "another"


async def test_a_variable_is_edited_and_an_empty_secret_keeps_its_value(client, browser, place):
    path = f"{place}/variables"
    await browser.post(path, data={"key": "PLAIN", "value": "old"})
    await browser.post(path, data={"key": "TOKEN", "value": "the-secret", "is_secret": "true"})
    assert 'value="PLAIN" required' in (await browser.get(f"{path}?edit=PLAIN")).text
    page = (await browser.get(f"{path}?edit=TOKEN")).text
    assert "keep the value that is stored" in page
    assert "the-secret" not in page
    kept = {"key": "TOKEN", "value": "", "editing": "secret", "is_secret": "true", "is_build_time": "true"}
    assert (await browser.post(path, data=kept)).status_code == 303
    revealed = await client.post(f"/api/v1{path}/TOKEN/reveal")
    assert revealed.json()["value"] == "the-secret"
    bare = await browser.post(path, data={**kept, "is_secret": "false"})
    assert (bare.status_code, 'id="value-error"' in bare.text) == (422, True)
    assert (await browser.get(f"{path}?edit=NONE")).status_code == 404
    assert (await browser.post(f"{path}/PLAIN/delete")).status_code == 303
    assert [each["key"] for each in (await client.get(f"/api/v1{path}")).json()] == ["TOKEN"]


async def test_a_service_shows_what_its_project_shares_and_what_it_has_instead(browser, project, service):
    await browser.post(f"/projects/{project['id']}/variables", data={"key": "SHARED", "value": "from-project"})
    path = f"/services/{service['id']}/variables"
    assert "from-project" in (await browser.get(path)).text
    await browser.post(path, data={"key": "SHARED", "value": "own"})
    assert "from-project" not in (await browser.get(path)).text


async def test_a_variable_of_the_project_is_overridden_from_its_row(browser, project, service):
    await browser.post(f"/projects/{project['id']}/variables", data={"key": "SHARED", "value": "from-project"})
    path = f"/services/{service['id']}/variables"
    form = (await browser.get(f"{path}?override=SHARED")).text
    assert re.search(r'name="key"[^>]* value="SHARED"', form)
    await browser.post(path, data={"key": "SHARED", "value": "own"})
    assert "overrides" in (await browser.get(path)).text
    assert (await browser.get(f"{path}?override=NONE")).status_code == 404


async def test_all_variables_are_edited_as_one_text_and_compared_before(app, client, browser, place):
    path = f"{place}/variables"
    given = [
        {"key": "A", "value": "1"},
        {"key": "GONE", "value": "2"},
        {"key": "S", "value": "sealed", "is_secret": True},
    ]
    await client.patch(f"/api/v1{path}", json={"variables": given})
    page = (await browser.get(f"{path}?raw=true")).text
    assert "A=1\nGONE=2\n# S is a secret and stays" in page
    form = {"text": "A=3\nAPI_TOKEN=the-secret\nS=replaced\n", "looks": "true"}
    form["revision"] = re.findall(r'name="revision" value="(\w+)">\n', page[page.index("/variables/raw") :])[0]
    told = " ".join(re.sub("<[^>]+>|\u2013", " ", (await browser.post(f"{path}/raw/compare", data=form)).text).split())
    assert "A 1 3 API_TOKEN •••••••• GONE 2 S •••••••• ••••••••" in told
    wrong = await browser.post(f"{path}/raw", data={**form, "text": form["text"] + "nonsense"})
    assert (wrong.status_code, "the-secret" in wrong.text, "GONE=2" in wrong.text) == (422, False, True)
    stale = await browser.post(f"{path}/raw", data={**form, "revision": "stale"})
    assert (stale.status_code, "changed meanwhile" in stale.text) == (422, True)
    assert len(await events_of(app, "VariablesChanged")) == 1
    assert (await browser.post(f"{path}/raw", data=form)).status_code == 303
    stored = {each["key"]: (each["value"], each["is_secret"]) for each in (await client.get(f"/api/v1{path}")).json()}
    assert stored == {"A": ("3", False), "API_TOKEN": (None, True), "S": (None, True)}
    assert (await client.post(f"/api/v1{path}/S/reveal")).json()["value"] == "replaced"


async def test_what_looks_like_a_secret_is_one_where_that_is_asked_for(client, browser, place):
    path = f"{place}/variables"
    text = "API_KEY=a\nSITE_KEY=b\nPAYMENTS=sk_live_1\nLEVEL=info"
    await browser.post(f"{path}/import", data={"text": text, "import_looks": "true"})
    stored = (await client.get(f"/api/v1{path}")).json()
    assert [each["key"] for each in stored if each["is_secret"]] == ["API_KEY", "PAYMENTS"]


async def test_a_secret_is_revealed_in_its_row(browser, place):
    path = f"{place}/variables"
    await browser.post(path, data={"key": "TOKEN", "value": "the-secret", "is_secret": "true"})
    shown = (await browser.post(f"{path}/TOKEN/reveal")).text
    row = re.search(r"<tr>(?:(?!</tr>).)*the-secret.*?</tr>", shown, re.DOTALL)
    assert row is not None
    assert ">TOKEN<" in row[0]


# ── the head of a service ────────────────────────────────────────────────────────────────────────────────────────


async def test_every_tab_offers_the_same_actions_and_a_folder_its_command(client, browser, project, service):
    made = {"name": "site", "type": "static", "build_source": {"type": "directory"}}
    folder = (await client.post(f"/api/v1/projects/{project['id']}/services", json=made)).json()
    for tab in ("", "/deployments", "/output", "/variables", "/domains", "/volumes", "/settings"):
        page = (await browser.get(f"/services/{service['id']}{tab}")).text
        assert f'action="/services/{service["id"]}/deploy"' in page, tab
        page = (await browser.get(f"/services/{folder['id']}{tab}")).text
        assert f'action="/services/{folder["id"]}/deploy"' not in page, tab  # nothing was sent yet
        assert "orc deploy --project my-app --service site" in page, tab


# ── looking at a source ──────────────────────────────────────────────────────────────────────────────────────────


async def test_the_fragment_shows_what_was_found_and_suggests_the_fields(browser, project, make_repository, server):
    make_repository("shop.git").commit(FASTAPI, "<script>alert(1)</script>")
    path = f"/projects/{project['id']}/services/new/look"
    answer = await browser.post(path, data={"repository": server.url("/shop.git")})
    assert answer.status_code == 200
    assert "<html" not in answer.text
    assert 'data-suggest="name" value="shop"' in answer.text
    assert 'data-suggest="port" value="8000"' in answer.text
    assert '<option value="main"></option>' in answer.text
    assert "FROM python" in answer.text
    assert "<script>" not in answer.text


async def test_a_look_at_nothing_or_at_nonsense_says_what_to_type(app, browser, project):
    path = f"/projects/{project['id']}/services/new/look"
    for typed, told in (
        ({}, "First type the repository"),
        ({"source_type": "image"}, "First type the image"),
        ({"repository": "-oProxyCommand=id"}, "is not the address of a Git repository"),
    ):
        answer = await browser.post(path, data=typed)
        assert (answer.status_code, told in answer.text) == (422, True), answer.text
    assert await events_of(app, "SourceInspected") == []


async def test_a_host_is_trusted_by_its_fingerprint_and_only_then(
    app, client, browser, project, make_repository, ssh_server
):
    make_repository("app.git").commit(FASTAPI)
    made = (await client.post("/api/v1/git-credentials", json=key_for(ssh_server))).json()
    form = {"repository": ssh_server.url("app.git"), "git_credential_id": made["id"]}
    path = f"/projects/{project['id']}/services/new"
    shown = (await browser.post(f"{path}/look", data=form)).text
    assert ssh_server.fingerprint in html.unescape(shown)
    assert "Trust this host" in shown
    for wrong in ("", "no host key", "* ssh-ed25519 short"):
        assert (await browser.post(f"{path}/trust", data={**form, "host_keys": wrong})).status_code == 422
    answer = await browser.post(f"{path}/trust", data={**form, "host_keys": ssh_server.known_hosts})
    assert (answer.status_code, answer.headers["hx-trigger"]) == (204, "look-again")
    kept = (await client.get(f"/api/v1/git-credentials/{made['id']}")).json()["known_hosts"]
    assert kept == ssh_server.known_hosts
    assert len(await events_of(app, "GitCredentialUpdated")) == 1
    again = (await browser.post(f"{path}/look", data=form)).text
    assert "does not accept the deploy key" in again  # the key itself is not registered there


async def test_a_foreign_credential_is_not_touched(browser, stranger, project, ssh_server):
    made = (await stranger.post("/api/v1/git-credentials", json=key_for(ssh_server))).json()
    form = {"git_credential_id": made["id"], "host_keys": ssh_server.known_hosts}
    answer = await browser.post(f"/projects/{project['id']}/services/new/trust", data=form)
    assert "there is no Git credential with this id" in answer.text
    assert (await stranger.get(f"/api/v1/git-credentials/{made['id']}")).json()["known_hosts"] == ""


async def test_a_credential_stays_with_its_host_on_every_page(
    client, browser, project, server, elsewhere, make_repository
):
    make_repository("private/app.git").commit(FASTAPI)
    fields = {"name": "hub", "kind": "token", "host": server.host, "token": TOKEN}
    made = (await client.post("/api/v1/git-credentials", json=fields)).json()
    path = f"/projects/{project['id']}/services/new"
    label = f'value="{made["id"]}">hub · {server.host}</option>'
    assert label in html.unescape((await browser.get(path)).text)
    right = {"name": "Shop", "repository": server.url("/private/app.git"), "git_credential_id": made["id"]}
    wrong = {**right, "repository": elsewhere.url("/private/app.git")}
    told = f"is for {server.host}, not for {elsewhere.host}."
    for place in (path, f"{path}/look"):
        answer = await browser.post(place, data=wrong)
        assert (answer.status_code, told in answer.text) == (422, True), answer.text
        assert f"Choose a credential for {elsewhere.host}" in answer.text
    command = f"orc credentials add-token shop --host {elsewhere.host}"
    assert command in answer.text
    url = (await browser.post(path, data=right)).headers["location"]
    service = f"/api/v1{url}"
    before = (await client.get(service)).json()
    page = (await browser.get(f"{url}/settings")).text
    assert f'value="{made["id"]}" selected' in page
    answer = await browser.post(f"{url}/settings", data={**wrong, "version": str(before["version"])})
    assert (answer.status_code, told in answer.text) == (422, True)
    assert (await client.get(service)).json() == before
    assert elsewhere.requests == []
    public = {**wrong, "git_credential_id": "", "version": str(before["version"])}
    assert (await browser.post(f"{url}/settings", data=public)).status_code == 303
    after = (await client.get(service)).json()["source"]
    assert (after["repository"], after["credential_id"]) == (wrong["repository"], None)


async def test_a_look_at_a_private_repository_names_its_host_in_the_command(
    browser, project, server, ssh_server, make_repository
):
    make_repository("private/app.git").commit(FASTAPI)
    path = f"/projects/{project['id']}/services/new/look"
    answer = await browser.post(path, data={"repository": server.url("/private/app.git")})
    assert f"orc credentials add-token shop --host {server.host}" in answer.text
    answer = await browser.post(path, data={"repository": ssh_server.url("app.git")})
    assert f"orc credentials add-key shop --host {ssh_server.host}" in answer.text
