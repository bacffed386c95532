"""Webhooks in a real browser: made, tried out, watched while they fail and are sent again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.conftest import Panel, copy_schema, make_panel, running_panel
from tests.e2e.test_credentials import claim_in, look_at
from tests.e2e.test_walk import Watched, browser
from tests.features.notifications.conftest import Receiver, receiver
from tests.features.notifications.test_deliveries import is_signed

__all__ = ["browser", "receiver"]
pytestmark = [pytest.mark.browser, pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def panel(tmp_path: Path, schema: Path) -> Iterator[Panel]:
    """A running panel that may send to this machine."""
    made = make_panel(tmp_path / "panel", ORC_WEBHOOK_PRIVATE_NETWORKS="true")
    with running_panel(copy_schema(schema, made)) as running:
        yield running


def test_a_webhook_is_made_tried_and_mended(panel: Panel, browser: Browser, receiver: Receiver) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    watched = Watched(context.new_page())
    page = watched.page
    claim_in(page, panel)
    page.get_by_role("link", name="Settings").first.click()
    page.get_by_role("link", name="Webhooks").first.click()
    expect(page.get_by_text("No webhooks yet")).to_be_visible()
    empty = look_at(panel, browser, context.storage_state(), ("/webhooks",))
    secret = make_one(page, receiver)
    try_it(page, receiver, secret)
    path = page.url.removeprefix(panel.url)
    assert [each for each in watched.complaints if "422" not in each] == []
    assert empty + look_at(panel, browser, context.storage_state(), ("/webhooks", path)) == []
    page.get_by_role("button", name="Delete", exact=True).first.click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No webhooks yet")).to_be_visible()


def make_one(page: Page, receiver: Receiver) -> str:
    page.get_by_label("Name").fill("Team chat")
    page.get_by_label("Address").fill("https://169.254.169.254/latest")
    page.get_by_label("deployment.finished").check()
    page.get_by_role("button", name="Make webhook").click()
    expect(page.locator("[data-error-summary]")).to_contain_text("where no webhook is sent to")
    expect(page.get_by_label("deployment.finished")).to_be_checked()
    page.get_by_label("Address").fill(receiver.url)
    page.get_by_role("button", name="Make webhook").click()
    expect(page.get_by_role("heading", name="Team chat")).to_be_visible()
    return page.get_by_label("Secret", exact=True).input_value()


def try_it(page: Page, receiver: Receiver, secret: str) -> None:
    """What comes of a message is shown without a reload."""
    receiver.answers = [500]
    page.get_by_role("link", name="Settings").first.click()
    page.get_by_role("link", name="Webhooks").first.click()
    page.get_by_role("link", name="Team chat").click()
    expect(page.get_by_text("Nothing was sent yet")).to_be_visible()
    page.get_by_role("button", name="Send test message").click()
    expect(page.get_by_text("The receiver answered 500.")).to_be_visible(timeout=20_000)
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_text("Delivered")).to_be_visible(timeout=20_000)
    assert len({each.headers["webhook-id"] for each in receiver.requests}) == 1
    assert all(is_signed(each, secret) for each in receiver.requests)
    assert secret not in page.content()
