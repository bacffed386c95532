"""The components in a real Chromium under the panel's content policy: seen, read aloud, typed at, streamed into."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.web.conftest import Site, draw, draw_error, draw_page, held

pytestmark = pytest.mark.browser
OpenTab = Callable[..., Page]


# ── accessible, in every theme and width ─────────────────────────────────────────────────────────────────────────


def serious(page: Page, front_end: Path) -> list[str]:
    """What axe finds, of weight serious or critical."""
    page.evaluate((front_end / "node_modules/axe-core/axe.min.js").read_text())
    found = page.evaluate("async () => (await axe.run()).violations")
    return [
        f"{rule['id']}: {node['html'][:160]}"
        for rule in found
        if rule["impact"] in {"serious", "critical"}
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 800, 390])
def test_axe_finds_nothing_serious(site: Site, open_tab: OpenTab, front_end: Path, theme: str, width: int) -> None:
    page = open_tab(f"{site.address}/{theme}", width, reduced_motion="reduce")
    expect(page.locator("#log [data-log-state]")).to_have_text("succeeded")
    assert serious(page, front_end) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_axe_finds_nothing_serious_in_what_opens(site: Site, open_tab: OpenTab, front_end: Path) -> None:
    page = open_tab(f"{site.address}/light", reduced_motion="reduce")
    page.keyboard.press("Control+k")
    expect(page.locator("#palette [role=option]").first).to_be_visible()
    assert serious(page, front_end) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Account and theme").click()
    expect(page.locator("#user-menu")).to_be_visible()
    assert serious(page, front_end) == []
    page.keyboard.press("Escape")
    page.locator(".setting [data-dialog-open]").click()
    expect(page.get_by_role("dialog", name="Delete web?")).to_be_visible()
    assert serious(page, front_end) == []


def test_the_error_page_is_accessible(site: Site, open_tab: OpenTab, front_end: Path) -> None:
    page = open_tab(site.show("/gone", draw_error()))
    expect(page.get_by_role("heading", name="Not Found")).to_be_visible()
    assert serious(page, front_end) == []


def test_charts_are_fetched_by_pages_that_have_some(site: Site, open_tab: OpenTab) -> None:
    plain = open_tab(site.show("/plain", draw_page("<p>Hello</p>")))
    expect(plain.locator("h1")).to_be_visible()
    assert plain.evaluate("document.fonts.ready.then(() => document.fonts.check('14px \"Geist Variable\"'))")
    assert not [path for _, path, _, _ in site.requests if "charts." in path]
    page = open_tab(f"{site.address}/light")
    expect(page.locator("[data-chart] canvas")).to_have_count(3)
    expect(page.locator(".chart-none")).to_have_text("No data in this time.")
    page.get_by_text("Numbers").first.click()
    expect(page.get_by_role("region", name="Requests, numbers").get_by_role("row").nth(1)).to_contain_text("UTC")


# ── keyboard ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_tab_skips_to_the_content(site: Site, open_tab: OpenTab) -> None:
    page = open_tab(site.show("/plain", draw_page("<p>Hello</p>")))
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


def test_the_palette_is_used_without_a_mouse(site: Site, open_tab: OpenTab) -> None:
    site.show("/activity", draw_page("<p>What happened</p>"))
    page = open_tab(f"{site.address}/auto")
    page.keyboard.press("Control+k")
    chosen = page.locator("[role=option][aria-selected=true]")
    expect(chosen).to_contain_text("Home")
    page.keyboard.press("ArrowUp")
    expect(chosen).to_contain_text("Account")
    page.keyboard.type("act")
    expect(page.locator("#palette [role=option]")).to_have_count(1)
    expect(chosen).to_contain_text("Activity")
    assert page.locator("#palette-search").get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    page.keyboard.press("Enter")
    page.wait_for_url("**/activity")


def test_single_keys_work_outside_of_fields_until_they_are_switched_off(site: Site, open_tab: OpenTab) -> None:
    site.show("/projects", draw_page("<p>All projects</p>"))
    content = '<input aria-label="Field">{{ ui.checkbox_field("single-keys", "Single keys", switch=true) }}'
    page = open_tab(site.show("/keys", draw_page(content)))
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.locator("#palette-search")).to_be_focused()
    assert page.locator("#palette-search").input_value() == ""
    page.keyboard.press("Escape")
    page.get_by_label("Field").fill("")
    page.keyboard.type("?/gp")
    expect(page.get_by_label("Field")).to_have_value("?/gp")
    page.get_by_role("switch", name="Single keys").uncheck()
    page.locator("h1").click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_hidden()
    page.get_by_role("switch", name="Single keys").check()
    page.locator("h1").click()
    page.keyboard.type("gp")
    page.wait_for_url("**/projects")


def test_a_part_of_the_breadcrumb_switches_to_its_neighbours(site: Site, open_tab: OpenTab) -> None:
    entries = [{"label": name, "href": f"/services/{name}", "is_current": name == "web"} for name in ("api", "web")]
    drawn = draw("{{ ui.switcher_results(entries) }}", entries=entries)
    site.show("/switcher/services", drawn)
    page = open_tab(f"{site.address}/auto")
    page.get_by_role("button", name="Switch service").click()
    expect(page.get_by_role("searchbox", name="Find a service")).to_be_focused()
    expect(page.get_by_role("link", name="api")).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name="api")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Switch service")).to_be_focused()


def test_long_names_leave_the_top_bar_whole(site: Site, open_tab: OpenTab) -> None:
    crumbs = "{{ ui.breadcrumbs([('Projects', '/projects'), ('a-very-long-project-' * 8, '/projects/1'), ('s' * 200, '/services/1')]) }}"
    for width in (1280, 800, 390):
        page = open_tab(site.show("/long", draw_page("<p>Hello</p>", crumbs=crumbs)), width)
        assert page.locator(".head").bounding_box()["height"] <= 53  # type: ignore[index]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(".search-button").evaluate("e => e.scrollHeight <= e.clientHeight + 1")


def test_the_palette_sends_what_does_something_with_the_token(site: Site, open_tab: OpenTab) -> None:
    page = open_tab(f"{site.address}/auto")
    page.route("**/deployed", lambda route: route.fulfill(body="<title>Queued</title>", content_type="text/html"))
    page.keyboard.press("Control+k")
    page.keyboard.type("deploy")
    expect(page.locator("[role=option][aria-selected=true]")).to_contain_text("Deploy web")
    with page.expect_request("**/deployed") as sent:
        page.keyboard.press("Enter")
    assert (sent.value.method, sent.value.post_data) == ("POST", "csrf_token=csrf-4242")
    page.wait_for_url("**/deployed")


@pytest.mark.parametrize("touch", [True, False])
def test_the_palette_shows_how_to_close_it_here(site: Site, open_tab: OpenTab, touch: bool) -> None:
    page = open_tab(f"{site.address}/auto", 390, has_touch=touch, is_mobile=touch)
    page.get_by_role("button", name="Search or jump to").click()
    escape, close = (
        page.locator("#palette kbd", has_text="Esc"),
        page.locator("#palette").get_by_role("button", name="Close"),
    )
    expect(escape).to_be_visible(visible=not touch)
    expect(close).to_be_visible(visible=touch)
    if touch:
        close.tap()
    else:
        page.keyboard.press("Escape")
    expect(page.locator("#palette")).to_be_hidden()


def test_an_address_opens_a_dialog_once(site: Site, open_tab: OpenTab) -> None:
    content = "{% call ui.dialog('stop', 'Stop web?') %}Really?{% endcall %}"
    address = site.show("/dialog", draw_page(content))
    page = open_tab(f"{address}#stop")
    expect(page.get_by_role("dialog", name="Stop web?")).to_be_visible()
    page.reload()
    expect(page.locator("#stop")).to_be_hidden()
    page.keyboard.press("Control+k")
    page.evaluate("location.hash = 'stop'")
    expect(page.locator("#stop")).to_be_visible()
    expect(page.locator("#palette")).to_be_hidden()


def test_the_palette_says_when_nothing_matches(site: Site, open_tab: OpenTab) -> None:
    page = open_tab(f"{site.address}/auto")
    page.get_by_role("button", name="Search or jump to").click()
    page.keyboard.type("<b>zzz")
    expect(page.locator(".palette-none")).to_have_text("Nothing matches “<b>zzz”.")


@pytest.mark.parametrize("name", ["web-" * 30, "a long name " * 10])
def test_a_long_name_leaves_the_note_its_room(site: Site, open_tab: OpenTab, name: str) -> None:
    item = {"label": name, "href": "/x", "icon": "search", "note": "shop · Production"}
    content = '<div class="palette">{{ ui.palette_results([{"label": "Services", "items": [item]}]) }}</div>'
    page = open_tab(site.show("/palette-item", draw_page(content, item=item)))
    note, whole = page.locator(".palette-note"), page.locator(".palette-item")
    assert note.evaluate("e => e.scrollWidth <= e.clientWidth")
    assert whole.evaluate("e => e.scrollWidth <= e.clientWidth")


def test_a_menu_is_used_without_a_mouse(site: Site, open_tab: OpenTab) -> None:
    page = open_tab(f"{site.address}/auto")
    opener = page.get_by_role("button", name="More actions")
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#service-menu").get_by_role("button", name="Restart")).to_be_focused()
    expect(opener).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name="Open logs")).to_be_focused()
    page.keyboard.press("Escape")
    expect(opener).to_be_focused()
    expect(opener).to_have_attribute("aria-expanded", "false")


def test_deleting_asks_for_the_name(site: Site, open_tab: OpenTab) -> None:
    page = open_tab(f"{site.address}/auto")
    page.locator(".setting [data-dialog-open]").click()
    dialog = page.get_by_role("dialog", name="Delete web?")
    delete = dialog.get_by_role("button", name="Delete service")
    expect(dialog.get_by_role("textbox")).to_be_focused()
    expect(delete).to_be_disabled()
    page.keyboard.type("we")
    expect(delete).to_be_disabled()
    page.keyboard.type("b")
    expect(delete).to_be_enabled()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


# ── theme ────────────────────────────────────────────────────────────────────────────────────────────────────────


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_the_theme_follows_the_system_until_it_is_chosen(site: Site, open_tab: OpenTab) -> None:
    page = open_tab(f"{site.address}/auto", color_scheme="dark")
    dark = background(page)
    page.emulate_media(color_scheme="light")
    light = background(page)
    assert light != dark
    page.get_by_role("button", name="Account and theme").click()
    page.locator("#user-menu").get_by_role("button", name="Dark").click()
    assert background(page) == dark
    expect(page.locator("[data-theme-set=dark]")).to_have_attribute("aria-pressed", "true")
    cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
    assert cookies["orca_theme"] == "dark"
    page.locator("#user-menu").get_by_role("button", name="As the system").click()
    assert background(page) == light


# ── htmx under the policy ────────────────────────────────────────────────────────────────────────────────────────


def test_fragments_are_swapped_and_morphed_under_trusted_types(site: Site, open_tab: OpenTab) -> None:
    fragment = '<p id="said">swapped</p><script>window.ran = true</script><img src="x" onerror="window.ran = true">'
    site.show("/fragment", fragment.replace('<img src="x" onerror="window.ran = true">', ""))
    site.show("/morph", '<div id="live"><input id="keep"><p>second</p></div>')
    content = """
    <button hx-get="/fragment" hx-target="#here">Swap</button><div id="here"></div>
    <div hx-ext="morph"><div id="live"><input id="keep"><p>first</p></div>
    <button hx-get="/morph" hx-target="#live" hx-swap="morph:outerHTML" hx-trigger="click, keyup from:#keep">Morph</button></div>
    """
    page = open_tab(site.show("/page", draw_page(content)))
    page.get_by_role("button", name="Swap").click()
    expect(page.locator("#said")).to_have_text("swapped")
    page.locator("#keep").focus()
    page.keyboard.type("x")
    expect(page.locator("#live p")).to_have_text("second")
    expect(page.locator("#keep")).to_be_focused()
    assert page.evaluate("window.ran") is None
    headers = next(headers for _, path, headers, _ in site.requests if path == "/fragment")
    assert headers["X-CSRF-Token"] == "csrf-4242"


def test_code_from_strings_is_refused(site: Site, chromium: Browser) -> None:
    page = chromium.new_page()
    page.goto(f"{site.address}/auto")
    attempt = "{ const s = document.createElement('script'); try { s.%s; return 'taken' } catch (e) { return e.name } }"
    assert page.evaluate("() => " + attempt % "src = '/evil.js'") == "TypeError"
    assert page.evaluate("() => " + attempt % "text = 'window.ran = true'") == "TypeError"
    page.close()


def test_htmx_keeps_its_settings(site: Site, open_tab: OpenTab) -> None:
    config = open_tab(f"{site.address}/auto").evaluate("htmx.config")
    wanted = {"allowEval": False, "allowScriptTags": False, "selfRequestsOnly": True, "historyCacheSize": 0}
    assert {key: config[key] for key in wanted} == wanted
    assert config["includeIndicatorStyles"] is False


def test_a_live_part_shows_what_changed_and_keeps_what_is_typed(site: Site, open_tab: OpenTab) -> None:
    row = '<tr id="row-{0}" data-state="{1}"><td>{1}</td></tr>'
    table = '<input id="note"><table class="list"><tbody>{0}{1}</tbody></table>'
    whole = table.format(row.format("a", "queued"), row.format("b", "queued"))
    events = [f"event: whole\ndata: {whole}\n\n"]
    then = (f"event: parts\ndata: {row.format('b', 'running')}\n\n",)
    site.streams["/events"] = lambda: chain(held(events, then, 1), held([]))
    page = open_tab(site.show("/page", draw_page(f'<div data-live="/events">{whole}</div>')))
    page.locator("#note").fill("half typed")
    expect(page.locator("#row-b")).to_have_class(re.compile("flash"))
    expect(page.locator("#row-b")).to_have_text("running")
    expect(page.locator("#row-a")).to_have_text("queued")
    expect(page.locator("#note")).to_have_value("half typed")
    expect(page.locator("#note")).to_be_focused()


def test_times_stay_fresh_when_events_morph_them(site: Site, open_tab: OpenTab) -> None:
    moment = datetime.now(UTC) - timedelta(minutes=3)
    part = "{{ ui.relative_time(moment) }}<p>{{ ui.elapsed(moment) }}</p><b>{{ word }}</b>"
    first = draw(part, moment=moment, word="one")
    event = "event: whole\ndata: {}\n\n".format(" ".join(draw(part, moment=moment, word="two").split()))
    site.streams["/events"] = lambda: chain(held([], (event,), 1), held([]))
    page = open_tab(site.show("/page", draw_page(f'<div data-live="/events"><div id="live">{first}</div></div>')))
    page.evaluate("""() => { window.seen = []; const look = () => { const time = document.querySelector('[data-live] time');
        if (time) window.seen.push(time.textContent); requestAnimationFrame(look) }; look() }""")
    expect(page.locator("[data-live] b")).to_have_text("two")
    expect(page.locator("[data-live] [data-elapsed]")).to_have_text(re.compile(r"^3 m \d\d s$"))
    assert page.evaluate("[...new Set(window.seen)]") == ["3 minutes ago"]


def test_a_summary_leads_to_the_field_with_the_same_message(site: Site, open_tab: OpenTab) -> None:
    form = '<form>{{ ui.error_summary({"ports.0.port": "Too high"}) }}{{ ui.field("port", "Port", error="Too high") }}</form>'
    page = open_tab(site.show("/page", draw_page(form)))
    page.get_by_role("link", name="Too high").click()
    expect(page.get_by_label("Port")).to_be_focused()


def test_a_refused_form_comes_back_with_the_focus_on_what_is_wrong(site: Site, open_tab: OpenTab) -> None:
    form = """<form id="f" hx-post="/save" hx-target="this" hx-swap="outerHTML">{{ ui.csrf("t") }}
    {{ ui.error_summary(errors) }}{{ ui.field("name", "Name", error=errors.get("name", "")) }}
    {{ ui.button("Save", type="submit") }}</form>"""
    errors = {"name": "The name is taken"}
    page = open_tab(site.show("/page", draw_page(form, errors={})))
    site.show("/save", draw(form, errors=errors), status=422)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert").filter(has_text="Nothing was saved")).to_be_focused()
    page.get_by_role("link", name="The name is taken").click()
    expect(page.get_by_label("Name")).to_be_focused()


# ── toasts ───────────────────────────────────────────────────────────────────────────────────────────────────────


def toast_header(**toast: str) -> dict[str, str]:
    return {"HX-Trigger": json.dumps({"toast": toast})}


def test_the_server_asks_for_a_toast(site: Site, open_tab: OpenTab) -> None:
    page = open_tab(site.show("/page", draw_page('<button hx-post="/do" hx-swap="none">Do</button>')))
    site.show("/do", "", headers=toast_header(text="Saved “web” <b>", tone="good"))
    page.get_by_role("button", name="Do").click()
    expect(page.get_by_role("status").filter(has_text="Saved “web” <b>")).to_be_visible()
    page.get_by_role("button", name="Dismiss").click()
    expect(page.locator(".toast-card")).to_have_count(0)


def test_a_toast_survives_a_redirect(site: Site, open_tab: OpenTab) -> None:
    page = open_tab(site.show("/page", draw_page('<button hx-post="/do">Do</button>')))
    site.show("/next", draw_page("<p>Next</p>"))
    site.show("/do", "", headers={**toast_header(text="Created"), "HX-Redirect": "/next"})
    page.get_by_role("button", name="Do").click()
    page.wait_for_url("**/next")
    expect(page.locator(".toast-card")).to_have_text("Created")


PROBLEM = {"title": "Conflict", "detail": "The name is taken", "hint": "Choose another"}


@pytest.mark.parametrize(
    ("body", "content_type", "shown"),
    [
        (lambda: json.dumps(PROBLEM), "application/problem+json", "The name is taken Choose another"),
        (lambda: draw_error(message="Only owners may"), "text/html", "Only owners may. It may have been deleted."),
        (lambda: "<html>Bad</html>", "text/html", "The server answered 409 Reload the page and try again."),
    ],
    ids=["problem", "page", "proxy"],
)
def test_a_failure_says_its_cause(
    site: Site, open_tab: OpenTab, body: Callable[[], str], content_type: str, shown: str
) -> None:
    page = open_tab(site.show("/page", draw_page('<button hx-post="/do">Do</button>')))
    site.show("/do", body(), status=409, headers={"Content-Type": content_type})
    page.get_by_role("button", name="Do").click()
    alert = page.locator("#toasts-urgent .toast-card")
    expect(alert).to_be_visible()
    assert " ".join(alert.locator("p").all_text_contents()) == shown


# ── small things ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_copying(site: Site, open_tab: OpenTab) -> None:
    content = '{{ ui.copyable("sha256:9f86d081884c", shown="9f86d0") }}{{ ui.secret_once("orc_pat_1") }}'
    page = open_tab(site.show("/page", draw_page(content)), permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "sha256:9f86d081884c"
    page.get_by_role("button", name="Copy secret").click()
    assert page.evaluate("navigator.clipboard.readText()") == "orc_pat_1"


def test_a_secret_is_shown_on_request(site: Site, open_tab: OpenTab) -> None:
    page = open_tab(site.show("/page", draw_page('{{ ui.secret_field("token", "Token") }}')))
    field = page.get_by_label("Token", exact=True)
    expect(field).to_have_attribute("type", "password")
    page.get_by_role("button", name="Show token").click()
    expect(field).to_have_attribute("type", "text")


def test_times_are_fresh(site: Site, open_tab: OpenTab) -> None:
    content = '<time id="t" datetime="2020-01-01T00:00:00Z" data-relative>2020-01-01 00:00 UTC</time>'
    page = open_tab(site.show("/page", draw_page(content)))
    expect(page.locator("#t")).to_have_text(re.compile(r"^\d+ years ago$"))
    page.goto(f"{site.address}/auto")
    counting = page.locator("[data-elapsed]").first
    first = counting.text_content() or ""
    assert re.fullmatch(r"\d+ s", first)
    expect(counting).not_to_have_text(first)
