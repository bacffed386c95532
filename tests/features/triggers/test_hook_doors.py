"""Push hooks through their doors: created with a secret that is shown once, then called by any host on the network."""

import asyncio
import json
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from tests.attacks.people import add_person, add_token
from tests.conftest import client_of
from tests.features.services.events import events_of
from tests.features.triggers.hosts import NEW, PROVIDERS, deliver, push_body, sign_as_gitlab_19

from orca.features.access.models import Membership
from orca.features.secrets.models import Secret
from orca.features.triggers.actions.pushes import KEEP_REFUSALS, note_refusal
from orca.features.triggers.models import Push
from orca.kit.ids import new_id

OTHER = "b" * 40


async def make_hook(client, service, provider="github", **fields):
    body = {"provider": provider, "branch": "main", **fields}
    answer = await client.post(f"/api/v1/services/{service['id']}/hooks", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def send(http, hook, sent):
    return await http.post(f"/api/v1/hooks/{hook['id']}", content=sent.body, headers=sent.headers)


async def pushes_of(app):
    async with app.state.resources.db.read() as session:
        return list((await session.scalars(select(Push).order_by(Push.id))).all())


@pytest.fixture
def accepted_pushes(app):
    async def find():
        return await events_of(app, "PushAccepted")

    return find


async def test_a_push_of_each_host_is_stored_and_told_before_202(app, client, anonymous, service, accepted_pushes):
    for provider in PROVIDERS:
        hook = await make_hook(client, service, provider)
        answer = await send(anonymous, hook, deliver(provider, hook["secret"], push_body(provider)))
        assert answer.status_code == 202, (provider, answer.text)
        assert answer.json()["accepted"] is True
        push, event = (await pushes_of(app))[-1], (await accepted_pushes())[-1]
        assert (push.id, push.is_accepted, push.commit) == (answer.json()["push_id"], True, NEW)
        assert (event.object_type, event.object_id, event.via) == ("service", service["id"], "webhook")
        assert event.payload == {"commit": NEW, "branch": "main", "push_id": push.id}
        assert event.actor == f"hook {hook['id']}"


async def test_gitlabs_signature_works_too(client, anonymous, service):
    hook = await make_hook(client, service, "gitlab")
    sent = sign_as_gitlab_19(deliver("gitlab", hook["secret"], push_body("gitlab")), hook["secret"])
    assert (await send(anonymous, hook, sent)).status_code == 202


async def test_a_delivery_that_comes_again_does_nothing(app, client, anonymous, service, accepted_pushes):
    hook = await make_hook(client, service)
    sent = deliver("github", hook["secret"], push_body("github"))
    answers = await asyncio.gather(*(send(anonymous, hook, sent) for _ in range(5)))
    assert sorted(each.status_code for each in answers) == [200, 200, 200, 200, 202]
    again = await send(anonymous, hook, sent)
    assert (again.status_code, again.json()["accepted"]) == (200, False)
    assert len(await pushes_of(app)) == len(await accepted_pushes()) == 1
    other = await make_hook(client, service)
    assert (await send(anonymous, other, deliver("github", other["secret"], push_body("github")))).status_code == 202


async def test_a_branch_that_is_set_back_is_deployed_though_the_body_came_before(app, client, anonymous, service):
    """Without an id of the host's only the body tells deliveries apart: A, B, then A again is a push, not a repetition."""
    hook = await make_hook(client, service, "generic")

    async def push(commit, *, minutes_later=0):
        async with app.state.resources.db.write() as session:
            for each in (await session.scalars(select(Push))).all():
                each.received_at -= timedelta(minutes=minutes_later)
        sent = deliver("generic", hook["secret"], push_body("generic", commit=commit))
        del sent.headers["X-Orca-Delivery"]
        return (await send(anonymous, hook, sent)).status_code

    assert [await push(NEW), await push(NEW), await push(NEW, minutes_later=60)] == [202, 200, 200]
    assert [await push(OTHER), await push(OTHER, minutes_later=60)] == [202, 200]
    assert [await push(NEW), await push(NEW, minutes_later=60)] == [202, 200]
    assert [await push(OTHER), await push(NEW)] == [202, 202]
    assert await push(OTHER, minutes_later=4) == 200  # may be a slow line
    assert await push(OTHER, minutes_later=2) == 202
    assert [each.commit for each in await pushes_of(app)] == [NEW, OTHER, NEW, OTHER, NEW, OTHER]
    at_once = await asyncio.gather(*(push(NEW, minutes_later=n) for n in (60, 0, 0)))
    assert sorted(at_once) == [200, 200, 202]


async def test_a_wrong_signature_and_an_unknown_hook_answer_alike_and_deploy_nothing(app, client, anonymous, service):
    hook = await make_hook(client, service)
    right = deliver("github", hook["secret"], push_body("github"))
    wrong = deliver("github", "another secret", push_body("github"))
    unsigned = deliver("github", hook["secret"], push_body("github"))
    for header in ("X-Hub-Signature-256", "X-Hub-Signature"):
        del unsigned.headers[header]
    sha1 = deliver("github", hook["secret"], push_body("github"))
    del sha1.headers["X-Hub-Signature-256"]
    empty = deliver("github", "", push_body("github"))
    answers = [await send(anonymous, hook, sent) for sent in (wrong, unsigned, sha1, empty)]
    answers += [await send(anonymous, {"id": each}, right) for each in (new_id(), "x", "0" * 36)]
    doubled = [*right.headers.items(), ("X-Hub-Signature-256", right.headers["X-Hub-Signature-256"])]
    answers.append(await anonymous.post(f"/api/v1/hooks/{hook['id']}", content=right.body, headers=doubled))
    assert {each.status_code for each in answers} == {401}
    assert len({str(each.json() | {"request_id": ""}) for each in answers}) == 1
    assert [each.is_accepted for each in await pushes_of(app)] == [False] * 4
    assert await events_of(app, "PushAccepted") == []


async def test_refused_pushes_are_listed_with_their_reason_and_counted(app, client, anonymous, service):
    hook = await make_hook(client, service, "generic")
    path = f"/api/v1/services/{service['id']}/hooks/{hook['id']}/pushes"

    async def listed():
        items = (await client.get(path)).json()["items"]
        assert all(each["is_refused"] and not each["is_accepted"] for each in items)
        return [(each["decision"], each["times"]) for each in items]

    as_github = deliver("github", hook["secret"], push_body("github"))
    unsigned = deliver("generic", hook["secret"], push_body("generic"))
    unsigned.headers["X-Orca-Signature-256"] = unsigned.headers["X-Orca-Signature-256"].removeprefix("sha256=")
    wrong = deliver("generic", "canary-wrong", push_body("generic"))
    no_commit = deliver("generic", hook["secret"], {"branch": "main", "commit": "canary"})
    large = deliver("generic", hook["secret"], b"x" * ((25 << 20) + 1))
    for sent in (as_github, unsigned, wrong, no_commit, as_github, large):
        assert (await send(anonymous, hook, sent)).status_code in {401, 413, 422}
    github = "it has no X-Orca-Signature-256 header, by which a generic hook signs; it has X-Hub-Signature-256"
    assert await listed() == [
        ("a push may have 25 MiB at most", 1), (github, 2), ("the push names no whole commit id", 1),
        ("its X-Orca-Signature-256 header does not fit the hook's secret", 1),
        ("its X-Orca-Signature-256 header does not begin with sha256=", 1),
    ]  # fmt: skip
    kept = str([(each.payload, each.decision, each.delivery) for each in await pushes_of(app)])
    assert not any(secret in kept for secret in (hook["secret"], "canary", as_github.headers["X-Hub-Signature-256"]))
    async with app.state.resources.db.write() as session:
        for number in range(KEEP_REFUSALS + 5):
            await note_refusal(session, hook["id"], f"reason {number}")
    assert len(await listed()) == KEEP_REFUSALS
    at_once = await asyncio.gather(*(send(anonymous, hook, wrong) for _ in range(5)))
    assert {each.status_code for each in at_once} == {401}
    assert (await listed())[0][1] == 5
    good = deliver("generic", hook["secret"], push_body("generic"))
    assert (await send(anonymous, hook, good)).status_code == 202


async def test_what_is_not_deployed_is_stored_with_its_reason(app, client, anonymous, service, accepted_pushes):
    hook = await make_hook(client, service, watch_paths=["src/**", "!*.md"])
    cases = {
        "branch dev is not main": push_body("github", branch="dev"),
        "only branches are deployed": push_body("github", ref="refs/tags/v1"),
        "was deleted": push_body("github", commit="0" * 40),
        "asks to skip": push_body("github", message="Docs [skip orca]"),
        "no changed file is watched": push_body("github", files=["src/notes.md", "docs/x.py"]),
    }
    for number, (reason, payload) in enumerate(cases.items()):
        answer = await send(anonymous, hook, deliver("github", hook["secret"], payload, delivery=f"d-{number}"))
        assert (answer.status_code, answer.json()["accepted"]) == (200, False)
        assert reason in answer.json()["decision"]
    ping = await send(anonymous, hook, deliver("github", hook["secret"], {"zen": "x"}, delivery="p", event="ping"))
    assert (ping.status_code, "ping" in ping.json()["decision"]) == (200, True)
    assert await accepted_pushes() == []
    listed = (await client.get(f"/api/v1/services/{service['id']}/hooks/{hook['id']}/pushes")).json()["items"]
    assert [each["decision"] for each in listed] == [each.decision for each in (await pushes_of(app))[::-1]]
    assert len(listed) == 6


@pytest.mark.parametrize(
    "source", [{"type": "directory"}, {"type": "image", "image": "nginx"}], ids=["folder", "image"]
)
async def test_a_push_to_a_service_without_a_repository_deploys_nothing(
    app, client, anonymous, project, source, accepted_pushes
):
    fields = {"name": "Bare", "source": source}
    service = (await client.post(f"/api/v1/projects/{project['id']}/services", json=fields)).json()
    path = f"/api/v1/services/{service['id']}"
    hook = await make_hook(client, service)
    rotated = (await client.post(f"{path}/hooks/{hook['id']}/rotate")).json()
    for made in (hook, rotated):
        assert made["warning"].startswith("This service does not come from Git"), made["warning"]
        assert "localhost" in made["warning"]

    async def push(name, **changes):
        sent = deliver("github", rotated["secret"], push_body("github", **changes), delivery=name)
        answer = await send(anonymous, hook, sent)
        return answer.status_code, answer.json()["accepted"], answer.json()["decision"]

    alone = (200, False, "the service does not come from Git: nothing to fetch")
    assert [await push("a"), await push("b", branch="dev")] == [alone, alone]
    assert (await client.get(f"{path}/deployments")).json()["items"] == await accepted_pushes() == []
    listed = (await client.get(f"{path}/hooks/{hook['id']}/pushes")).json()["items"]
    assert [(each["decision"], each["is_refused"], each["commit"]) for each in listed] == [(alone[2], False, NEW)] * 2
    repository = {"source": {"type": "git", "repository": "https://example.org/a"}}
    assert (await client.patch(path, json=repository)).is_success
    assert (await push("c"))[:2] == (202, True)
    assert len(await accepted_pushes()) == 1


async def test_a_branch_pattern_and_a_watched_file(client, anonymous, service):
    hook = await make_hook(client, service, branch="release/*", watch_paths=["web/"])
    sent = deliver("github", hook["secret"], push_body("github", branch="release/2", files=["README.md", "web/a.js"]))
    assert (await send(anonymous, hook, sent)).status_code == 202


async def test_bodies_that_are_too_large_or_no_push_are_refused_and_the_process_lives(app, client, anonymous, service):
    hook = await make_hook(client, service)
    large = deliver("github", hook["secret"], b'{"a":"' + b"x" * (25 << 20) + b'"}')
    refused = await send(anonymous, hook, large)
    assert (refused.status_code, refused.json()["code"]) == (413, "too-much")
    assert refused.headers["content-type"] == "application/problem+json"

    async def endless():
        for _ in range(440):
            yield b"x" * 65536

    streamed = await anonymous.post(f"/api/v1/hooks/{hook['id']}", content=endless(), headers=large.headers)
    assert streamed.status_code == 413
    bodies = [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"{}", json.dumps({"ref": 5}).encode(),
              json.dumps({**push_body("github"), "after": "--upload-pack=x"}).encode()]  # fmt: skip
    for number, body in enumerate(bodies):
        answer = await send(anonymous, hook, deliver("github", hook["secret"], body, delivery=f"d-{number}"))
        assert 400 <= answer.status_code < 500, (body[:50], answer.text)
    assert all(each.is_refused for each in await pushes_of(app))
    good = deliver("github", hook["secret"], push_body("github", message="half \ud800 \x00 done"), delivery="good")
    assert (await send(anonymous, hook, good)).status_code == 202
    assert (await pushes_of(app))[-1].payload["message"] == "half ?  done"


async def test_another_type_of_body_is_refused(anonymous, client, service):
    hook = await make_hook(client, service)
    sent = deliver("github", hook["secret"], push_body("github"))
    sent.headers["Content-Type"] = "text/plain"
    assert (await send(anonymous, hook, sent)).status_code == 415


async def test_the_secret_is_shown_once_and_replaced_by_rotation(app, client, anonymous, service):
    hook = await make_hook(client, service)
    assert hook["url"].endswith(f"/api/v1/hooks/{hook['id']}")
    url = f"/api/v1/services/{service['id']}/hooks"
    assert hook["secret"] not in (await client.get(url)).text
    rotated = (await client.post(f"{url}/{hook['id']}/rotate")).json()
    assert rotated["secret"] != hook["secret"]
    payload = push_body("github")
    assert (await send(anonymous, hook, deliver("github", hook["secret"], payload))).status_code == 401
    assert (await send(anonymous, hook, deliver("github", rotated["secret"], payload))).status_code == 202
    recorded = str([each.payload for each in await events_of(app, "HookCreated", "HookRotated")])
    assert hook["secret"] not in recorded
    assert rotated["secret"] not in recorded


async def test_a_deleted_hook_or_service_hears_nothing(app, client, anonymous, service):
    hooks = [await make_hook(client, service), await make_hook(client, service)]
    await send(anonymous, hooks[0], deliver("github", hooks[0]["secret"], push_body("github", branch="dev")))
    assert (await client.delete(f"/api/v1/services/{service['id']}/hooks/{hooks[0]['id']}")).status_code == 204
    assert (
        await client.delete(f"/api/v1/services/{service['id']}", params={"confirm": service["slug"]})
    ).status_code == 204
    for hook in hooks:
        assert (await send(anonymous, hook, deliver("github", hook["secret"], push_body("github")))).status_code == 401
    async with app.state.resources.db.read() as session:
        assert (await session.scalars(select(Secret).where(Secret.owner_type == "hook"))).all() == []
    assert await pushes_of(app) == []


async def test_hooks_of_others_are_unknown(client, stranger, viewer, service, project):
    hook = await make_hook(client, service)
    theirs = (await stranger.post("/api/v1/projects", json={"name": "x"})).json()
    source = {"type": "git", "repository": "https://example.org/a"}
    own = (
        await stranger.post(f"/api/v1/projects/{theirs['id']}/services", json={"name": "x", "source": source})
    ).json()
    for method, path in (("POST", "/rotate"), ("DELETE", ""), ("GET", "/pushes")):
        answers = [
            await stranger.request(method, f"/api/v1/services/{target}/hooks/{each}{path}")
            for target in (own["id"], service["id"]) for each in (hook["id"], new_id())
        ]  # fmt: skip
        assert {each.status_code for each in answers} == {404}
    assert (await viewer.get(f"/api/v1/services/{service['id']}/hooks")).status_code == 200
    assert (await viewer.post(f"/api/v1/services/{service['id']}/hooks/{hook['id']}/rotate")).status_code == 403
    assert (await client.get(f"/api/v1/services/{service['id']}/hooks")).json()["items"][0]["id"] == hook["id"]


async def test_bad_hooks_are_refused(client, service):
    for body in ({}, {"provider": "github"}, {"provider": "x", "branch": "main"}, {"provider": "github", "branch": ""},
                 {"provider": "github", "branch": "main", "secret": "mine"}, {"provider": "github", "branch": "main", "watch_paths": ["a"] * 51},
                 {"provider": "github", "branch": "main", "watch_paths": ["a\u0000"]}):  # fmt: skip
        assert (await client.post(f"/api/v1/services/{service['id']}/hooks", json=body)).status_code == 422
    assert (await client.get(f"/api/v1/services/{service['id']}/hooks")).json()["items"] == []


async def test_a_push_happens_on_behalf_of_the_one_who_made_the_hook(app, client, anonymous, service, accepted_pushes):
    person = await add_person(app, "admin")
    async with client_of(app, Authorization=f"Bearer {await add_token(app, person, '*')}") as theirs:
        hook = await make_hook(theirs, service)
    sent = deliver("github", hook["secret"], push_body("github"))
    assert (await send(anonymous, hook, sent)).status_code == 202
    assert (await accepted_pushes())[-1].actor == person.email
    async with app.state.resources.db.write() as session:
        await session.execute(update(Membership).where(Membership.user_id == person.id).values(role="viewer"))
    later = deliver("github", hook["secret"], push_body("github", commit=OTHER), delivery="later")
    answer = await send(anonymous, hook, later)
    assert (answer.status_code, answer.json()["accepted"]) == (200, False)
    assert "may not deploy" in answer.json()["decision"]


async def test_a_hook_made_by_a_token_that_may_not_deploy_deploys_nothing(app, anonymous, service):
    person = await add_person(app, "owner")
    token = await add_token(app, person, "hook.create", "service.read")
    async with client_of(app, Authorization=f"Bearer {token}") as theirs:
        hook = await make_hook(theirs, service)
    answer = await send(anonymous, hook, deliver("github", hook["secret"], push_body("github")))
    assert (answer.status_code, answer.json()["accepted"]) == (200, False)
