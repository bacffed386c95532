"""The page of push hooks through its doors: a secret that is shown once, and what arrived with its reason."""

import html
import re

import pytest
from tests.attacks.people import add_person, browser_of, local_client
from tests.conftest import claim, make_settings, running_app
from tests.features.dashboard.test_query_counts import MOST, statements_of
from tests.features.services.events import events_of
from tests.features.triggers.hosts import PROVIDERS, deliver, push_body

from orca.features.triggers.rules import warn_of_reach

pytestmark = pytest.mark.slow

SECRET = re.compile(r'id="secret-once" readonly value="([^"]+)"')


async def send(http, hook_id, sent):
    return await http.post(f"/api/v1/hooks/{hook_id}", content=sent.body, headers=sent.headers)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_hook_is_made_its_secret_shown_once_and_works(app, client, browser, anonymous, service, provider):
    path = f"/services/{service['id']}/hooks"
    assert "No push hooks yet" in (await browser.get(path)).text
    typed = {"provider": provider, "branch": "main", "watch_paths": "src/**\n\n!**/*.md\n"}
    made = await browser.post(path, data=typed)
    assert (made.status_code, made.headers["cache-control"]) == (200, "no-store")
    secret = html.unescape(SECRET.findall(made.text)[0])
    [hook] = (await client.get(f"/api/v1{path}")).json()["items"]
    assert hook["watch_paths"] == ["src/**", "!**/*.md"]
    assert f"/api/v1/hooks/{hook['id']}" in made.text
    assert secret not in str(made.request.url)
    assert (await send(anonymous, hook["id"], deliver(provider, secret, push_body(provider)))).status_code == 202
    shown = (await browser.get(path)).text
    assert "Accepted" in shown
    assert secret not in html.unescape(shown)
    assert secret not in str([each.payload for each in await events_of(app, "HookCreated", "PushAccepted")])


async def test_refused_and_ignored_pushes_are_listed_with_their_reason(browser, client, anonymous, service):
    path = f"/services/{service['id']}/hooks"
    made = (await client.post(f"/api/v1{path}", json={"provider": "generic", "branch": "main"})).json()
    await send(anonymous, made["id"], deliver("github", made["secret"], push_body("github")))
    for number in range(2):
        wrong = deliver("generic", "canary", push_body("generic"), delivery=str(number))
        assert (await send(anonymous, made["id"], wrong)).status_code == 401
    await send(anonymous, made["id"], deliver("generic", made["secret"], push_body("generic", branch="dev")))
    shown = html.unescape((await browser.get(path)).text)
    assert "It has no X-Orca-Signature-256 header, by which a generic hook signs; it has X-Hub-Signature-256" in shown
    assert "Its X-Orca-Signature-256 header does not fit the hook's secret" in shown
    assert "2 times" in shown
    assert "Branch dev is not main" in shown
    assert shown.count("Refused") == 2
    assert "canary" not in shown
    assert made["secret"] not in shown


async def test_a_new_secret_and_the_end_of_a_hook(browser, client, anonymous, service):
    path = f"/services/{service['id']}/hooks"
    made = (await client.post(f"/api/v1{path}", json={"provider": "github", "branch": "main"})).json()
    rotated = await browser.post(f"{path}/{made['id']}/rotate")
    secret = SECRET.findall(rotated.text)[0]
    assert rotated.headers["cache-control"] == "no-store"
    assert secret != made["secret"]
    payload = push_body("github")
    assert (await send(anonymous, made["id"], deliver("github", made["secret"], payload))).status_code == 401
    assert (await send(anonymous, made["id"], deliver("github", secret, payload))).status_code == 202
    assert (await browser.post(f"{path}/{made['id']}/delete")).status_code == 303
    assert (await client.get(f"/api/v1{path}")).json()["items"] == []


async def test_bad_hooks_are_told_at_their_field(app, browser, service):
    path = f"/services/{service['id']}/hooks"
    for typed, field in (
        ({"provider": "github", "branch": ""}, "branch"),
        ({"provider": "svn", "branch": "main"}, "provider"),
        ({"provider": "github", "branch": "main", "watch_paths": "\n".join("a" * 51)}, "watch_paths"),
        ({"provider": "github", "branch": "main", "watch_paths": "x" * 300}, "watch_paths"),
    ):
        answer = await browser.post(path, data=typed)
        assert (answer.status_code, f'id="{field}-error"' in answer.text) == (422, True), typed
        assert "secret-once" not in answer.text
    assert await events_of(app, "HookCreated") == []


async def test_a_viewer_looks_and_a_service_without_a_repository_has_no_form(app, browser, client, project, service):
    path = f"/services/{service['id']}/hooks"
    await client.post(f"/api/v1{path}", json={"provider": "github", "branch": "main"})
    async with browser_of(app, (await add_person(app, "viewer")).email) as viewer:
        shown = (await viewer.get(path)).text
        assert "How to set up" in shown
        assert f'action="{path}' not in shown
        assert (await viewer.post(path, data={"provider": "github", "branch": "main"})).status_code == 403
    image = {"name": "Image", "source": {"type": "image", "image": "nginx"}}
    other = (await client.post(f"/api/v1/projects/{project['id']}/services", json=image)).json()
    shown = (await browser.get(f"/services/{other['id']}/hooks")).text
    assert "does not come from a Git repository" in shown
    assert f'action="/services/{other["id"]}/hooks"' not in shown


async def test_an_address_that_leads_nowhere_is_warned_of_on_the_page_and_in_the_api(browser, client, service):
    path = f"/services/{service['id']}/hooks"
    assert "Git hosts may not reach this panel" in (await browser.get(path)).text
    made = (await client.post(f"/api/v1{path}", json={"provider": "github", "branch": "main"})).json()
    assert made["warning"].startswith("localhost is the panel's own machine")
    assert "ORC_BASE_URL" in made["warning"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://localhost:8080", "the panel's own machine"), ("http://127.0.0.1:8080", "the panel's own machine"),
        ("http://[::1]:8080", "the panel's own machine"), ("https://panel.localhost", "the panel's own machine"),
        ("http://192.168.1.5:8080", "outside your network"), ("http://server:8080", "outside your network"),
        ("https://orca.lan", "outside your network"), ("http://[fd00::1]", "outside your network"),
        ("https://panel.example.org", ""), ("http://8.8.8.8:8080", ""), ("https://[2606:4700::1111]", ""),
    ],
)  # fmt: skip
def test_who_cannot_reach_an_address(url, words):
    warning = warn_of_reach(url)
    assert bool(warning) == bool(words)
    assert words in warning


async def test_a_public_address_is_not_warned_of(tmp_path):
    settings = make_settings(tmp_path / "public", base={"url": "https://panel.example.org"})
    async with running_app(settings) as app, local_client(app) as owner:
        await claim(app)
        project = (await owner.post("/api/v1/projects", json={"name": "Shop"})).json()
        fields = {"name": "web", "source": {"type": "git", "repository": "https://example.org/a"}}
        service = (await owner.post(f"/api/v1/projects/{project['id']}/services", json=fields)).json()
        path = f"/services/{service['id']}/hooks"
        made = (await owner.post(f"/api/v1{path}", json={"provider": "github", "branch": "main"})).json()
        assert (made["url"], made["warning"]) == (f"https://panel.example.org/api/v1/hooks/{made['id']}", "")
        shown = (await owner.get(path)).text
    assert made["url"] in shown
    assert "may not reach" not in shown


async def test_more_hooks_pushes_and_credentials_take_no_more_statements(app, client, browser, anonymous, service):
    path = f"/services/{service['id']}/hooks"

    async def statements(page: str) -> int:
        await browser.get(page)
        with statements_of(app.state.resources.db) as told:
            assert (await browser.get(page)).status_code == 200
        return len(told)

    async def add(number: int) -> None:
        made = (await client.post(f"/api/v1{path}", json={"provider": "github", "branch": "main"})).json()
        await send(anonymous, made["id"], deliver("github", made["secret"], push_body("github", branch="dev")))
        key = {"name": f"key {number}", "kind": "ssh", "host": "github.com"}
        assert (await client.post("/api/v1/git-credentials", json=key)).status_code == 201

    await add(0)
    few = [await statements(path), await statements("/credentials")]
    for number in range(1, 6):
        await add(number)
    assert [await statements(path), await statements("/credentials")] == few
    assert max(few) <= MOST


async def test_a_hook_is_changed_tested_and_replayed_on_its_page(app, browser, client, anonymous, service):
    path = f"/services/{service['id']}/hooks"
    made = (await client.post(f"/api/v1{path}", json={"provider": "github", "branch": "release"})).json()
    await send(anonymous, made["id"], deliver("github", made["secret"], push_body("github")))
    assert "branch main is not release" in (await browser.get(path)).text
    form = (await browser.get(f"{path}/{made['id']}")).text
    assert 'value="release"' in form
    wrong = await browser.post(f"{path}/{made['id']}", data={"provider": "github", "branch": ""})
    assert (wrong.status_code, 'id="branch-error"' in wrong.text) == (422, True)
    right = {"provider": "github", "branch": "main", "watch_paths": "src/**", "any_repository": "true"}
    assert (await browser.post(f"{path}/{made['id']}", data=right)).status_code == 303
    [hook] = (await client.get(f"/api/v1{path}")).json()["items"]
    assert (hook["branch"], hook["watch_paths"], hook["any_repository"]) == ("main", ["src/**"], True)
    assert "The test delivery did not arrive" in (await browser.post(f"{path}/{made['id']}/test")).text
    push_id = hook["last_push"]["id"]
    assert (await browser.post(f"{path}/{made['id']}/replay", data={"push_id": push_id})).status_code == 303
    assert len(await events_of(app, "PushAccepted")) == 1
