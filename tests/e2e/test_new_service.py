"""A new service in a real browser: what is found is shown, fills the form, and never overwrites what was typed."""

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.conftest import OWNER, Panel, make_panel, running_panel, until
from tests.e2e.test_walk import Watched, browser, serious_findings
from tests.features.sources.steps.conftest import (
    GitServer,
    SshServer,
    make_repository,
    repositories,
    server,
    ssh_server,
    tls_files,
)

__all__ = ["browser", "make_repository", "repositories", "server", "ssh_server", "tls_files"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

SHOP = {
    "requirements.txt": "fastapi\nuvicorn\n", "main.py": "from fastapi import FastAPI\napp = FastAPI()\n",
    ".env": "TOKEN=x\n",
}  # fmt: skip
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def panel(tmp_path: Path, tls_files: tuple[Path, Path, str]) -> Iterator[Panel]:
    """A panel that may fetch from the test's own Git server."""
    (tmp_path / "authority.pem").write_text(tls_files[2])
    made = make_panel(
        tmp_path / "panel", ORC_GIT_PRIVATE_NETWORKS="true", ORC_GIT_CA_FILE=str(tmp_path / "authority.pem")
    )
    with running_panel(made) as panel:
        yield panel


def open_form(panel: Panel, page: Page) -> None:
    token = (panel.data_dir / "claim-token").read_text().strip()
    page.goto(f"{panel.url}/claim#token={token}")
    page.get_by_label("E-mail").fill(OWNER["email"])
    page.get_by_label("Password").fill(OWNER["password"])
    page.get_by_role("button", name="Become the owner").click()
    page.goto(f"{panel.url}/projects")
    page.get_by_label("Name").fill("Shop")
    page.get_by_role("button", name="Make project").click()
    page.get_by_role("link", name="New service").first.click()
    page.wait_for_url("**/services/new")  # loaded, with its scripts


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_what_is_found_is_shown_and_fills_the_form(
    panel: Panel, browser: Browser, server: GitServer, make_repository, width: int, scheme: str
) -> None:
    make_repository("storefront.git").commit(SHOP, message=EVIL)
    context = browser.new_context(viewport={"width": width, "height": 860}, color_scheme=scheme)
    watched = Watched(context.new_page())
    page = watched.page
    open_form(panel, page)
    page.locator("#port").fill("4000")
    page.locator("#repository").fill(server.url("/storefront.git"))
    page.keyboard.press("Tab")  # leaving the field is enough
    found = page.get_by_role("region", name="What was found")
    expect(found).to_contain_text("FastAPI", timeout=30_000)
    expect(found).to_contain_text("uvicorn main:app")
    expect(found).to_contain_text(EVIL)
    expect(found).to_contain_text(".env")
    expect(page.locator("#name")).to_have_value("storefront")
    expect(page.locator("#port")).to_have_value("4000")  # typed, so it stays
    expect(page.locator("#told-git")).to_contain_text("port 8000")
    found.get_by_text("The Dockerfile that Orca writes").press("Enter")
    expect(found.get_by_label("Dockerfile", exact=True)).to_contain_text("FROM python")
    assert serious_findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert watched.complaints == []

    page.locator("#branch").fill("mian")
    page.get_by_role("button", name="Look at it").press("Enter")
    told = page.locator("#found-git").get_by_role("alert")
    expect(told).to_contain_text("has no branch or tag mian", timeout=30_000)
    expect(told).to_contain_text("Its branches: main.")
    assert serious_findings(page) == []
    page.locator("#branch").fill("")
    page.keyboard.press("Tab")
    expect(found).to_contain_text("FastAPI", timeout=30_000)
    page.get_by_role("button", name="Create only").press("Enter")
    expect(page.get_by_role("heading", name="storefront")).to_be_visible()
    context.close()


def test_a_host_key_is_compared_trusted_and_the_source_found(
    panel: Panel, browser: Browser, make_repository, ssh_server: SshServer
) -> None:
    make_repository("app.git").commit(SHOP)
    page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
    open_form(panel, page)
    with panel.client() as http:
        key = {"name": "shop key", "kind": "ssh", "host": ssh_server.host}
        made = http.post("/api/v1/git-credentials", json=key).json()
    ssh_server.allow(made["public_key"])
    found = page.locator("#found-git")
    page.locator("#repository").fill(ssh_server.url("app.git"))
    page.keyboard.press("Tab")
    expect(found).to_contain_text(f"orc credentials add-key shop --host {ssh_server.host}", timeout=30_000)
    label = f"shop key · {ssh_server.host}"  # made after the page was opened
    page.locator("#git_credential_id").select_option(label=label)
    expect(found).to_contain_text(ssh_server.fingerprint, timeout=30_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert serious_findings(page) == []
    found.get_by_role("button", name="Trust this host").press("Enter")
    expect(found).to_contain_text("FastAPI", timeout=30_000)


def test_a_credential_is_never_chosen_by_itself(
    panel: Panel, browser: Browser, server: GitServer, make_repository
) -> None:
    make_repository("open.git").commit(SHOP)
    page = browser.new_context(viewport={"width": 1280, "height": 860}).new_page()
    open_form(panel, page)
    with panel.client() as http:
        for name in ("first", "second"):
            body = {"name": name, "kind": "token", "host": server.host, "token": "t"}
            http.post("/api/v1/git-credentials", json=body).raise_for_status()
    first, second = (f"{name} · {server.host}" for name in ("first", "second"))
    credential = page.locator("#git_credential_id")

    def chosen_after(act: Callable[[], object]) -> str:
        credential.evaluate("each => each.classList.add('of-before')")
        act()
        expect(page.locator(".of-before")).to_have_count(0, timeout=30_000)  # the look brought the credentials anew
        return page.locator("#git_credential_id option:checked").inner_text()

    page.locator("#repository").fill(server.url("/open.git"))
    assert chosen_after(lambda: page.keyboard.press("Tab")) == "None, it is public"
    assert credential.locator("option").all_inner_texts() == ["None, it is public", second, first]
    assert chosen_after(lambda: credential.select_option(label=first)) == first
    assert chosen_after(lambda: credential.select_option(label="None, it is public")) == "None, it is public"
    page.get_by_role("button", name="Create only").click()
    expect(page.get_by_role("heading", name="open")).to_be_visible()
    with panel.client() as http:
        made = http.get(f"/api/v1/services/{page.url.rpartition('/')[2]}").json()
    assert made["source"]["credential_id"] is None


def test_a_directory_is_explained_and_nothing_typed_is_told(panel: Panel, browser: Browser) -> None:
    page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
    open_form(panel, page)
    page.get_by_role("button", name="Look at it").click()
    expect(page.locator("#found-git")).to_contain_text("First type the repository")
    page.locator("input[value=directory]").check()
    page.get_by_text("Or by command").click()
    expect(page.get_by_text("orc deploy --project shop --service web")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert serious_findings(page) == []


@pytest.mark.docker
def test_a_folder_that_was_chosen_is_looked_at_sent_and_live(panel: Panel, browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "hello"
    for name, text in (
        ("index.html", "from the folder"),
        (".gitignore", "*.log\n"),
        ("a.log", ""),
        ("node_modules/x.js", ""),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    watched = Watched(browser.new_context(viewport={"width": 390, "height": 844}).new_page())
    page = watched.page
    open_form(panel, page)
    page.locator("input[value=directory]").check()
    for name, problem in (("../evil", "leads out of it"), ("bomb", "larger than it says")):
        page.locator("input[accept]").set_input_files(
            files=[{"name": "x.zip", "mimeType": "application/zip", "buffer": zip_of(name)}]
        )
        expect(page.get_by_text(problem)).to_be_visible()
    page.locator("input[webkitdirectory]").set_input_files(folder)
    expect(page.locator("[data-folder-state]")).to_contain_text("hello: 2 files")
    expect(page.locator("[data-folder-found]")).to_contain_text("Static site", timeout=30_000)
    expect(page.locator("#slug")).to_have_value("hello")
    assert serious_findings(page) == []
    page.get_by_role("button", name="Create and deploy").press("Enter")
    page.wait_for_url("**/deployments/*", timeout=30_000)
    until(lambda: panel.site("hello-shop.localhost").text == "from the folder", seconds=120, what="the folder is live")
    assert watched.complaints == []


def zip_of(name: str) -> bytes:
    """A zip file with one file of that name; `bomb` says that it is smaller than it is."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, b"0" * 100_000)
    return (
        buffer.getvalue().replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
        if name == "bomb"
        else buffer.getvalue()
    )


def test_a_name_that_was_only_found_does_not_stay_with_another_source(
    panel: Panel, browser: Browser, server: GitServer, make_repository
) -> None:
    make_repository("storefront.git").commit(SHOP)
    page = browser.new_context(viewport={"width": 1280, "height": 860}).new_page()
    open_form(panel, page)
    page.locator("#repository").fill(server.url("/storefront.git"))
    page.keyboard.press("Tab")
    expect(page.locator("#name")).to_have_value("storefront", timeout=30_000)
    page.locator("input[value=directory]").check()
    expect(page.locator("#name")).to_have_value("")
    expect(page.locator("#port")).to_have_value("")
    command = page.locator("#deploy-command")
    expect(command).to_have_text("orc deploy --project shop --service web")
    page.locator("#name").fill("Café Menü")
    expect(command).to_have_text("orc deploy --project shop --service cafe-menu")
    page.locator("input[value=image]").check()
    expect(page.locator("#name")).to_have_value("Café Menü")  # typed, so it stays
