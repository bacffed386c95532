"""What Git hosts really send, through the doors: forms, copies, redeliveries, other repositories, pushes of 25 MB."""

import asyncio
import json
import time

import pytest
from tests.features.services.events import events_of
from tests.features.triggers.hosts import NEW, OLD, as_form, deliver, push_body
from tests.features.triggers.test_hook_doors import make_hook, pushes_of, send

HERE = "https://github.com/user/repo"
OTHER = "b" * 40


async def decided(http, hook, sent):
    answer = await send(http, hook, sent)
    return answer.status_code, answer.json().get("decision", "")


@pytest.mark.parametrize("provider", ["gitea", "gogs"])
async def test_a_form_of_gitea_and_gogs_is_taken_and_its_json_is_the_same_delivery(
    client, anonymous, service, provider
):
    hook = await make_hook(client, service, provider)
    sent = deliver(provider, hook["secret"], push_body(provider))
    assert (await send(anonymous, hook, as_form(sent))).status_code == 202
    copied = deliver(provider, hook["secret"], push_body(provider), delivery="d-2")
    assert (await send(anonymous, hook, copied)).json()["accepted"] is False


async def test_a_copy_of_a_signed_body_under_another_id_deploys_nothing(app, client, anonymous, service):
    for provider in ("github", "gitea", "gogs", "generic", "bitbucket"):
        hook = await make_hook(client, service, provider)
        first = deliver(provider, hook["secret"], push_body(provider), delivery="d-1")
        second = deliver(provider, hook["secret"], push_body(provider, commit=OTHER), delivery="d-2")
        copy = deliver(provider, hook["secret"], push_body(provider), delivery="d-3")
        without = deliver(provider, hook["secret"], push_body(provider))
        for name in [name for name, value in without.headers.items() if value == "d-1"]:
            del without.headers[name]
        answers = [(await send(anonymous, hook, sent)).status_code for sent in (first, second, copy, without)]
        assert answers == [202, 202, 200, 200], provider
    assert len(await events_of(app, "PushAccepted")) == 10


async def test_bitbucket_may_set_a_branch_back_and_forth(client, anonymous, service):
    hook = await make_hook(client, service, "bitbucket")

    async def push(name, before, after):
        body = push_body("bitbucket", commit=after)
        body["push"]["changes"][0]["old"]["target"]["hash"] = before
        return (await send(anonymous, hook, deliver("bitbucket", hook["secret"], body, delivery=name))).status_code

    assert [await push("a", OLD, NEW), await push("b", NEW, OTHER), await push("c", OTHER, NEW)] == [202, 202, 202]
    assert [await push("d", NEW, OTHER), await push("e", OLD, NEW)] == [202, 200]


async def test_redelivery_helps_after_a_repair_and_only_once(app, client, anonymous, service):
    hook = await make_hook(client, service, branch="production")
    path = f"/api/v1/services/{service['id']}/hooks/{hook['id']}"
    sent = deliver("github", hook["secret"], push_body("github"))
    assert await decided(anonymous, hook, sent) == (200, "branch main is not production")
    changed = await client.patch(path, json={"branch": "main"})
    assert (changed.status_code, changed.json()["branch"], changed.json()["url"]) == (200, "main", hook["url"])
    answers = await asyncio.gather(*(send(anonymous, hook, sent) for _ in range(3)))
    assert sorted(each.status_code for each in answers) == [200, 200, 202]
    assert len(await events_of(app, "PushAccepted")) == 1
    [only] = await pushes_of(app)
    assert only.is_accepted
    old = deliver("github", hook["secret"], push_body("github", branch="next", commit=OTHER), delivery="old")
    assert (await send(anonymous, hook, old)).status_code == 200
    await client.patch(path, json={"branch": "**"})
    new = deliver("github", hook["secret"], push_body("github", branch="next"), delivery="new")
    assert (await send(anonymous, hook, new)).status_code == 202
    assert (await send(anonymous, hook, old)).status_code == 200  # it would undo the newer one


async def test_a_hook_is_shown_changed_and_listed_with_its_last_delivery(app, client, anonymous, service, viewer):
    hook = await make_hook(client, service)
    path = f"/api/v1/services/{service['id']}/hooks/{hook['id']}"
    shown = (await viewer.get(path)).json()
    assert (shown["last_push"], "secret" in shown, shown["url"]) == (None, False, hook["url"])
    await send(anonymous, hook, deliver("github", hook["secret"], push_body("github", branch="dev")))
    [listed] = (await client.get(f"/api/v1/services/{service['id']}/hooks")).json()["items"]
    assert listed["last_push"]["decision"] == "branch dev is not main"
    everything = {"provider": "gitea", "branch": "release/*", "watch_paths": ["web/**"], "any_repository": True}
    assert everything.items() <= (await client.patch(path, json=everything)).json().items()
    assert (await client.patch(path, json={})).json()["branch"] == "release/*"
    for wrong in ({"branch": None}, {"branch": ""}, {"secret": "x"}, {"provider": "svn"}, {"watch_paths": ["a"] * 51}):
        assert (await client.patch(path, json=wrong)).status_code == 422, wrong
    assert (await viewer.patch(path, json={"branch": "x"})).status_code == 403
    assert [each.payload["fields"] for each in await events_of(app, "HookUpdated")] == [sorted(everything)]
    sent = deliver("gitea", hook["secret"], push_body("gitea", branch="release/1", files=["web/a"]), delivery="r")
    assert (await send(anonymous, hook, sent)).status_code == 202


async def test_a_push_is_replayed_by_what_is_wanted_now(app, client, anonymous, service, viewer):
    hook = await make_hook(client, service, watch_paths=["api/**"])
    path = f"/api/v1/services/{service['id']}/hooks/{hook['id']}"
    assert (await client.post(f"{path}/replay", json={})).status_code == 409
    sent = deliver("github", hook["secret"], push_body("github", files=["web/a"]))
    assert await decided(anonymous, hook, sent) == (200, "no changed file is watched")
    again = await client.post(f"{path}/replay", json={})
    assert (again.status_code, again.json()["decision"]) == (200, "no changed file is watched")
    await client.patch(path, json={"watch_paths": ["web/**"]})
    first = (await pushes_of(app))[0]
    for body in ({}, {"push_id": first.id}):  # a person may deploy the same one again
        replayed = await client.post(f"{path}/replay", json=body)
        assert (replayed.status_code, replayed.json()["accepted"]) == (202, True)
    accepted = await events_of(app, "PushAccepted")
    assert [(each.payload["commit"], each.via) for each in accepted] == [(NEW, "token")] * 2
    assert len(await events_of(app, "PushReplayed")) == 3
    assert (await client.post(f"{path}/replay", json={"push_id": hook["id"]})).status_code == 404
    assert (await viewer.post(f"{path}/replay", json={})).status_code == 403


REPOSITORIES = {
    "https": ({"clone_url": "https://GitHub.com/User/Repo.git"}, True),
    "ssh": ({"ssh_url": "git@github.com:user/repo.git"}, True),
    "ssh on 443": ({"ssh_url": "ssh://git@ssh.github.com:443/user/repo.git"}, True),
    "renamed, one name left": ({"html_url": "https://github.com/new/name", "clone_url": f"{HERE}/"}, True),
    "unknown": ({"full_name": "user/other"}, True),
    "of an inner network": ({"clone_url": "http://localhost:3000/user/repo.git"}, True),
    "another": ({"clone_url": "https://github.com/user/other.git", "ssh_url": "git@github.com:user/other.git"}, False),
    "another host": ({"clone_url": "https://gitlab.com/user/repo.git"}, False),
    "a longer name": ({"clone_url": "https://github.com/user/repo-2"}, False),
}


async def test_pushes_to_another_repository_are_left_alone(client, anonymous, service):
    hook = await make_hook(client, service)
    for number, (name, (repository, is_ours)) in enumerate(REPOSITORIES.items()):
        body = {**push_body("github", commit=f"{number:040x}".replace("0", "a")), "repository": repository}
        status, decision = await decided(
            anonymous, hook, deliver("github", hook["secret"], body, delivery=name.replace(" ", "-"))
        )
        assert (status, "another repository" in decision) == (202 if is_ours else 200, not is_ours), (name, decision)
    last = deliver("github", hook["secret"], body, delivery="a-longer-name")
    await client.patch(f"/api/v1/services/{service['id']}/hooks/{hook['id']}", json={"any_repository": True})
    assert (await send(anonymous, hook, last)).status_code == 202


async def test_a_push_of_25_megabytes_is_taken_and_others_are_answered_meanwhile(client, anonymous, service):
    hook = await make_hook(client, service, watch_paths=["apps/**"])
    files = [f"src/{number:06}/{'x' * 180}" for number in range(60_000)]
    body = json.dumps(push_body("github", files=files)).encode()
    body += b" " * ((25 << 20) - len(body))
    sending = asyncio.create_task(send(anonymous, hook, deliver("github", hook["secret"], body)))
    slowest = 0.0
    while not sending.done():
        begun = time.perf_counter()
        assert (await client.get("/api/health")).status_code == 200
        slowest = max(slowest, time.perf_counter() - begun)
        await asyncio.sleep(0.02)
    assert (await sending).status_code == 202  # so many files that they are not looked at one by one
    assert slowest < 5
    over = await send(anonymous, hook, deliver("github", hook["secret"], body + b" "))
    assert (over.status_code, over.json()["code"], over.headers["content-type"]) == (
        413,
        "too-much",
        "application/problem+json",
    )
    path = f"/api/v1/services/{service['id']}/hooks/{hook['id']}/pushes"
    assert (await client.get(path)).json()["items"][0]["decision"] == "a push may have 25 MiB at most"


async def test_what_nothing_could_prove_is_not_read(client, anonymous, service):
    hook = await make_hook(client, service)

    async def endless():
        yield b"x" * 1024
        await asyncio.sleep(600)

    async with asyncio.timeout(30):
        answer = await anonymous.post(
            f"/api/v1/hooks/{hook['id']}", content=endless(), headers={"Content-Type": "application/json"}
        )
    assert answer.status_code == 401


async def test_gerrit_sends_the_secret_in_its_address(client, anonymous, service):
    hook = await make_hook(client, service, "gerrit")
    sent = deliver("gerrit", hook["secret"], push_body("gerrit"))
    del sent.headers["Authorization"]
    path = f"/api/v1/hooks/{hook['id']}"
    for token, status in (("wrong", 401), ("", 401), (hook["secret"], 202), (hook["secret"], 200)):
        answer = await anonymous.post(path, params={"token": token}, content=sent.body, headers=sent.headers)
        assert answer.status_code == status
    merged = {"type": "change-merged", "newRev": NEW, "change": {"branch": "main", "project": "repo"}}
    twice = deliver("gerrit", hook["secret"], merged)
    assert (await send(anonymous, hook, twice)).json()["accepted"] is False  # the same as ref-updated


async def test_a_test_delivery_that_arrives_nowhere_says_why(app, client, service):
    hook = await make_hook(client, service)
    found = (await client.post(f"/api/v1/services/{service['id']}/hooks/{hook['id']}/test")).json()
    assert (found["arrived"], found["status"]) == (False, None)
    assert "was not reached" in found["detail"]
    assert len(await events_of(app, "HookTested")) == 1
