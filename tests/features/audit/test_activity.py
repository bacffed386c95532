"""The page of what happened: what it folds, what can be asked for, and what things are called."""

import re
from html import unescape
from pathlib import Path

import httpx
import pytest
import yaml
from fastapi import FastAPI
from tests.attacks.fixtures import local as client
from tests.attacks.people import add_person, add_team, browser_of, default_team
from tests.conftest import client_of

from orca.events import Event, Fact, Origin, origin, record
from orca.features.audit.feed import FeedFilter, list_feed
from orca.features.audit.words import detail_of, kind_of, list_kinds, title_of
from orca.kit.ids import new_id
from orca.web.guard import Subject
from orca.web.rights import team_wide

__all__ = ["client"]
pytestmark = pytest.mark.asyncio(loop_scope="module")
ROOT = Path(__file__).parents[3]


async def happen(app: FastAPI, fact: Fact, by: Origin | None = None) -> Event:
    token = origin.set(by or Origin())
    try:
        async with app.state.resources.db.write() as session:
            return await record(session, fact)
    finally:
        origin.reset(token)


async def make_service(client: httpx.AsyncClient, name: str) -> str:
    project = (await client.post("/api/v1/projects", json={"name": f"Shop {new_id()[-8:]}"})).json()["id"]
    body = {"name": name, "type": "web", "build_source": {"type": "image", "image": "registry.example.org/app:1"}}
    made = await client.post(f"/api/v1/projects/{project}/services", json=body)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def deploy(app: FastAPI, service: str, number: int, *, upto: int = 3, outcome: str = "done") -> None:
    team = await default_team(app)
    payload = {"service": "web", "number": number, "deployment_id": new_id(), "kind": "deploy"}
    ada = Origin("ada@example.org", "session", "192.0.2.7")
    await happen(app, Fact("DeploymentQueued", team, "service", service, payload), ada)
    if upto > 1:
        await happen(app, Fact("DeploymentStarted", team, "service", service, payload))
    if upto > 2:
        ended = payload | {"state": "succeeded" if outcome == "done" else "failed"}
        await happen(app, Fact("DeploymentFinished", team, "service", service, ended, outcome))  # type: ignore[arg-type]


async def rows(client: httpx.AsyncClient, **params: object) -> list[str]:
    """The rows of the page as plain text."""
    answer = await client.get("/activity", params=params)
    assert answer.status_code == 200, answer.text
    body = answer.text.partition("<tbody>")[2].partition("</tbody>")[0]
    cells = [re.sub(r"<[^>]+>", " ", row) for row in body.split("</tr>")[:-1]]
    return [" ".join(unescape(cell).split()) for cell in cells]


async def test_a_deployment_that_ended_is_one_row_with_who_asked_for_it(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    service = await make_service(client, "Folded one")
    await deploy(app, service, 1)
    await deploy(app, service, 2, outcome="failed")
    await deploy(app, service, 3, upto=2)
    shown = await rows(client, about="Folded one", type="deployments")
    assert [line.partition(" Folded one")[0] for line in shown] == [
        "Deployment started", "Deployment queued", "Deployment finished", "Deployment finished",
    ]  # fmt: skip
    assert "#2 Failed ada@example.org in a browser 192.0.2.7" in shown[2]
    assert "#1 Done ada@example.org" in shown[3]
    assert len(await rows(client, about="Folded one", type="deployments", steps="all")) == 8
    assert len(await rows(client, about="Folded one", type="DeploymentQueued")) == 3
    assert len(await rows(client, about="Folded one", who="ADA@example")) == 3
    assert len(await rows(client, about="Folded one", type="deployments", text="web")) == 4
    assert len(await rows(client, about="Folded one", type="deployments", outcome="done")) == 3


async def test_filters_narrow_and_the_address_says_what_was_asked(app: FastAPI, client: httpx.AsyncClient) -> None:
    service = await make_service(client, "Narrow ünïcode")
    team = await default_team(app)
    upload = Fact("UploadReceived", team, "service", service, {"upload_id": new_id(), "sha256": "ab", "size_bytes": 1})
    await happen(app, upload, Origin("bob@example.org", "token", "192.0.2.8"))
    route = {"hostname": "narrow.example.org", "path_prefix": "/", "service_id": service}
    await happen(app, Fact("RouteCreated", team, "route", new_id(), route))
    await happen(app, Fact("ServiceUpdated", team, "service", service, {"fields": ["ports"]}, "denied"))
    assert await rows(client, who="bob@") == [
        next(line for line in await rows(client, about="narrow") if line.startswith("Upload received Narrow ünïcode"))
    ]
    (hostname,) = await rows(client, type="hostnames", about="Narrow ünï")
    assert hostname.startswith("Route created · narrow.example.org of Narrow ünïcode")
    assert len(await rows(client, about="narrow", outcome="denied")) == 1
    for text in ("192.0.2.8", "upload received", "NARROW Ü".lower()):
        assert any("Upload received" in line for line in await rows(client, text=text)), text
    assert len(await rows(client, text="narrow.example.org")) == 1
    assert await rows(client, text="100%_of nothing") == []
    answer = await client.get("/activity", params={"who": "", "outcome": "", "about": "narrow", "text": "", "type": ""})
    assert answer.headers["HX-Replace-Url"] == "/activity?about=narrow"
    assert 'value="narrow"' in answer.text


async def test_pages_go_on_where_the_last_one_ended(app: FastAPI, client: httpx.AsyncClient) -> None:
    service = await make_service(client, "Paged")
    for number in range(1, 61):
        await deploy(app, service, number)
    first = await client.get("/activity", params={"about": "Paged"})
    older = re.search(r'rel="next" href="([^"]+)"', first.text)
    assert older
    second = await client.get(unescape(older[1]))
    numbers = [int(each) for page in (first, second) for each in re.findall(r">#(\d+)</a>", page.text)]
    assert numbers == list(range(60, 0, -1))


async def test_a_search_ends_and_the_next_page_goes_on_from_there(app: FastAPI) -> None:
    team = await default_team(app)
    subject = Subject("ada", "session", team, team_wide(team, {"event.read"}))
    needle = await happen(app, Fact("ProjectUpdated", team, "project", new_id(), {"fields": ["needle"]}))
    for _ in range(10):
        await happen(app, Fact("TeamCreated", team, "team", team, {"name": "hay"}))
    async with app.state.resources.db.read() as session:
        first = await list_feed(session, subject, FeedFilter(text="needle"), limit=5, before=None, most=8)
        assert (first.events, first.next_before) == ([], needle.seq + 3)
        second = await list_feed(session, subject, FeedFilter(text="needle"), limit=5, before=first.next_before, most=8)
        assert [event.seq for event in second.events] == [needle.seq]


async def test_names_and_events_of_other_teams_stay_theirs(app: FastAPI, client: httpx.AsyncClient) -> None:
    service = await make_service(client, "Ours alone")
    rivals = await add_team(app, f"rivals-{new_id()[-8:]}")
    await happen(app, Fact("ServiceUpdated", rivals, "service", service, {"fields": ["x"]}))
    rival = await add_person(app, "owner", team_id=rivals)
    async with browser_of(app, rival.email) as browser:
        assert await rows(browser, about="Ours") == []
        assert not any("Ours alone" in line for line in await rows(browser))
        assert "ada@example.org" not in (await browser.get("/activity")).text
    async with client_of(app) as anonymous:
        assert (await anonymous.get("/activity")).status_code == 303


@pytest.mark.parametrize("params", [{"before": "0"}, {"before": "x"}, {"before": "9" * 30}, {"text": "x" * 101}])
async def test_bad_filters_are_refused(client: httpx.AsyncClient, params: dict[str, str]) -> None:
    assert (await client.get("/activity", params=params)).status_code == 422


async def test_every_event_of_the_house_is_of_one_kind() -> None:
    known = yaml.safe_load((ROOT / "docs" / "events.yml").read_text())
    for event_type in known:
        kinds = [kind for kind, (_, begins) in list_kinds().items() if event_type.startswith(begins)]
        assert len(kinds) == 1, (event_type, kinds)
        assert kind_of(event_type) == kinds[0]


@pytest.mark.parametrize(
    ("event_type", "payload", "title", "detail"),
    [
        ("DeploymentFinished", {"kind": "restart"}, "Restart finished", ""),
        ("DeploymentFinished", {"kind": "deploy"}, "Deployment finished", ""),
        ("VariablesChanged", {"set": ["A", "B"], "removed": ["C"]}, "Variables changed", "set A, B; removed C"),
        (
            "AttemptDenied",
            {"route": "/x", "method": "POST", "code": "forbidden"},
            "Attempt denied",
            "POST /x (forbidden)",
        ),
        ("AttemptsLimited", {"what": "login", "by": "peer"}, "Attempts limited", "login, from one address"),
        ("MemberAdded", {"role": "owner"}, "Member added", "as owner"),
        ("PushAccepted", {"branch": "main", "commit": "0123456789abcdef"}, "Push accepted", "main 0123456789ab"),
    ],
)
async def test_an_event_reads_as_a_sentence(
    event_type: str, payload: dict[str, object], title: str, detail: str
) -> None:
    assert (title_of(event_type, payload), detail_of(payload)) == (title, detail)
