"""A push whose host does not say whether it was forced: the repository is asked, through the real door and a real Git server."""

from types import SimpleNamespace

import httpx
import pytest
from sqlalchemy import select
from tests.conftest import API_TOKEN, claim, client_of, make_settings, running_app
from tests.features.services.conftest import SEED
from tests.features.services.events import events_of
from tests.features.triggers.hosts import deliver, push_body

from orca.errors import TaskCancelled
from orca.features.triggers.actions.pushes import LOOK_AT_PUSH
from orca.features.triggers.models import Hook, Push
from orca.features.triggers.tasks import look_at_push, settle
from orca.tasks import Task


class Bench:
    """A service from a repository with watched paths, its hook, and a worker that runs what was queued."""

    def __init__(self, app, http: httpx.AsyncClient, hook: dict, repository) -> None:
        self.app, self.http, self.hook, self.repository = app, http, hook, repository
        self.resources = app.state.resources

    async def push(self, before: str, after: str, *, number: str, files=("docs/b.md",)) -> str:
        payload = {**push_body("gitlab", commit=after, files=files), "before": before}
        sent = deliver("gitlab", self.hook["secret"], payload, delivery=number)
        answer = await self.http.post(f"/api/v1/hooks/{self.hook['id']}", content=sent.body, headers=sent.headers)
        assert answer.status_code == 200, answer.text
        assert answer.json()["decision"] == "no changed file is watched in these commits: asking the repository"
        return answer.json()["push_id"]

    async def look(self, push_id: str) -> tuple[bool, str]:
        task = await self.task(push_id)

        async def step(_name, work, **_bounds):
            return await work()

        await look_at_push(SimpleNamespace(resources=self.resources, step=step), task.payload)
        return await self.outcome(push_id)

    async def task(self, push_id: str) -> Task:
        """One at a time for each team: a Git host that answers slowly keeps no other team waiting."""
        async with self.resources.db.read() as session:
            tasks = (await session.scalars(select(Task).where(Task.name == LOOK_AT_PUSH))).all()
            hook = await session.get_one(Hook, self.hook["id"])
        assert {each.target for each in tasks} == {hook.team_id}
        return next(each for each in tasks if each.payload["push_id"] == push_id)

    async def outcome(self, push_id: str) -> tuple[bool, str]:
        async with self.resources.db.read() as session:
            push = await session.get_one(Push, push_id)
        return push.is_accepted, push.decision


@pytest.fixture
async def bench(tmp_path, server, make_repository):
    authority = tmp_path / "ca.pem"
    authority.write_text(server.certificate_authority)
    settings = make_settings(tmp_path / "data", git={"ca_file": authority, "private_networks": True})
    async with running_app(settings) as app, client_of(app, Authorization=f"Bearer {API_TOKEN}") as http:
        await claim(app)
        repository = make_repository("app.git")
        project = (await http.post("/api/v1/projects", json={"name": "P"})).json()
        source = {"type": "git", "repository": server.url("/app.git"), "branch": "main"}
        made = await http.post(f"/api/v1/projects/{project['id']}/services", json={**SEED, "build_source": source})
        wanted = {"provider": "gitlab", "branch": "main", "watch_paths": ["web/"], "any_repository": True}
        hook = (await http.post(f"/api/v1/services/{made.json()['id']}/hooks", json=wanted)).json()
        yield Bench(app, http, hook, repository)


async def test_commits_that_were_taken_away_count_and_others_do_not(bench):
    repository = bench.repository
    base = repository.commit({"web/a.js": "1", "docs/a.md": "1"})
    docs = repository.commit({"docs/b.md": "1"})
    assert await bench.look(await bench.push(base, docs, number="1")) == (False, "no changed file is watched")
    assert await events_of(bench.app, "PushAccepted") == []
    web = repository.commit({"web/a.js": "2"})
    repository.git("reset", "-q", "--hard", docs)
    forced = repository.commit({"docs/b.md": "2"})
    push_id = await bench.push(web, forced, number="2")
    accepted, decision = await bench.look(push_id)
    assert (accepted, decision) == (
        True,
        f"{forced[:12]} will be deployed: the repository says that a watched file changed",
    )
    [event] = await events_of(bench.app, "PushAccepted")
    assert (event.payload["commit"], event.actor) == (forced, f"hook {bench.hook['id']}")
    assert await bench.look(push_id) == (True, decision)  # once more after a crash
    assert len(await events_of(bench.app, "PushAccepted")) == 1


async def test_what_the_repository_does_not_tell_is_deployed_but_never_instead_of_a_later_push(bench):
    head = bench.repository.commit({"web/a.js": "1"})
    unknown = await bench.push("5" * 40, head, number="1")
    held, overtaken = await bench.push("6" * 40, head, number="2"), await bench.push("7" * 40, head, number="3")
    assert (await bench.look(overtaken))[0]
    assert await bench.look(unknown) == (False, "a later push of the branch was deployed meanwhile")
    await settle(bench.resources, (await bench.task(held)).id, "held back")
    assert await bench.outcome(held) == (False, "a later push of the branch was deployed meanwhile")


async def test_a_look_that_fails_deploys_which_says_what_is_wrong(bench):
    push_id = await bench.push("5" * 40, "6" * 40, number="1")

    async def step(name, work, **_bounds):
        if name == "compare":
            raise TaskCancelled("stopped")
        return await work()

    await look_at_push(SimpleNamespace(resources=bench.resources, step=step), {"push_id": push_id})
    assert await bench.outcome(push_id) == (True, "666666666666 will be deployed: what changed cannot be known")
