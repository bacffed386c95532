"""The overview in a browser while the server restarts and the network is cut: it says so, mends itself, loses nothing."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.conftest import OWNER, Panel, copy_schema, make_panel, running_panel
from tests.e2e.test_walk import FLAGS, serious_findings

from orca.features.logs.rules import Line, Writer
from orca.features.logs.store import LogStore

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]
SECONDS = 3


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, schema: Path) -> Iterator[tuple[Panel, str]]:
    """A claimed panel with a project of three services; returns it with the id of one of them."""
    with running_panel(copy_schema(schema, make_panel(tmp_path_factory.mktemp("live") / "panel"))) as panel:
        with panel.client() as local:
            token = (panel.data_dir / "claim-token").read_text().strip()
            local.post("/api/v1/claim", json={**OWNER, "token": token}).raise_for_status()
            project = local.post("/api/v1/projects", json={"name": "Shop"}).json()["id"]
            for name in ("till", "cart", "stock"):
                body = {"name": name, "source": {"type": "image", "image": "127.0.0.1:9/app:1"}}
                service = local.post(f"/api/v1/projects/{project}/services", json=body).json()["id"]
        yield panel, str(service)


@pytest.fixture
def page(browser: Browser, shop: tuple[Panel, str]) -> Iterator[Page]:
    panel, _ = shop
    context = browser.new_context(viewport={"width": 1280, "height": 860}, base_url=panel.url)
    owner = {key: OWNER[key] for key in ("email", "password")}
    assert context.request.post("/api/v1/session", data=owner).ok
    yield context.new_page()
    context.close()


def test_the_overview_is_live_and_mends_itself(page: Page, shop: tuple[Panel, str]) -> None:
    panel, service = shop
    page.goto("/")
    search = page.get_by_role("searchbox", name="Search services")
    lost = page.get_by_text("Connection lost, trying again")
    page.keyboard.press("/")
    expect(search).to_be_focused()
    search.press_sequentially("s")
    expect(page.locator("tr[id^=row-]")).to_have_count(3)  # each is in a project called Shop
    with panel.client() as local:
        local.post(f"/api/v1/services/{service}/deployments", json={}).raise_for_status()
    expect(page.locator(f"#row-{service}")).to_have_attribute("data-state", re.compile("deploying|failed"))
    expect(page).to_have_title(re.compile("^[✕◐]"))

    search.press_sequentially("hop")
    page.context.set_offline(True)
    began = time.monotonic()
    expect(lost).to_be_visible(timeout=SECONDS * 1000)
    assert time.monotonic() - began <= SECONDS
    page.context.set_offline(False)
    expect(lost).to_be_hidden(timeout=10_000)

    began = time.monotonic()
    panel.stop()
    expect(lost).to_be_visible(timeout=SECONDS * 1000)
    expect(search).to_have_value("shop")
    expect(search).to_be_focused()
    panel.start()
    panel.wait_ready()
    expect(lost).to_be_hidden(timeout=15_000)
    with panel.client() as local:
        project = local.get("/api/v1/projects").json()["items"][0]["id"]
        body = {"name": "fresh", "source": {"type": "image", "image": "127.0.0.1:9/app:1"}}
        local.post(f"/api/v1/projects/{project}/services", json=body).raise_for_status()
    expect(page.get_by_role("link", name="fresh", exact=True)).to_be_visible()
    expect(search).to_have_value("shop")


def test_a_list_is_used_by_keyboard_and_several_rows_at_once(page: Page) -> None:
    page.goto("/?sort=name")
    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name="cart", exact=True)).to_be_focused()
    page.keyboard.press("x")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("x")
    bar = page.locator("#list-bulk")
    expect(bar).to_contain_text("2 chosen")
    assert serious_findings(page) == []
    bar.get_by_role("button", name="Deploy").click()
    expect(page.locator(".toast-card")).to_contain_text("begun for 2 of 2")
    page.get_by_role("button", name="View").click()
    page.get_by_role("button", name="Dense").click()
    assert page.locator("tr[id^=row-]").first.evaluate("row => row.offsetHeight") <= 28
    page.get_by_label("Answers at").uncheck()
    expect(page.locator("th.col-url")).to_be_hidden()
    page.get_by_label("Groups").select_option("project")
    expect(page.locator(".list-group")).to_contain_text("Shop")
    expect(page).to_have_url(re.compile("group=project"))
    page.get_by_label("Name of the view").fill("By project")
    page.get_by_role("button", name="Save", exact=True).click()
    page.goto("/")
    expect(page.locator("th.col-url")).to_be_hidden()
    page.get_by_role("button", name="View").click()
    page.get_by_role("link", name="By project").click()
    expect(page.locator(".list-group")).to_contain_text("Shop")


def test_the_head_of_a_service_is_live_on_every_tab(page: Page, shop: tuple[Panel, str]) -> None:
    panel, service = shop
    page.goto(f"/services/{service}/variables")
    head = page.locator("#service-head")
    before = head.inner_text()
    page.locator("input[name=key]").first.fill("HALF_TYPED")
    head.get_by_role("button", name="More actions").click()
    menu = page.locator("#service-menu")
    expect(menu).to_be_visible()
    with panel.client() as local:
        number = local.post(f"/api/v1/services/{service}/deployments", json={}).json()["number"]
    expect(head).to_contain_text(f"#{number} deploy")
    expect(head).to_contain_text("Failed", timeout=60_000)
    assert head.inner_text() != before
    expect(page).to_have_title(re.compile("^[✕◐]"))
    expect(menu).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("input[name=key]").first).to_have_value("HALF_TYPED")
    assert serious_findings(page) == []


def test_variables_are_edited_and_revealed_in_their_rows(page: Page, shop: tuple[Panel, str]) -> None:
    panel, service = shop
    address = f"/services/{service}/variables"
    with panel.client() as local:
        given = [{"key": "LEVEL", "value": "info"}, {"key": "TOKEN", "value": "the-secret", "is_secret": True}]
        local.patch(f"/api/v1{address}", json={"variables": given}).raise_for_status()
    page.goto(address)
    secret = page.get_by_role("checkbox", name="Secret", exact=True)
    page.get_by_label("Key", exact=True).press_sequentially("API_KEY")
    expect(secret).to_be_checked()
    secret.uncheck()
    page.get_by_label("Key", exact=True).press_sequentially("_TOKEN")
    expect(secret).not_to_be_checked()  # who has decided is not asked again
    page.get_by_role("row", name=re.compile("LEVEL")).get_by_role("link", name="Edit").click()
    expect(page.get_by_label("Value", exact=True)).to_be_focused()
    expect(page.get_by_label("Value", exact=True)).to_have_value("info")
    assert serious_findings(page) == []
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_label("Value", exact=True)).to_have_value("")
    page.goto(address)
    page.get_by_role("row", name=re.compile("TOKEN")).get_by_role("button", name="Reveal").click()
    expect(page.get_by_role("row", name=re.compile("TOKEN"))).to_contain_text("the-secret")
    page.get_by_role("link", name="Edit as .env").click()
    page.get_by_label("Lines").fill("LEVEL=debug\nNEW_TOKEN=x\n")
    expect(page.locator("#raw-diff")).to_contain_text("NEW_TOKEN")
    assert serious_findings(page) == []
    page.get_by_role("button", name="Save all").click()
    expect(page.get_by_role("row", name=re.compile("NEW_TOKEN"))).to_be_visible()


def test_settings_are_sub_pages_of_one_form_that_is_not_left_by_mistake(page: Page, shop: tuple[Panel, str]) -> None:
    _, service = shop
    asked: list[str] = []
    page.goto(f"/services/{service}/settings")
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    expect(page.get_by_label("Stop grace")).to_be_hidden()
    page.get_by_role("link", name="Process").click()
    page.get_by_label("Stop grace").fill("700")
    page.get_by_role("link", name="Health check").click()
    expect(page.get_by_label("Stop grace")).to_be_hidden()
    page.get_by_label("Give up after").fill("90")
    page.locator("#service-head").get_by_role("link", name="Volumes").click()
    expect(page.get_by_label("Give up after")).to_have_value("90")
    assert asked == ["beforeunload"]
    assert serious_findings(page) == []
    page.get_by_role("button", name="Save settings").click()
    expect(page.get_by_label("Stop grace")).to_be_visible()  # it is what is wrong
    page.get_by_label("Stop grace").fill("20")
    page.get_by_role("button", name="Save settings").click()
    expect(page.locator(".toast-card")).to_contain_text("Saved")
    expect(page).to_have_url(re.compile("/settings#process$"))
    page.locator("#service-head").get_by_role("link", name="Volumes").click()
    expect(page).to_have_url(re.compile("/volumes$"))
    assert asked == ["beforeunload"]


def test_a_form_outlives_the_session_and_the_network(page: Page, shop: tuple[Panel, str]) -> None:
    panel, service = shop
    page.goto(f"/services/{service}/variables")
    page.locator("input[name=key]").first.fill("GREETING")
    page.locator("[name=value]").first.fill("half typed")
    form = page.locator("form:has([name=value])").first
    page.context.set_offline(True)
    form.locator("[type=submit]").first.click()
    expect(page.locator(".toast-card")).to_contain_text("Not sent: Orca cannot be reached")
    expect(page.locator("[name=value]").first).to_have_value("half typed")
    page.context.set_offline(False)
    page.context.clear_cookies()
    form.locator("[type=submit]").first.click()
    dialog = page.get_by_role("dialog", name="Sign in again")
    dialog.get_by_label("Password").fill("not this one")
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    dialog.get_by_label("Password").fill(OWNER["password"])
    dialog.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("cell", name="GREETING")).to_be_visible()
    with panel.client() as local:
        assert "half typed" in json.dumps(local.get(f"/api/v1/services/{service}/variables").json())


def test_a_form_without_a_session_is_told_to_sign_in(shop: tuple[Panel, str]) -> None:
    panel, service = shop
    answer = httpx.post(f"{panel.url}/services/{service}/deploy", headers={"Accept": "text/html"})
    assert (answer.status_code, "Bearer" in answer.text) == (401, False)
    assert 'href="/login?next=' in answer.text


def test_the_lines_of_a_service_are_read_back_searched_and_linked(page: Page, shop: tuple[Panel, str]) -> None:
    panel, _ = shop
    with panel.client() as local:
        project = local.get("/api/v1/projects").json()["items"][0]["id"]
        body = {"name": "writer", "source": {"type": "image", "image": "127.0.0.1:9/app:1"}}
        service = local.post(f"/api/v1/projects/{project}/services", json=body).json()["id"]
        store, by = LogStore(panel.data_dir / "logs" / service, writes=True), Writer("a" * 16, 0, 1)
        texts = [f"line {number}{' is a hundredth' if number % 100 == 0 else ''}" for number in range(2000)]
        store.append([Line(10**15 + number, by, False, text) for number, text in enumerate(texts)], {})
        store.flush()

        page.goto(f"/services/{service}/output")
        rows, here = page.locator(".logs-row"), page.locator(".logs-here")
        expect(rows.last).to_contain_text("line 1999")
        expect(rows).to_have_count(300)
        page.locator("[data-log-view]").hover()
        page.mouse.wheel(0, -100_000)
        expect(rows).to_have_count(600)
        search, found = page.get_by_role("searchbox", name="Search all lines"), page.locator("[data-logs-found]")
        search.fill("A Hundredth")
        expect(found).to_have_text("1 of 20", timeout=15_000)
        expect(here).to_contain_text("line 1900 is a hundredth")
        for number in range(2, 11):
            search.press("Enter")
            expect(found).to_have_text(f"{number} of 20")
        expect(here).to_contain_text("line 1000 is a hundredth")
        page.goto(f"/services/{service}/output#L700")
        expect(here).to_contain_text("line 700 is a hundredth")
        assert serious_findings(page) == []

        notice = page.get_by_text("Nothing was deployed yet", exact=True)
        expect(notice).to_be_visible()
        local.post(f"/api/v1/services/{service}/deployments", json={}).raise_for_status()
        expect(notice).to_be_hidden(timeout=15_000)
        expect(here).to_contain_text("line 700 is a hundredth")
