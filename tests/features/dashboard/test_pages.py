"""What the pages put first, where they lead, and that a log can be had whole."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from benchmarks.large import Large, Size, fill
from fastapi import FastAPI
from sqlalchemy import delete, update
from tests.attacks.people import local_client
from tests.conftest import claim, make_settings, running_app

from orca.errors import StepFailed, TaskCancelled
from orca.features.deployments.models import Deployment, LiveRelease
from orca.features.deployments.operations.progress import fail
from orca.features.deployments.views import LOG_LINES
from orca.features.projects.models import Project
from orca.features.routing.models import Route

pytestmark = pytest.mark.slow

SIZE = Size(services=10, live=5, events=10, log_lines=3000)


@dataclass
class Filled:
    app: FastAPI
    http: httpx.AsyncClient
    large: Large


@pytest.fixture
async def filled(tmp_path: Path) -> AsyncIterator[Filled]:
    async with running_app(make_settings(tmp_path / "data")) as app:
        await claim(app)
        async with local_client(app) as http:
            team = (await http.get("/api/v1/me")).json()["team_id"]
            yield Filled(app, http, await fill(app.state.settings.data_dir, team, SIZE))


async def text_of(filled: Filled, path: str) -> str:
    answer = await filled.http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.mark.docker
async def test_services_that_need_a_look_come_first(filled: Filled) -> None:
    """Those that should run have no containers here; the first one by name has never been deployed."""
    async with filled.app.state.resources.db.write() as session:
        await session.execute(delete(LiveRelease).where(LiveRelease.service_id == filled.large.service))
    page = await text_of(filled, "/")
    names = [f">Service {number:04}<" for number in (1, 2, 3, 4, 0, 5)]
    places = [page.index(name) for name in names]
    assert places == sorted(places)


@pytest.mark.docker
async def test_a_service_whose_deployments_all_failed_needs_a_look(filled: Filled) -> None:
    async with filled.app.state.resources.db.write() as session:
        await session.execute(delete(LiveRelease).where(LiveRelease.service_id == filled.large.service))
        await session.execute(
            update(Deployment).where(Deployment.service_id == filled.large.service).values(state="failed")
        )
    page = await text_of(filled, "/")
    assert "Failed" in page[page.index(">Service 0000<") : page.index("Service 0001")]
    assert page.index(">Service 0000<") < page.index(">Service 0005<")
    assert "Failed" in await text_of(filled, f"/services/{filled.large.service}")


async def test_a_new_service_begins_in_the_only_project_or_with_the_choice_of_one(filled: Filled) -> None:
    assert 'href="/projects?choosing=true"' in await text_of(filled, "/")
    projects = await text_of(filled, "/projects?choosing=true")
    assert "Choose the project of the new service." in projects
    assert f'href="/projects/{filled.large.project}/services/new"' in projects
    assert "/services/new" not in await text_of(filled, "/projects")
    async with filled.app.state.resources.db.write() as session:
        others = update(Project).where(Project.id != filled.large.project)
        await session.execute(others.values(deleted_at=Project.created_at))
    assert f'href="/projects/{filled.large.project}/services/new"' in await text_of(filled, "/")


async def test_deployments_say_what_they_brought_and_offer_the_way_back(filled: Filled) -> None:
    page = await text_of(filled, f"/services/{filled.large.service}/deployments")
    assert "Change number 40" in page
    assert "Roll back to #4" in page
    live = await text_of(filled, f"/deployments/{filled.large.deployment}")
    assert "#5, live" in live
    assert "Roll back to release" not in live
    items = (await filled.http.get(f"/api/v1/services/{filled.large.service}/deployments")).json()["items"]
    (earlier,) = (each["id"] for each in items if each["number"] == 4)
    assert "Roll back to release #4" in await text_of(filled, f"/deployments/{earlier}")


async def test_a_long_log_is_shown_from_its_end_and_downloaded_whole(filled: Filled) -> None:
    page = await text_of(filled, f"/deployments/{filled.large.deployment}")
    assert page.count('class="log-line logs-row') == LOG_LINES
    (older,) = re.findall(r'href="\?line=(\d+)#L\1">Earlier lines', page)
    assert "module_2999.js" in page
    assert "module_999.js" not in page
    earlier = await text_of(filled, f"/deployments/{filled.large.deployment}?line={older}")
    assert f'id="L{older}"' in earlier
    assert "Later lines" in earlier
    log = await text_of(filled, f"/deployments/{filled.large.deployment}/log.txt")
    assert len(log.splitlines()) == SIZE.log_lines
    assert "\x1b" not in log
    assert log.startswith("#0 0.00 Step 0: compiled")


async def test_what_is_not_there_is_told_with_a_next_step(filled: Filled) -> None:
    answer = await filled.http.get("/projects/nope", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "There is no project with this id." in answer.text
    assert "may have been deleted" in answer.text


async def test_the_type_of_a_problem_leads_to_what_it_means(filled: Filled) -> None:
    problem = (await filled.http.get("/api/v1/projects/nope")).json()
    path, _, code = problem["type"].partition("#")
    page = await text_of(filled, path)
    assert f'<tr id="{code}">' in page
    assert "Things of other teams look" in page[page.index(f'<tr id="{code}">') :]
    assert '<code class="mono">orc whoami</code>' in page


async def test_an_address_without_anything_says_so_once(filled: Filled) -> None:
    page = (await filled.http.get("/nowhere", headers={"Accept": "text/html"})).text
    assert "There is nothing at this address." in page
    assert "Not Found." not in page
    assert (await filled.http.get("/api/v1/nowhere")).json()["detail"] == "There is nothing at this address."
    assert (await filled.http.put("/api/health")).json()["detail"] == "This address does not take PUT requests."


async def test_the_reference_draws_code_as_code(filled: Filled) -> None:
    page = await text_of(filled, "/api/docs")
    assert '<code class="mono">retry</code> orders before it is over' in page
    assert "`" not in page.partition("<main")[2]


async def test_activity_names_the_service_and_tells_a_cancellation_from_a_failure(filled: Filled) -> None:
    db, deployment = filled.app.state.resources.db, filled.large.deployment
    for error, word in ((TaskCancelled("cancelled by ada"), "Cancelled"), (StepFailed("no"), "Failed")):
        async with db.write() as session:
            await session.execute(update(Deployment).where(Deployment.id == deployment).values(state="running"))
        await fail(db, deployment, error)
        page = await text_of(filled, "/activity?type=DeploymentFinished")
        newest = page[page.index("<tbody") :].partition("</tr>")[0]
        assert ">Service 0000<" in newest
        assert f"</span>{word}</span>" in newest


async def test_next_steps_of_a_new_team_are_shown_until_they_are_done_or_put_away(filled: Filled) -> None:
    page = await text_of(filled, "/")
    assert "1 of 3 done" in page  # a release went live; all hostnames are automatic
    assert re.search(r'href="/services/[^"/]+/domains"', page)
    filled.http.cookies.set("orca_checklist", "away")
    assert "Next steps" not in await text_of(filled, "/")
    filled.http.cookies.delete("orca_checklist")
    async with filled.app.state.resources.db.write() as session:
        await session.execute(update(Route).values(is_automatic=False))
    assert "2 of 3 done" in await text_of(filled, "/")
    hook = {"provider": "github", "branch": "main"}
    made = await filled.http.post(f"/api/v1/services/{filled.large.service}/hooks", json=hook)
    assert made.status_code == 201, made.text
    assert "Next steps" not in await text_of(filled, "/")
