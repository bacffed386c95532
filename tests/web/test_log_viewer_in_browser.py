"""The log viewer in a real Chromium: follows, colours, searches, and stays quick and bounded in a flood."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import CDPSession, Page, expect
from tests.web.conftest import LINES, Site, draw, draw_page, end_event, held, log_event

pytestmark = pytest.mark.browser
OpenTab = Callable[..., Page]


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


def test_steps_are_called_the_same_while_following(site: Site, open_tab: OpenTab) -> None:
    events = [log_event(1, "two", "build_image"), log_event(2, "three", "undo"), log_event(3, "four", "constructor")]
    lines = [{"step": "Build image", "text": "one"}]
    labels = {"build_image": "Build image", "undo": "Undo"}
    stream = log_page(site, lambda: iter([*events, end_event("cancelled")]), lines=lines, offset=0, labels=labels)
    page = open_tab(stream)
    expect(page.locator("#log [data-log-state]")).to_have_text("cancelled")
    assert page.locator(".log-step").all_text_contents() == ["Build image", "Undo", "constructor"]


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


def test_a_search_shows_the_headings_of_what_it_found(site: Site, open_tab: OpenTab) -> None:
    lines = [{"step": "Fetch source", "text": "even"}, {"step": "Build image", "text": "odd"}]
    events = [log_event(1, "even", "Start release"), log_event(2, "even", "Check health")]
    late = (log_event(3, "an odd late one", "Check health"), end_event("done"))
    page = open_tab(log_page(site, lambda: held(events, late, 1), lines=lines, offset=0))
    expect(page.locator(".log-step")).to_have_count(4)
    page.get_by_role("searchbox").fill("odd")
    expect(page.locator(".log-step:visible").first).to_have_text("Build image")
    expect(page.locator("[data-log-state]")).to_have_text("done")
    expect(page.locator(".log-step:visible")).to_have_text(["Build image", "Check health"])
    page.get_by_role("searchbox").fill("")
    expect(page.locator(".log-step:visible")).to_have_count(4)


def test_following_stops_when_the_reader_scrolls_up(site: Site, open_tab: OpenTab) -> None:
    def events() -> Iterator[str]:
        for i in range(400):
            yield log_event(i, f"line {i}")
            time.sleep(0.005)

    page = open_tab(log_page(site, events))
    view, follow = page.locator(".log-view"), page.get_by_role("button", name="Follow")
    expect(page.locator(".log-line").nth(100)).to_be_attached()
    page.wait_for_function(AT_END)
    view.hover()
    page.mouse.wheel(0, -400)
    expect(follow).to_have_attribute("aria-pressed", "false")
    expect(page.locator(".log-line").nth(250)).to_be_attached()
    assert page.evaluate(AT_END) is False
    follow.click()
    expect(follow).to_have_attribute("aria-pressed", "true")
    page.wait_for_function(AT_END)


AT_END = "(v => v.scrollHeight - v.scrollTop - v.clientHeight < 40)(document.querySelector('.log-view'))"


def test_a_flood_keeps_the_browser_responsive_and_the_page_bounded(site: Site, open_tab: OpenTab) -> None:
    seconds, rate, limit = 4, 1000, 2000

    def events() -> Iterator[str]:
        start = time.monotonic()
        for i in range(seconds * rate):
            time.sleep(max(0, start + i / rate - time.monotonic()))
            yield log_event(i, f"\x1b[36m#{i}\x1b[0m " + "compiling a module with a long name " * 3)
        yield end_event("done")

    page = open_tab(log_page(site, events, limit=limit))
    browser = page.context.new_cdp_session(page)
    browser.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = main_thread_seconds(browser)
    expect(page.locator("[data-log-state]")).to_have_text("done", timeout=60_000)
    busy = main_thread_seconds(browser) - before
    assert page.locator(".log-line").last.text_content().startswith(f"#{seconds * rate - 1} ")
    assert limit - 100 <= page.locator(".log-line").count() <= limit + 100
    dropped = int(re.sub(r"\D", "", page.locator(".log-cut").text_content() or ""))
    assert dropped + page.locator(".log-line").count() == seconds * rate
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
    expect(page.locator(".log-line").first).to_be_attached()
    page.evaluate("htmx.swap('#main', '<p>gone</p>', { swapStyle: 'innerHTML' })")
    expect(page.locator("#main")).to_have_text("gone")
    time.sleep(0.5)
    stopped = len(ticks)
    time.sleep(0.5)
    assert len(ticks) == stopped
