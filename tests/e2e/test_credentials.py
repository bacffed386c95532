"""A private repository and its push hook without a shell: credentials and hooks in a real browser."""

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.conftest import OWNER, Panel
from tests.e2e.test_walk import Watched, browser, serious_findings
from tests.features.triggers.hosts import Delivery, deliver, push_body

__all__ = ["browser"]
pytestmark = [pytest.mark.browser, pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(300)]


def claim_in(page: Page, panel: Panel) -> None:
    page.goto(f"{panel.url}/claim#token={(panel.data_dir / 'claim-token').read_text().strip()}")
    page.get_by_label("E-mail").fill(OWNER["email"])
    page.get_by_label("Password").fill(OWNER["password"])
    page.get_by_role("button", name="Become the owner").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def make_service(panel: Panel, credential_id: str) -> str:
    with panel.client() as http:
        project = http.post("/api/v1/projects", json={"name": "Shop"}).json()
        source = {"type": "git", "repository": "git@github.com:acme/shop.git", "credential_id": credential_id}
        made = http.post(f"/api/v1/projects/{project['id']}/services", json={"name": "web", "source": source})
        return str(made.raise_for_status().json()["id"])


def push_to(address: str, sent: Delivery) -> int:
    return httpx.post(address, content=sent.body, headers=sent.headers).status_code


def test_a_key_a_token_and_a_hook(panel: Panel, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    watched = Watched(context.new_page())
    page = watched.page
    claim_in(page, panel)
    key_id = make_a_key(page)
    service = make_service(panel, key_id)
    lead_a_token_elsewhere_and_delete_it(page, panel)
    page.get_by_role("link", name="shop").click()
    expect(page.get_by_text("It is used by web")).to_be_visible()
    expect(page.get_by_role("button", name="Delete")).to_be_disabled()
    page.goto(f"{panel.url}/services/{service}")
    page.get_by_role("link", name="Push hooks").click()
    findings = make_a_hook_and_push(page)
    assert [each for each in watched.complaints if "422" not in each] == []
    paths = ("/credentials", f"/credentials/git/{key_id}", f"/services/{service}/hooks")
    assert findings + look_at(panel, browser, context.storage_state(), paths) == []


def make_a_key(page: Page) -> str:
    page.get_by_role("link", name="Settings").first.click()
    page.get_by_role("link", name="Credentials").click()
    expect(page.get_by_text("No credentials yet")).to_be_visible()
    page.get_by_role("textbox", name="Name").first.fill("shop")
    page.get_by_role("textbox", name="Git host").fill("github.com")
    page.get_by_role("button", name="Make credential").click()
    expect(page.get_by_text("ssh-ed25519 ")).to_be_visible()
    expect(page.get_by_text("Add deploy key")).to_be_visible()
    return page.url.rsplit("/", 1)[-1]


def lead_a_token_elsewhere_and_delete_it(page: Page, panel: Panel) -> None:
    page.goto(f"{panel.url}/credentials?kind=token&host=git.example.org")
    expect(page.get_by_label("Host keys")).to_be_hidden()
    page.get_by_role("textbox", name="Name").first.fill("acme")
    page.get_by_role("textbox", name="Token", exact=True).fill("canary-token")
    page.get_by_role("button", name="Make credential").click()
    expect(page.get_by_role("heading", name="acme")).to_be_visible()
    page.get_by_role("textbox", name="Git host").fill("elsewhere.example.org")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Nothing was saved")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("The credential is deleted")).to_be_visible()


def make_a_hook_and_push(page: Page) -> list[str]:
    """What axe finds while the secret is shown."""
    expect(page.get_by_text("Git hosts may not reach this panel")).to_be_visible()
    page.get_by_role("button", name="Make push hook").click()
    secret = page.get_by_label("Secret", exact=True).input_value()
    address = page.locator(".copyable").inner_text().strip()
    assert secret not in page.url
    findings = serious_findings(page)
    assert push_to(address, deliver("github", "another secret", push_body("github"))) == 401
    assert push_to(address, deliver("github", secret, push_body("github", branch="dev"))) == 200
    page.goto(page.url)
    expect(page.get_by_text("Its X-Hub-Signature-256 header does not fit the hook's secret")).to_be_visible()
    expect(page.get_by_text("Branch dev is not main", exact=True)).to_be_visible()
    assert secret not in page.content()
    return findings


def look_at(panel: Panel, browser: Browser, signed_in: object, paths: tuple[str, ...]) -> list[str]:
    """Both widths, both themes: what axe and the console say, and what is too wide."""
    findings: list[str] = []
    for width, scheme in ((1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")):
        viewport = {"width": width, "height": 860}
        context = browser.new_context(viewport=viewport, color_scheme=scheme, storage_state=signed_in)
        watched = Watched(context.new_page())
        for path in paths:
            watched.page.goto(panel.url + path)
            watched.page.wait_for_timeout(150)
            findings += serious_findings(watched.page)
            wide = watched.page.evaluate("document.documentElement.scrollWidth")
            findings += [f"{path} is {wide} pixels wide at {width}"] if wide > width else []
        findings += watched.complaints
        context.close()
    return findings
