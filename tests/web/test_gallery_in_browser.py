"""The components in a real Chromium under the panel's content policy: seen, read aloud, typed at, streamed into."""

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.web.conftest import LINES, Site, draw, draw_error, draw_gallery, draw_page, end_event, log_event

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
    page.get_by_role("button", name="You and the display").click()
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
    expect(chosen).to_contain_text("Overview")
    page.keyboard.press("ArrowUp")
    expect(chosen).to_contain_text("Account")
    page.keyboard.type("act")
    expect(page.locator("#palette [role=option]")).to_have_count(1)
    expect(chosen).to_contain_text("Activity")
    assert page.locator("#palette-search").get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    page.keyboard.press("Enter")
    page.wait_for_url("**/activity")


def test_the_palette_says_when_nothing_matches(site: Site, open_tab: OpenTab) -> None:
    page = open_tab(f"{site.address}/auto")
    page.get_by_role("button", name="Search or jump to").click()
    page.keyboard.type("<b>zzz")
    expect(page.locator(".palette-none")).to_have_text("Nothing matches “<b>zzz”.")


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
    page.get_by_role("button", name="You and the display").click()
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


def test_a_server_sent_fragment_replaces_a_part(site: Site, open_tab: OpenTab) -> None:
    site.streams["/events"] = lambda: held(["event: state\ndata: <b id='now'>running</b>\n\n"])
    content = '<div hx-ext="sse" sse-connect="/events"><div sse-swap="state">queued</div></div>'
    page = open_tab(site.show("/page", draw_page(content)))
    expect(page.locator("#now")).to_have_text("running")


def test_times_stay_fresh_when_events_morph_them(site: Site, open_tab: OpenTab) -> None:
    moment = datetime.now(UTC) - timedelta(minutes=3)
    part = "{{ ui.relative_time(moment) }}<p>{{ ui.elapsed(moment) }}</p><b>{{ word }}</b>"
    first = draw(part, moment=moment, word="one")
    event = "event: state\ndata: {}\n\n".format(" ".join(draw(part, moment=moment, word="two").split()))
    site.streams["/events"] = lambda: chain(held([], (event,), 1), held([]))
    live = 'sse-connect="/events"><div id="live" sse-swap="state" hx-swap="morph:innerHTML" hx-ext="morph">'
    page = open_tab(site.show("/page", draw_page(f'<div hx-ext="sse" {live}{first}</div></div>')))
    page.evaluate("""() => { window.seen = []; const look = () => { window.seen.push(document.querySelector('#live time').textContent);
        requestAnimationFrame(look) }; look() }""")
    expect(page.locator("#live b")).to_have_text("two")
    expect(page.locator("#live [data-elapsed]")).to_have_text(re.compile(r"^3 m \d\d s$"))
    assert page.evaluate("[...new Set(window.seen)]") == ["3 minutes ago"]


def held(first: list[str], then: tuple[str, ...] = (), seconds: float = 5) -> Iterator[str]:
    """Events, a pause, and the rest: a stream that stays open for a while."""
    yield from first
    time.sleep(seconds)
    yield from then


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


def test_a_toast_from_the_address_is_shown_once(site: Site, open_tab: OpenTab) -> None:
    site.show("/page", draw_gallery(toast="Signed out"))
    page = open_tab(f"{site.address}/page?a=1&toast=Signed+out")
    expect(page.locator("#toasts .toast-card")).to_have_text("Signed out")
    assert page.url.endswith("/page?a=1")


PROBLEM = {"title": "Conflict", "detail": "The name is taken", "hint": "Choose another"}


@pytest.mark.parametrize(
    ("body", "content_type", "shown"),
    [
        (lambda: json.dumps(PROBLEM), "application/problem+json", "The name is taken Choose another"),
        (lambda: draw_error(message="Only owners may"), "text/html", "Only owners may It may have been deleted."),
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


# ── logs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def log_page(site: Site, events: Callable[[], Iterator[str]], **options: Any) -> str:
    site.streams["/stream"] = events
    content = '{{ ui.log_viewer("log", src="/stream", **options) }}<p id="after" hx-get="/after" hx-trigger="orca:log-end from:#log"></p>'
    site.show("/after", "ended")
    return site.show("/page", draw_page(content, options=options))


def test_a_log_follows_its_stream(site: Site, open_tab: OpenTab) -> None:
    events = [
        log_event(5, "seen before"),
        log_event(6, "one\ntwo\n"),
        log_event(6, "again"),
        log_event(7, "ten\rthree", "Start"),
    ]
    lines = [{"step": "Build image", "text": "zero"}]
    page = open_tab(log_page(site, lambda: iter([*events, end_event("failed")]), lines=lines, offset=5))
    expect(page.locator("#log [data-log-state]")).to_have_text("failed")
    assert page.locator(".log-line").all_text_contents() == ["zero", "one", "two", "three"]
    assert page.locator(".log-step").all_text_contents() == ["Build image", "Start"]
    expect(page.locator("#after")).to_have_text("ended")


def test_browser_and_server_paint_alike(site: Site, open_tab: OpenTab) -> None:
    texts = [text for _, text in LINES] + [
        "\x1b[38;5;9mbright\x1b[0m \x1b[48;5;4mback\x1b[m",
        "\x1b[1mbold\x1b[22m plain",
        "\x1b[9mgone\x1b[0m",
    ]
    events = [log_event(i, text) for i, text in enumerate(texts)]
    page = open_tab(log_page(site, lambda: iter([*events, end_event("done")])))
    expect(page.locator("#log [data-log-state]")).to_have_text("done")
    painted = [
        markup.replace('"', "'")
        for markup in page.locator(".log-line").evaluate_all("all => all.map(e => e.innerHTML)")
    ]
    expected = [draw("{{ ui.ansi(text) }}", text=text) for text in texts]
    page.evaluate(
        "all => { window.drawn = all.map(t => new DOMParser().parseFromString(t, 'text/html').body.innerHTML) }",
        expected,
    )
    assert painted == [markup.replace('"', "'") for markup in page.evaluate("window.drawn")]


def test_a_log_is_searched(site: Site, open_tab: OpenTab) -> None:
    events = [log_event(i, f"line {i} \x1b[31m{'odd' if i % 2 else 'even'}\x1b[0m") for i in range(10)]
    late = (log_event(99, "an odd late one"), end_event("done"))
    page = open_tab(log_page(site, lambda: held(events, late, 1)))
    page.get_by_role("searchbox").fill("ODD")
    expect(page.locator("[data-log-state]")).to_have_text("done")
    expect(page.locator(".log-line:visible")).to_have_count(6)
    expect(page.locator("[data-log-found]")).to_have_text("6 of 11")
    assert page.evaluate("CSS.highlights.get('log-match').size") == 6
    page.get_by_role("searchbox").fill("")
    expect(page.locator(".log-line:visible")).to_have_count(11)


def test_following_stops_when_the_reader_scrolls_up(site: Site, open_tab: OpenTab) -> None:
    def events() -> Iterator[str]:
        for i in range(400):
            yield log_event(i, f"line {i}")
            time.sleep(0.005)

    page = open_tab(log_page(site, events))
    view, follow = page.locator(".log-view"), page.get_by_role("button", name="Follow")
    expect(page.locator(".log-line").nth(100)).to_be_attached()
    assert at_end(page)
    view.hover()
    page.mouse.wheel(0, -400)
    expect(follow).to_have_attribute("aria-pressed", "false")
    expect(page.locator(".log-line").nth(250)).to_be_attached()
    assert not at_end(page)
    follow.click()
    expect(follow).to_have_attribute("aria-pressed", "true")
    assert at_end(page)


def at_end(page: Page) -> bool:
    return bool(
        page.evaluate("(v => v.scrollHeight - v.scrollTop - v.clientHeight < 40)(document.querySelector('.log-view'))")
    )


def test_a_flood_keeps_the_browser_responsive_and_the_page_bounded(site: Site, open_tab: OpenTab) -> None:
    seconds, rate, limit = 4, 1000, 2000

    def events() -> Iterator[str]:
        start = time.monotonic()
        for i in range(seconds * rate):
            time.sleep(max(0, start + i / rate - time.monotonic()))
            yield log_event(i, f"\x1b[36m#{i}\x1b[0m " + "compiling a module with a long name " * 3)
        yield end_event("done")

    page = open_tab(log_page(site, events, limit=limit))
    page.evaluate("""() => { window.gaps = []; let last = performance.now();
        const tick = now => { window.gaps.push(now - last); last = now; requestAnimationFrame(tick) }; requestAnimationFrame(tick) }""")
    expect(page.locator("[data-log-state]")).to_have_text("done", timeout=30_000)
    gaps = sorted(page.evaluate("window.gaps"))
    assert page.locator(".log-line").last.text_content().startswith(f"#{seconds * rate - 1} ")
    assert limit - 100 <= page.locator(".log-line").count() <= limit + 100
    dropped = int(re.sub(r"\D", "", page.locator(".log-cut").text_content() or ""))
    assert dropped + page.locator(".log-line").count() == seconds * rate
    assert gaps[len(gaps) * 95 // 100] < 200, "ninety-five of a hundred frames come within 200 ms"


def test_a_log_that_leaves_the_page_ends_its_stream(site: Site, open_tab: OpenTab) -> None:
    def events() -> Iterator[str]:
        for i in range(1000):
            yield log_event(i, "tick")
            time.sleep(0.01)
            ticks.append(i)

    ticks: list[int] = []
    page = open_tab(log_page(site, events))
    expect(page.locator(".log-line").first).to_be_attached()
    page.evaluate("htmx.swap('#main', '<p>gone</p>', { swapStyle: 'innerHTML' })")
    expect(page.locator("#main")).to_have_text("gone")
    time.sleep(0.5)
    stopped = len(ticks)
    time.sleep(0.5)
    assert len(ticks) == stopped


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
