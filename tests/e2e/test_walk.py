"""From claim to rollback in a real browser: every page, both widths, both themes; the policy and axe are watched."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from tests.conftest import OWNER, ROOT, Panel, until
from tests.e2e.test_story import DOCKERFILE, web
from tests.sites import Site

pytestmark = [pytest.mark.browser, pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(600)]

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE = 20_000
SHELL = f"{DOCKERFILE}COPY busybox /bin/sh\n"
AXE = ROOT / "frontend" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield opened
        opened.close()


class Watched:
    """A page whose console must stay silent."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{self.page.url}: {message.text}")


def serious_findings(page: Page) -> list[str]:
    """What axe finds that keeps people out. Evaluated by the debugger, so the page's own policy stays as it is."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{page.url} {each['id']}: {each['nodes'][0]['html'][:120]}"
        for each in found["violations"]
        if each["impact"] in {"serious", "critical"}
    ]


def test_from_claim_to_rollback(panel: Panel, browser: Browser, tmp_path: Path) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    watched = Watched(context.new_page())
    page = watched.page

    token = (panel.data_dir / "claim-token").read_text().strip()
    page.goto(f"{panel.url}/claim#token={token}")
    page.get_by_label("E-mail").fill(OWNER["email"])
    page.get_by_label("Password").fill(OWNER["password"])
    page.get_by_role("button", name="Become the owner").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    assert token not in page.url

    page.goto(f"{panel.url}/projects")
    page.get_by_label("Name").fill("Shop")
    page.get_by_role("button", name="Make project").click()
    expect(page.get_by_role("heading", name="Shop")).to_be_visible()
    page.get_by_role("link", name="New service").first.click()
    page.locator("input[value=directory]").check()
    page.get_by_label("Name").fill("web")
    page.get_by_label("Port").fill("8080")
    page.get_by_role("button", name="Create only").click()
    expect(page.get_by_text("Nothing is deployed yet")).to_be_visible()

    site = Site(panel, "web", id=re.findall(r"/services/([0-9a-f-]+)", page.url)[0])
    page.goto(f"{panel.url}/services/{site.id}")
    site.deploy(web("first", SHELL))
    expect(page.get_by_text("Running").first).to_be_visible(timeout=60_000)  # live, without a reload
    site.go_live(web("second"))

    page.goto(f"{panel.url}/services/{site.id}/deployments")
    roll_back(page)
    until(lambda: site.answers().strip() == "first", seconds=60, what="the first release answers")

    page.goto(f"{panel.url}/services/{site.id}/variables")
    page.get_by_label("Key", exact=True).fill("GREETING")
    page.get_by_label("Value").fill("<b id=x>hello</b>")
    page.get_by_role("button", name="Set variable").click()
    expect(page.get_by_text("GREETING", exact=True)).to_be_visible()
    assert page.locator("#x").count() == 0

    use_shell(page, f"{panel.url}/services/{site.id}")
    give_access(page, f"{panel.url}/projects/{site.get(f'/api/v1/services/{site.id}')['project_id']}")

    failed = site.wait(site.deploy({"Dockerfile": "FROM scratch\nCOPY nothing /x\n"}))
    assert watched.complaints == []
    look_at_every_page(panel, browser, context.storage_state(), site, failed["id"])
    lose_shell(page, f"{panel.url}/services/{site.id}")


def roll_back(page: Page) -> None:
    page.get_by_role("link", name="Roll back to #1").click()
    plan = page.get_by_role("dialog", name="Roll back")
    expect(plan).to_contain_text("#2")
    assert serious_findings(page) == []
    plan.get_by_role("button", name="Roll back to #1").click()


def give_access(page: Page, project: str) -> None:
    page.goto(f"{project}/access")
    page.get_by_role("main").get_by_label("E-mail").fill(OWNER["email"])
    page.get_by_role("button", name="Give access").click()
    expect(page.get_by_role("cell", name="The whole project")).to_be_visible()


def use_shell(page: Page, service: str) -> None:
    """Open, type, resize, navigate: it is still there with what it had shown. Then leave it by keyboard, and close it."""
    screen, drawer = page.locator(".xterm-rows"), page.get_by_role("region", name="Shells")
    page.goto(service)
    page.get_by_role("button", name="Open a shell in replica 0").first.click()
    expect(screen).to_contain_text("#", timeout=PATIENCE)
    page.keyboard.type("echo $((6 * 7)); printf '\\033[38;2;10;200;30mgreen\\033[0m'; busybox stty size\n")
    expect(screen).to_contain_text(re.compile(r"green\d+ \d+"))
    assert page.get_by_text("green", exact=True).evaluate("each => getComputedStyle(each).color") != "rgb(0, 0, 0)"
    rows = int(re.findall(r"green(\d+) ", screen.inner_text())[0])
    page.get_by_role("separator", name="Height of the shells").focus()
    page.keyboard.press("End")
    screen.click(force=True)
    page.keyboard.type(f"until busybox stty size | busybox grep -v '^{rows} '; do :; done\n")
    expect(screen).to_contain_text(re.compile(r"done\d+ \d+"), timeout=PATIENCE)

    page.goto(f"{service}/deployments")
    expect(screen).to_contain_text("42", timeout=PATIENCE)
    expect(page.get_by_role("tab", name="web-0")).to_be_visible()
    screen.click(force=True)
    page.keyboard.type("echo still $((40 + 3))\n")
    expect(screen).to_contain_text("still 43")
    assert serious_findings(page) == []
    page.keyboard.press("Shift+F6")
    expect(page.get_by_role("tab", name="web-0")).to_be_focused()
    page.get_by_role("button", name="Close this shell").click()
    expect(drawer).to_be_hidden()
    page.reload()
    expect(drawer).to_have_count(0)


def lose_shell(page: Page, service: str) -> None:
    """A shell ends with the session of the browser, and says why."""
    page.goto(f"{service}#shell")
    expect(page.get_by_role("region", name="Shells")).to_have_count(0)  # an address from elsewhere opens none
    page.get_by_role("button", name="More actions").click()
    page.locator("#service-menu").get_by_role("button", name="Shell").click()
    expect(page.locator(".xterm-rows")).to_contain_text("#", timeout=PATIENCE)
    other = page.context.new_page()
    other.goto(service)
    other.get_by_role("button", name="Account and theme").click()
    other.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("region", name="Shells")).to_contain_text("your session ended", timeout=PATIENCE)


def look_at_every_page(panel: Panel, browser: Browser, signed_in: object, site: Site, failed: str) -> None:
    project = site.get(f"/api/v1/services/{site.id}")["project_id"]
    service = f"/services/{site.id}"
    route = site.get(f"/api/v1{service}/routes")["items"][0]["id"]
    paths = [
        "/", "/projects", f"/projects/{project}", f"/projects/{project}/variables", f"/projects/{project}/services/new",
        f"/projects/{project}/access",
        service, f"{service}/variables?edit=GREETING",
        f"{service}/deployments", f"{service}/output", f"{service}/variables", f"{service}/domains",
        f"{service}/volumes", f"{service}/settings", f"/deployments/{failed}", "/activity", "/tokens", "/account",
        "/api/docs", "/docs/errors", f"/routes/{route}/edit",
    ]  # fmt: skip
    findings: list[str] = []
    for width, height, scheme in ((1280, 860, "light"), (390, 844, "dark")):
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, storage_state=signed_in
        )
        watched = Watched(context.new_page())
        for path in paths:
            answer = watched.page.goto(panel.url + path)
            assert answer is not None
            assert answer.status == 200, path
            watched.page.wait_for_timeout(150)
            findings += serious_findings(watched.page)
            wide = watched.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{path} is {wide} pixels wide at {width}"
        findings += watched.complaints
        context.close()
    assert findings == []


def test_signing_in_is_asked_for_and_comes_back(panel: Panel, browser: Browser) -> None:
    token = (panel.data_dir / "claim-token").read_text().strip()
    with panel.client() as http:
        http.headers["Host"] = "localhost"
        assert http.post("/api/v1/claim", json={**OWNER, "token": token}).status_code == 201
    page = browser.new_context().new_page()
    page.goto(f"{panel.url}/projects")
    assert "/login?next=" in page.url
    page.get_by_label("E-mail").fill(OWNER["email"])
    page.get_by_label("Password").fill("not the right one")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Not signed in")).to_be_visible()
    page.get_by_label("Password").fill(OWNER["password"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Projects")).to_be_visible()
