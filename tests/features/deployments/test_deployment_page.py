"""The page of a deployment: pages of its log, what a failure offers to do, and how long it will take."""

import re
from datetime import timedelta
from typing import Any

import pytest
from tests.features.deployments.test_history import History, history

from orca.db import now
from orca.errors import StepFailed
from orca.features.deployments.errors import NeverHealthy
from orca.features.deployments.estimates import Usual
from orca.features.deployments.models import Build, Deployment, DeploymentStep, LogChunk
from orca.features.deployments.next_steps import AGAIN, FIELDS, address_of, change_settings, choose_steps, set_variable
from orca.features.deployments.operations.progress import fail
from orca.features.services.models import Service

__all__ = ["history"]
FETCHED = "Cloning\n"
BUILT = [f"line {number}\r\n" for number in range(9)]
DROPPED = 1000


@pytest.mark.parametrize(
    ("code", "given", "source", "in_file", "actions", "note"),
    [
        ("never-healthy", change_settings("health.path"), "git", {"health"}, [], "orca.yaml names `health`: change it there."),
        ("never-healthy", change_settings("health.path"), "git", {"ports"}, ["health.path"], ""),
        ("never-healthy", (*change_settings("ports"), set_variable("HOST")), "image", set(), ["ports", "HOST"], ""),
        ("out-of-memory", (), "git", set(), ["resources.memory_mb"], ""),
        ("no-builder", (), "directory", set(), ["build.builder", "source.subdirectory"], ""),
        ("git-login-refused", (), "git", set(), ["source.credential", "see-credentials"], ""),
        ("source-missing", (), "directory", set(), ["send-source"], ""),
        ("source-missing", (), "git", set(), [], ""),
        ("engine-interrupted", (), "git", set(), ["deploy-again"], ""),
        ("step-failed", (), "git", set(), [], ""),
    ],
)  # fmt: skip
def test_a_failure_offers_what_its_hint_says(
    code: str, given: Any, source: str, in_file: set[str], actions: list[str], note: str
) -> None:
    steps, said = choose_steps(code, given, source=source, in_file=in_file)
    assert [step.setting or step.variable or step.action for step in steps] == actions
    assert said == note


async def test_each_step_leads_to_a_field_that_exists(history: History) -> None:
    sources = [
        {"type": "git", "repository": "https://example.org/a.git", "branch": "main"},
        {"type": "image", "image": "app:1"},
    ]
    pages = ""
    for source in sources:
        async with history.app.state.resources.db.write() as session:
            (await session.get_one(Service, history.service_id)).source = source
        pages += await history.page(f"/services/{history.service_id}/settings")
    for step in change_settings(*FIELDS):
        _, _, field = address_of(step, history.service_id).partition("#")
        assert f'id="{field}"' in pages, step
    form = await history.page(f"/services/{history.service_id}/variables?add=HOST")
    assert re.search(r'<input[^>]*name="key"[^>]*value="HOST"', form)


async def failed_deployment(history: History) -> Deployment:
    build = await history.add(Build(orca_file="command: [npm, start]\n"))
    row = await history.deployment(1, state="running", build_id=build.id, source={"type": "git"}, started_at=now())
    await history.step(row, "build_image", "succeeded")
    await history.step(row, "check_health", "failed")
    async with history.app.state.resources.db.write() as session:
        offset = 0
        for step, text in [
            ("fetch_source", FETCHED),
            ("build_image", "".join(BUILT)),
            ("check_health", "boom\n✗ no\n"),
        ]:
            offset += DROPPED if step == "check_health" else 0
            session.add(LogChunk(deployment_id=row.id, offset=offset, step=step, text=text, at=now()))
            offset += len(text)
    steps = (*change_settings("health.path", "command"), set_variable("HOST"), AGAIN)
    error = NeverHealthy("not healthy", hint="Set `health.path`.", next_steps=steps)
    await fail(history.app.state.resources.db, row.id, error)
    return row


@pytest.mark.slow
async def test_a_failed_deployment_shows_its_last_lines_and_buttons(history: History) -> None:
    row = await failed_deployment(history)
    page = await history.page(f"/deployments/{row.id}")
    service = f"/services/{history.service_id}"
    assert f'href="{service}/settings#health_path"' in page
    assert f'href="{service}/variables?add=HOST#value"' in page
    assert f"{service}/settings#command" not in page
    assert "orca.yaml names" in page
    assert page.count(f'action="/deployments/{row.id}/retry"') == 2
    quoted = page[page.index("log-quote") : page.index("deployment-steps")]
    assert ("boom" in quoted, "✗ no" in quoted) == (True, False)
    assert '<div class="log-line logs-row logs-error"' in page
    out = (await history.http.get(f"/api/v1/deployments/{row.id}")).json()
    assert [step["action"] for step in out["next_steps"]] == ["change-setting", "set-variable", "deploy-again"]
    await fail(history.app.state.resources.db, row.id, StepFailed("again"))
    assert (await history.http.get(f"/api/v1/deployments/{row.id}")).json()["reason"] == "not healthy"


@pytest.mark.slow
async def test_a_log_is_read_in_pages_and_searched(history: History) -> None:
    row = await failed_deployment(history)

    async def ask(**query: Any) -> dict[str, Any]:
        answer = await history.http.get(f"/api/v1/deployments/{row.id}/log/lines", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    everything = (await ask())["items"]
    texts = [line["text"] for line in everything]
    assert texts == [
        *FETCHED.splitlines(),
        *(line.strip() for line in BUILT),
        "… 1,000 characters were left out …",
        "boom",
        "✗ no",
    ]
    assert [line["level"] for line in everything][-2:] == ["none", "error"]
    forward, backward, after, before = [], [], -1, None
    while page := (await ask(limit=2, after=after))["items"]:
        forward, after = [*forward, *page], page[-1]["id"]
    while True:
        page = await ask(limit=2, **({} if before is None else {"before": before}))
        backward, before = [*page["items"], *backward], page["older"]
        if before is None:
            break
    assert [line["id"] for line in forward] == [line["id"] for line in everything]
    assert [line["text"] for line in backward if "left out" not in line["text"]] == [
        text for text in texts if "left out" not in text
    ]
    around = await ask(around=everything[5]["id"], limit=4)
    assert [line["text"] for line in around["items"]] == texts[3:8]
    found = await ask(grep="LINE", limit=4)
    assert ([line["text"] for line in found["items"]], found["total"]) == (["line 5", "line 6", "line 7", "line 8"], 9)
    older = await ask(grep="LINE", limit=4, before=found["older"])
    assert [line["text"] for line in older["items"]] == ["line 1", "line 2", "line 3", "line 4"]


def step_of(name: str, state: str, age: float | None = None) -> DeploymentStep:
    return DeploymentStep(name=name, state=state, started_at=None if age is None else now() - timedelta(seconds=age))


def test_what_is_left_is_what_the_open_steps_usually_take() -> None:
    usual = Usual(3, {"build_image": 30.0, "check_health": 5.0, "route_traffic": 1.0})
    steps = [
        step_of("fetch_source", "succeeded", 40),
        step_of("build_image", "running", 10),
        step_of("check_health", "waiting"),
    ]
    assert usual.total(steps) == 35
    assert round(usual.left(steps, now())) == 25
    assert usual.left([step_of("build_image", "running", 99)], now()) == 0


@pytest.mark.slow
async def test_a_running_deployment_says_how_long_it_will_take(history: History) -> None:
    for number, seconds in ((1, 20), (2, 30), (3, 90)):
        row = await history.deployment(number)
        async with history.app.state.resources.db.write() as session:
            began = now() - timedelta(hours=1)
            took = {"started_at": began, "finished_at": began + timedelta(seconds=seconds)}
            session.add(DeploymentStep(deployment_id=row.id, name="build_image", position=0, state="succeeded", **took))
    running = await history.deployment(4, state="running", started_at=now())
    await history.step(running, "build_image", "waiting")
    page = await history.page(f"/deployments/{running.id}")
    assert "usually takes 30 s" in page
    assert "the last 3 that succeeded" in page
    assert (await history.http.get(f"/api/v1/deployments/{running.id}")).json()["expected_seconds"] == 30
    assert (await history.http.get(f"/api/v1/deployments/{row.id}")).json()["expected_seconds"] is None
