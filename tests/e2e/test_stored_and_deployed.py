"""In a real browser: what is saved is said, what is not deployed yet stands on every tab, and Deploy ends it there."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.conftest import OWNER, Panel
from tests.e2e.test_walk import Watched, browser, serious_findings
from tests.sites import Site, page

__all__ = ["browser"]
pytestmark = [pytest.mark.browser, pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def signed_in(panel: Panel, browser: Browser) -> Watched:
    """The owner's page, whose console must stay silent."""
    token = (panel.data_dir / "claim-token").read_text().strip()
    watched = Watched(browser.new_context(viewport={"width": 1280, "height": 860}).new_page())
    watched.page.goto(f"{panel.url}/claim#token={token}")
    watched.page.get_by_label("E-mail").fill(OWNER["email"])
    watched.page.get_by_label("Password").fill(OWNER["password"])
    watched.page.get_by_role("button", name="Become the owner").click()
    expect(watched.page.get_by_role("heading", name="Overview")).to_be_visible()
    return watched


def pending(page: Page) -> object:
    return page.locator(".notice", has_text="Changes wait for the next deployment")


def act(page: Page, name: str) -> None:
    """Choose from the menu of the service's head."""
    page.get_by_role("button", name="More actions").click()
    page.locator("#service-menu").get_by_role("button", name=name).click()


def see_success(page: Page) -> None:
    """Wait for the end of the deployment to whose page an action leads."""
    expect(page).to_have_url(re.compile("/deployments/"))
    expect(page.get_by_text("Succeeded").first).to_be_visible(timeout=60_000)


def test_saved_settings_and_variables_wait_for_a_deployment_on_every_tab(panel: Panel, signed_in: Watched) -> None:
    site = Site(panel, "shop").create()
    site.go_live(page("first"))
    at, tab = signed_in.page, f"{panel.url}/services/{site.id}"
    at.goto(f"{tab}/settings#process")
    expect(pending(at)).to_have_count(0)
    at.get_by_label("Stop grace").fill("20")
    expect(at.get_by_text("Not saved yet.")).to_be_visible()
    at.get_by_role("button", name="Save settings").click()
    expect(at.locator(".toast-card", has_text="Saved")).to_be_visible()
    expect(pending(at)).to_contain_text("stop grace 10 s→20 s")

    at.goto(f"{tab}/variables")
    at.get_by_text("Paste lines of a .env file").click()
    at.get_by_label("Lines").fill('LEVEL=debug\nGREETING="two words"')
    at.get_by_role("button", name="Set these variables").click()
    expect(at.locator(".toast-card", has_text="2 variables set")).to_be_visible()
    at.get_by_role("row", name=re.compile("LEVEL")).get_by_role("link", name="Edit").click()
    expect(at.get_by_label("Key", exact=True)).to_have_value("LEVEL")
    at.get_by_label("Value", exact=True).fill("info")
    at.get_by_role("button", name="Save").click()
    expect(at.get_by_role("row", name=re.compile("LEVEL"))).to_contain_text("info")
    for place in ("", "/deployments", "/output", "/domains", "/volumes", "/settings"):
        at.goto(tab + place)
        expect(pending(at)).to_contain_text("stop grace 10 s→20 s, variable GREETING added, variable LEVEL added")

    pending(at).get_by_role("button", name="Deploy again").click()  # the folder that was sent last
    see_success(at)
    at.goto(f"{tab}/variables")
    expect(pending(at)).to_have_count(0)
    assert signed_in.complaints == []


def test_a_service_is_scaled_stopped_and_started_from_any_tab(panel: Panel, signed_in: Watched) -> None:
    site = Site(panel, "shop").create()
    site.go_live(page("first"))
    at, tab = signed_in.page, f"{panel.url}/services/{site.id}"
    at.goto(f"{tab}/volumes")
    act(at, "Scale…")
    at.get_by_label("How many").fill("2")
    at.locator("#scale").get_by_role("button", name="Scale").click()
    see_success(at)
    assert site.get(f"/api/v1/services/{site.id}")["replicas"] == 2
    at.goto(f"{tab}/settings")
    expect(pending(at)).to_have_count(0)
    act(at, "Stop…")
    at.locator("#stop").get_by_role("button", name="Stop").click()
    see_success(at)
    at.goto(f"{tab}/domains")
    at.get_by_role("button", name="Start").click()
    see_success(at)
    assert signed_in.complaints == []


def test_container_options_are_folded_until_one_is_set_or_wrong(panel: Panel, signed_in: Watched) -> None:
    site = Site(panel, "shop").create()
    site.go_live(page("first"))
    at, tab = signed_in.page, f"{panel.url}/services/{site.id}"
    at.goto(f"{tab}/settings")
    at.get_by_role("link", name="Container").click()
    folded = at.get_by_text("Container options", exact=True)
    directory = at.get_by_label("Working directory")
    expect(directory).to_be_hidden()
    folded.focus()
    at.keyboard.press("Enter")
    directory.fill("srv")
    at.get_by_label("Folders in memory").fill("/cache=64")
    at.get_by_label("Path of file 1").fill("/proc/app.conf")
    at.get_by_label("Text of file 1").fill("listen 80\n")
    at.get_by_role("button", name="Save settings").click()
    summary = at.locator("[data-error-summary]")
    expect(summary).to_contain_text("Working directory")
    expect(summary).to_contain_text("File 1: this path belongs to the system")
    expect(directory).to_be_visible()
    expect(at.get_by_label("Folders in memory")).to_have_value("/cache=64")
    summary.get_by_role("link", name="this path belongs to the system").click()
    expect(at.get_by_label("Path of file 1")).to_be_in_viewport()
    assert serious_findings(at) == []
    directory.fill("/srv")
    at.get_by_label("Path of file 1").fill("/etc/app.conf")
    at.get_by_role("button", name="Save settings").click()
    expect(at.locator(".toast-card", has_text="Saved")).to_be_visible()
    for words in ("working directory none→/srv", "folder in memory /cache none→64 MiB", "file /etc/app.conf added"):
        expect(pending(at)).to_contain_text(words)
    expect(directory).to_have_value("/srv")
    expect(at.get_by_label("Path of file 2")).to_be_visible()
    assert [each for each in signed_in.complaints if "status of 422" not in each] == []


def test_a_privilege_is_asked_for_granted_and_shown(panel: Panel, signed_in: Watched) -> None:
    site = Site(panel, "shop").create()
    site.go_live(page("first"))
    at, tab = signed_in.page, f"{panel.url}/services/{site.id}"
    at.goto(f"{tab}/settings#container")
    at.get_by_text("Container options", exact=True).click()
    at.get_by_label("Further capabilities").fill("NET_ADMIN")
    at.get_by_role("button", name="Save settings").click()
    command = "orc services grant capability:NET_ADMIN --service shop"
    expect(at.locator("[data-error-summary]")).to_contain_text(command)
    with panel.client() as http:
        answer = http.put(f"/api/v1/services/{site.id}/privileges", json={"privileges": ["capability:NET_ADMIN"]})
        assert answer.status_code == 200, answer.text
    at.get_by_role("button", name="Save settings").click()
    expect(pending(at)).to_contain_text("further capabilities none→NET_ADMIN")
    at.goto(tab)
    expect(at.get_by_text("Reaches beyond its containers")).to_be_visible()
    at.get_by_role("link", name="See what it means").click()
    expect(at.get_by_text("may change interfaces, routes and packet filters")).to_be_visible()
    assert serious_findings(at) == []
