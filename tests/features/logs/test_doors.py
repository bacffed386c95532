"""Stored lines through the API and the page: pages, filters, a search, a file, and who may read them."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from orca.features.deployments.output import to_microseconds
from orca.features.logs.collector import folder_of
from orca.features.logs.rules import Line, Writer
from orca.features.logs.store import LogStore

START = datetime(2026, 12, 1, 9, tzinfo=UTC)


@pytest.fixture
async def written(app, service) -> str:
    """The address of a service with 500 lines of two releases, and no container."""
    store = LogStore(folder_of(app.state.resources) / service["id"], writes=True)
    lines = [
        Line(
            to_microseconds(START + timedelta(seconds=number)), Writer("a" * 16, number % 2, 1 + number // 250),
            number % 10 == 0,
            f"\x1b[31mERROR\x1b[0m request {number} failed" if number % 50 == 0 else f'{{"level":"info","n":{number}}}',
        )
        for number in range(500)
    ]  # fmt: skip
    store.append(lines, {})
    store.flush()
    return f"/api/v1/services/{service['id']}/logs"


async def get(client, written: str, query: str = "") -> dict:
    answer = await client.get(f"{written}/lines{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_newest_lines_come_first_and_older_ones_page_by_page(client, written) -> None:
    page = await get(client, written, "?limit=100")
    assert [line["id"] for line in page["items"]] == list(range(400, 500))
    assert (page["older"], page["newer"], page["total"], page["first"]) == (400, 499, 500, 0)
    assert page["items"][-1] == {
        "id": 499, "at": "2026-12-01T09:08:19Z", "replica": 1, "release": 2, "stream": "stdout", "level": "info",
        "text": '{"level":"info","n":499}', "is_match": True,
    }  # fmt: skip
    older = await get(client, written, f"?limit=400&before={page['older']}")
    assert ([line["id"] for line in older["items"]], older["older"]) == (list(range(400)), None)
    around = await get(client, written, "?limit=4&around=250")
    assert [line["id"] for line in around["items"]] == [248, 249, 250, 251]


async def test_filters_and_searches_count_all_matches(client, written) -> None:
    page = await get(client, written, "?grep=error&limit=3")
    assert ([line["id"] for line in page["items"]], page["total"]) == ([350, 400, 450], 10)
    assert page["is_total_exact"]
    page = await get(client, written, "?level=error&level=fatal&release=1&stream=stderr&replica=0")
    assert ([line["id"] for line in page["items"]], page["total"]) == ([0, 50, 100, 150, 200], 5)
    page = await get(client, written, "?since=2026-12-01T09:00:10Z&until=2026-12-01T09:00:12Z")
    assert [line["id"] for line in page["items"]] == [10, 11]
    page = await get(client, written, "?grep=request%20100%20&context=1")
    assert [(line["id"], line["is_match"]) for line in page["items"]] == [(99, False), (100, True), (101, False)]
    page = await get(client, written, "?grep=nowhere")
    assert (page["items"], page["total"], page["older"], page["newer"]) == ([], 0, None, None)
    for bad in ("?level=loud", "?limit=0", "?since=then", "?colour=red"):
        assert (await client.get(f"{written}/lines{bad}")).status_code == 422


async def test_a_file_has_every_match_without_colours(client, written) -> None:
    answer = await client.get(f"{written}/download?grep=ERROR")
    assert answer.headers["content-disposition"] == f'attachment; filename="service-{written.split("/")[4]}.log"'
    assert answer.text.splitlines()[1] == "2026-12-01T09:00:50.000000Z 0 stderr ERROR request 50 failed"
    answer = await client.get(f"{written}/download?format=ndjson")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["id"] for line in lines] == list(range(500))


async def test_lines_belong_to_those_who_may_see_the_service(client, anonymous, written) -> None:
    for path in ("lines", "download", "stream"):
        assert (await anonymous.get(f"{written}/{path}")).status_code == 401
        unknown = f"/api/v1/services/{uuid4()}/logs/{path}"
        assert (await client.get(unknown)).status_code == 404


async def test_a_page_of_a_service_that_does_not_run_says_why(browser, service) -> None:
    page = await browser.get(f"/services/{service['id']}/output")
    assert page.status_code == 200
    assert "Nothing was deployed yet" in page.text
    assert 'data-logs-stored="false"' in page.text
    assert f'data-live="/services/{service["id"]}/output/live"' in page.text
