"""Certificates and access to a DNS provider without a shell, in a real browser: uploaded from files, replaced, deleted."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key, pkcs12
from cryptography.x509 import load_pem_x509_certificate
from playwright.sync_api import Browser, Page, expect
from tests.conftest import Panel
from tests.e2e.test_credentials import claim_in, look_at
from tests.e2e.test_walk import Watched, browser
from tests.features.routing.bench import Issued, issue

__all__ = ["browser"]
pytestmark = [pytest.mark.browser, pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(300)]


def choose(page: Page, label: str, path: Path) -> None:
    page.get_by_label(f"File with the {label}").set_input_files(path)


def test_certificates_and_a_dns_provider(panel: Panel, browser: Browser, tmp_path: Path) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    watched = Watched(context.new_page())
    page = watched.page
    claim_in(page, panel)
    upload_what_fits_and_what_does_not(page, tmp_path)
    one = page.url.removeprefix(panel.url)
    replace_it_by_a_bundle(page, tmp_path)
    two = store_access_to_a_dns_provider(page, panel)
    assert [each for each in watched.complaints if "422" not in each] == []
    assert look_at(panel, browser, context.storage_state(), ("/certificates", one, two)) == []
    page.goto(f"{panel.url}{one}")
    page.get_by_role("button", name="Delete certificate").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("heading", name="Certificates", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="shop", exact=True)).to_have_count(0)


def upload_what_fits_and_what_does_not(page: Page, folder: Path) -> None:
    root = issue()
    fits, other = issue("shop.example.org", "www.example.org", issuer=root), issue("other.example.org")
    (folder / "chain.pem").write_text(fits.certificate + root.certificate)
    (folder / "other.key").write_text(other.key)
    (folder / "right.key").write_text(fits.key.replace("\n", "\r\n"))
    page.get_by_role("link", name="Settings").first.click()
    page.get_by_role("link", name="Certificates").first.click()
    expect(page.get_by_text("No certificates yet")).to_be_visible()
    page.locator("#name").fill("shop")
    choose(page, "certificate", folder / "chain.pem")
    choose(page, "private key", folder / "other.key")
    expect(page.locator("#private_key")).to_have_value(other.key)
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("[data-error-summary]")).to_contain_text("key")
    expect(page.locator("#certificate")).to_have_value((fits.certificate + root.certificate).strip())
    expect(page.locator("#private_key")).to_have_value("")
    choose(page, "private key", folder / "right.key")
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("heading", name="shop")).to_be_visible()
    expect(page.get_by_text("shop.example.org, www.example.org")).to_be_visible()


def replace_it_by_a_bundle(page: Page, folder: Path) -> None:
    page.locator("#certificate").fill("this is no certificate")
    page.get_by_role("button", name="Replace").click()
    expect(page.locator("[data-error-summary]")).to_contain_text("Nothing was replaced")
    (folder / "new.p12").write_bytes(bundle(issue("shop.example.org", days=40)))
    choose(page, "certificate", folder / "new.p12")
    page.locator("#password").fill("geheim")
    page.get_by_role("button", name="Replace").click()
    expect(page.get_by_text("Replaced for all names that use it")).to_be_visible()
    expect(page.get_by_text("www.example.org")).to_have_count(0)


def bundle(issued: Issued) -> bytes:
    leaf, key = load_pem_x509_certificate(issued.certificate.encode()), load_pem_private_key(issued.key.encode(), None)
    return pkcs12.serialize_key_and_certificates(b"shop", key, leaf, None, BestAvailableEncryption(b"geheim"))


def store_access_to_a_dns_provider(page: Page, panel: Panel) -> str:
    page.goto(f"{panel.url}/certificates")
    expect(page.locator("#dns_rfc2136_secret")).to_be_hidden()
    page.locator("#dns_provider").select_option("rfc2136")
    page.locator("#dns_name").fill("main")
    page.locator("#dns_zones").fill("example.org example.net")
    page.locator("#dns_rfc2136_server").fill("ns.example.org")
    page.locator("#dns_rfc2136_key_name").fill("orca")
    page.locator("#dns_rfc2136_secret").fill("Y2FuYXJ5")
    page.get_by_role("button", name="Store").click()
    expect(page.locator("[data-error-summary]")).to_contain_text("use an IP address")
    expect(page.locator("#dns_rfc2136_server")).to_be_visible()
    page.locator("#dns_rfc2136_server").fill("203.0.113.5")
    page.locator("#dns_rfc2136_secret").fill("Y2FuYXJ5")
    page.get_by_role("button", name="Store").click()
    expect(page.get_by_role("heading", name="main")).to_be_visible()
    expect(page.get_by_text("example.org, example.net").first).to_be_visible()
    assert "Y2FuYXJ5" not in page.content()
    return page.url.removeprefix(panel.url)
