"""The log viewer in a real Chromium: follows, colours, searches, and stays quick and bounded in a flood."""

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import CDPSession, Page, expect
from tests.web.conftest import LINES, Site, draw, draw_page, end_event, log_event, log_line

pytestmark = pytest.mark.browser
OpenTab = Callable[..., Page]


def log_page(site: Site, events: Callable[[], Iterator[str]], **options: Any) -> str:
    site.streams["/stream"] = events
    content = '{{ ui.log_viewer("log", "/api", text="/stream", **options) }}'
    return site.show("/page", draw_page(content, options={"lines": [], **options}))


def answer_lines(site: Site, *lines: dict[str, Any], older: int | None = None, total: int | None = None) -> None:
    page = {"items": lines, "older": older, "newer": None, "total": total}
    site.show("/api/lines", json.dumps(page, default=str), headers={"Content-Type": "application/json"})


def test_a_log_follows_its_stream(site: Site, open_tab: OpenTab) -> None:
    events = [
        log_event(0, "seen before", "build_image"),
        log_event(5, "one 🐋\ntwo\n", "build_image"),
        log_event(5, "again", "build_image"),
        log_event(15, "ten\rthree", "start_release"),
    ]
    lines = [log_line(0, "zero", "build_image")]
    labels = {"build_image": "Build image", "start_release": "Start release"}
    page = open_tab(log_page(site, lambda: iter([*events, end_event("failed")]), lines=lines, labels=labels))
    expect(page.locator("#log [data-log-state]")).to_have_text("failed")
    assert page.locator(".logs-text").all_text_contents() == ["zero", "one 🐋", "two", "three"]
    assert page.locator(".log-step").all_text_contents() == ["Build image", "Start release"]
    assert page.locator(".logs-row").evaluate_all("all => all.map(e => e.dataset.line)") == ["0", "5", "11", "15"]


def test_a_refused_stream_begins_again_behind_the_last_line(site: Site, open_tab: OpenTab) -> None:
    def events() -> Iterator[str]:
        yield log_event(0 if not asked else 9, "one" if not asked else "two")
        asked.append(1)
        if len(asked) > 1:
            yield end_event("succeeded")
        site.streams.pop("/stream")  # the browser itself tries again, and is refused for good

    asked: list[int] = []
    page = open_tab(log_page(site, events))
    expect(page.locator("#log [data-log-state]")).to_have_text("reconnecting")
    expect(page.locator(".logs-text")).to_have_text(["one"])
    page.wait_for_timeout(3500)
    site.streams["/stream"] = events
    expect(page.locator("#log [data-log-state]")).to_have_text("succeeded", timeout=15_000)
    expect(page.locator(".logs-text")).to_have_text(["one", "two"])
    assert any(path == "/stream?after=1" for _, path, _, _ in site.requests)


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
        for markup in page.locator(".logs-text").evaluate_all("all => all.map(e => e.innerHTML)")
    ]
    expected = [draw("{{ ui.ansi(text) }}", text=text) for text in texts]
    page.evaluate(
        "all => { window.drawn = all.map(t => new DOMParser().parseFromString(t, 'text/html').body.innerHTML) }",
        expected,
    )
    assert painted == [markup.replace('"', "'") for markup in page.evaluate("window.drawn")]


def test_a_log_is_searched_beyond_what_the_page_has(site: Site, open_tab: OpenTab) -> None:
    lines = [
        log_line(number, f"line {number} \x1b[31m{'odd' if number % 2 else 'even'}\x1b[0m") for number in range(20, 30)
    ]
    answer_lines(site, log_line(1, "an odd one", "fetch_source"), log_line(2, "even"), total=1)
    page = open_tab(log_page(site, lambda: iter([]), lines=lines, older=True, over=True, state="succeeded"))
    expect(page.locator("#log [data-log-state]")).to_have_text("succeeded")
    assert all(path != "/stream" for _, path, _, _ in site.requests)
    page.get_by_role("searchbox").fill("ODD")
    expect(page.locator("[data-logs-found]")).to_have_text("1 of 1")
    expect(page.locator(".logs-row")).to_have_count(2)
    assert page.locator(".log-step").all_text_contents() == ["fetch_source", "Build image"]
    assert page.evaluate("CSS.highlights.get('log-match').size") == 1
    assert any(path.startswith("/api/lines?") and "grep=ODD" in path for _, path, _, _ in site.requests)


def test_older_lines_come_when_scrolled_to_and_a_link_leads_to_a_line(site: Site, open_tab: OpenTab) -> None:
    lines = [log_line(number, f"line {number}") for number in range(300, 400)]
    answer_lines(site, *(log_line(number, f"line {number}") for number in range(200, 300)), older=None)
    site.streams["/stream"] = lambda: iter([])
    content = '<a href="?line=310#L310" data-logs-line="310">Jump</a>{{ ui.log_viewer("log", "/api", text="/stream", **options) }}'
    page = open_tab(site.show("/page", draw_page(content, options={"lines": lines, "older": True, "over": True})))
    page.wait_for_function(AT_END)
    page.get_by_role("link", name="Jump").click()
    expect(page.locator(".logs-here .logs-text")).to_have_text("line 310")
    assert page.url.endswith("/page#L310")
    page.locator(".log-view").hover()
    page.mouse.wheel(0, -4000)
    expect(page.locator(".logs-row")).to_have_count(200)
    expect(page.locator(".log-step")).to_have_count(1)


def test_following_stops_when_the_reader_scrolls_up(site: Site, open_tab: OpenTab) -> None:
    def events() -> Iterator[str]:
        for i in range(400):
            yield log_event(i, f"line {i}")
            time.sleep(0.005)

    page = open_tab(log_page(site, events))
    view, follow = page.locator(".log-view"), page.get_by_role("button", name="Follow")
    expect(page.locator(".logs-row").nth(100)).to_be_attached()
    page.wait_for_function(AT_END)
    view.hover()
    page.mouse.wheel(0, -400)
    expect(follow).to_have_attribute("aria-pressed", "false")
    expect(page.locator(".logs-row").nth(250)).to_be_attached()
    assert page.evaluate(AT_END) is False
    follow.click()
    expect(follow).to_have_attribute("aria-pressed", "true")
    page.wait_for_function(AT_END)


AT_END = "(v => v.scrollHeight - v.scrollTop - v.clientHeight < 40)(document.querySelector('.log-view'))"


def test_a_flood_keeps_the_browser_responsive_and_the_page_bounded(site: Site, open_tab: OpenTab) -> None:
    seconds, rate, limit = 4, 1000, 1500

    def events() -> Iterator[str]:
        start = time.monotonic()
        for i in range(seconds * rate):
            time.sleep(max(0, start + i / rate - time.monotonic()))
            yield log_event(i, f"\x1b[36m#{i}\x1b[0m " + "compiling a module with a long name " * 3)
        yield end_event("done")

    page = open_tab(log_page(site, events))
    browser = page.context.new_cdp_session(page)
    browser.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = main_thread_seconds(browser)
    expect(page.locator("[data-log-state]")).to_have_text("done", timeout=60_000)
    busy = main_thread_seconds(browser) - before
    expect(page.locator(".logs-text").last).to_have_text(re.compile(f"^#{seconds * rate - 1} "))
    assert page.locator(".logs-row").count() == limit
    assert busy < seconds / 2, "the page has at least half of its thread's time for the reader"


def main_thread_seconds(browser: CDPSession) -> float:
    """What the page's main thread has computed so far: processor time, which other programs cannot stretch."""
    metrics = {each["name"]: each["value"] for each in browser.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])


def test_a_log_that_leaves_the_page_ends_its_stream(site: Site, open_tab: OpenTab) -> None:
    def events() -> Iterator[str]:
        for i in range(1000):
            yield log_event(i, "tick")
            time.sleep(0.01)
            ticks.append(i)

    ticks: list[int] = []
    page = open_tab(log_page(site, events))
    expect(page.locator(".logs-row").first).to_be_attached()
    page.evaluate("htmx.swap('#main', '<p>gone</p>', { swapStyle: 'innerHTML' })")
    expect(page.locator("#main")).to_have_text("gone")
    time.sleep(0.5)
    stopped = len(ticks)
    time.sleep(0.5)
    assert len(ticks) == stopped
