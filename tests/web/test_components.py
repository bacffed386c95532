"""What the macros draw: states, numbers, and above all that no value can become markup."""

from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from tests.web.conftest import LINES, draw, draw_error, draw_gallery, draw_palette, frame, log_line

from orca.web.lists import Chip, Column, Listing, ListQuery, RowGroup
from orca.web.render import _environment

HOSTILE = "\"><b id=x>' onclick=alert(1) hx-get=/evil data-hx-get=/evil {{ 7*7 }} javascript:alert(1)"


class Elements(HTMLParser):
    """Every start tag with its attributes."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def text_of(source: str, **values: Any) -> str:
    return " ".join(Elements(draw(source, **values)).text.split())


@pytest.mark.parametrize(
    ("state", "tone"),
    [
        ("healthy", "good"),
        ("SUCCEEDED", "good"),
        ("building", "busy"),
        ("crash_looping", "bad"),
        ("degraded", "warn"),
        ("superseded", "quiet"),
        ("never heard of", "quiet"),
    ],
)
def test_a_state_has_a_tone(state: str, tone: str) -> None:
    assert draw("{{ ui.tone_of(state) }}", state=state).strip() == tone
    assert f"tone-{tone}" in draw("{{ ui.state_pill(state) }}", state=state)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "\N{EN DASH}"), (0, "0 ms"), (0.0423, "42 ms"), (0.9999, "1000 ms"), (1, "1.0 s"), (9.96, "10.0 s"), (59.9, "59 s"),
        (60, "1 m 00 s"), (65.4, "1 m 05 s"), (3599, "59 m 59 s"), (3600, "1 h 00 m"), (7384, "2 h 03 m"),
    ],
)  # fmt: skip
def test_durations(seconds: float | None, shown: str) -> None:
    assert text_of("{{ ui.duration(seconds) }}", seconds=seconds) == shown


def test_moments() -> None:
    moment = datetime(2026, 11, 21, 2, 45, tzinfo=UTC)
    assert draw("{{ ui.relative_time(moment) }}", moment=moment).strip() == (
        '<time datetime="2026-11-21T02:45:00+00:00" data-relative>2026-11-21 02:45 UTC</time>'
    )
    assert text_of("{{ ui.relative_time(none) }}") == "never"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the release was not healthy", "The release was not healthy"),
        ("cancelled: by ada", "Cancelled: by ada"),
        ("orca.yaml has no port", "orca.yaml has no port"),
        ("`health.path` is wrong", '<code class="mono">health.path</code> is wrong'),
        ("set `health.path`", 'Set <code class="mono">health.path</code>'),
        ("", ""),
    ],
)
def test_sentences_of_the_house(text: str, shown: str) -> None:
    assert draw("{{ ui.sentence(text) }}", text=text).strip() == shown


def listing_of(text: str) -> Listing[dict[str, str]]:
    """A page of a list, with this text wherever one can come from a user."""
    row = {"id": text, "name": text, "state": text}
    return Listing(
        text, "/things", "/things/live", ListQuery(q=text, state=text, sort=text, group=text, after=text),
        [Column("name", text, sorts=True, optional=True), Column("more", text)], [Chip("kind", text, 1, is_chosen=True, href="/things")],
        [("kind", text)], [RowGroup(text, text, [row], 1, [(text, 1)])], 1, 1, text, text, text,
    )  # fmt: skip


MACROS = [
    "{{ ui.button(x, href=x, icon=x, attrs={'data-y': x}) }}",
    "{{ ui.button(x, type=x, attrs={'hx-post': x}) }}",
    "{{ ui.icon_button(x, x) }}",
    "{{ ui.copy_button(x, label=x) }}",
    "{{ ui.post_button(x, x, x) }}",
    "{{ ui.icon(x, label=x, class=x) }}",
    "{{ ui.state_pill(x, label=x) }}{{ ui.state_pill(x) }}{{ ui.tag(x, icon=x) }}",
    "{% call ui.card(x, lead=x, icon=x, actions=x, foot=x, id=x) %}{{ x }}{% endcall %}",
    "{% call ui.setting(x, x) %}{{ x }}{% endcall %}{{ ui.stats([(x, x, x)]) }}",
    "{% call ui.table([x, (x, x)], caption=x, id=x) %}<tr><td>{{ x }}</td></tr>{% endcall %}",
    "{{ ui.pagination(x, x, x) }}",
    "{{ ui.field(x, x, value=x, type=x, hint=x, error=x, prefix=x, suffix=x, attrs={'placeholder': x}) }}",
    "{{ ui.field(x, x, value=x, type=x, hint=x, error=x) }}",
    "{{ ui.secret_field(x, x, hint=x, error=x) }}{{ ui.textarea_field(x, x, value=x, hint=x, error=x) }}",
    "{{ ui.select_field(x, x, [x, (x, x)], x, hint=x, error=x) }}{{ ui.checkbox_field(x, x, value=x, hint=x, error=x) }}",
    "{{ ui.choice_field(x, x, [{'value': x, 'label': x, 'hint': x, 'icon': x}], x, error=x) }}",
    "{{ ui.sentence(x) }}{{ ui.sentence('a `' ~ x ~ '`') }}",
    "{{ ui.prose(x) }}{{ ui.prose('`' ~ x ~ '`') }}{{ ui.error_summary({x: x, '': x}, title=x) }}{{ ui.csrf(x) }}",
    "{{ ui.notice(x, x, actions=x) }}{{ ui.empty_state(x, x, x, action=x) }}{{ ui.toast(x, x) }}{{ ui.progress(x, 3) }}",
    "{{ ui.first_use(x, x, action=x) }}{{ ui.no_match(x, x, clear=x, label=x) }}{{ ui.all_well(x, x) }}",
    "{% call ui.success(x, x) %}{{ x }}{% endcall %}{{ ui.sparkline([1, none], x) }}{{ ui.heat_strip(x, [(x, 1)]) }}",
    "{{ ui.chart(x, {'times': [1], 'series': [{'label': x, 'values': [1]}], 'marks': [{'at': 1, 'label': x}], 'unit': x}) }}",
    "{{ ui.breadcrumbs([(x, x), (x, x)]) }}{{ ui.tabs([(x, x, x)], x, label=x) }}{{ ui.page_head(x, x) }}",
    "{{ ui.breadcrumbs([(x, '/projects/1'), (x, '/services/2')]) }}{{ ui.switcher_results([{'label': x, 'href': x, 'is_current': true}]) }}",
    "{{ ui.section_links({'label': x, 'items': [{'label': x, 'href': x, 'icon': x, 'group': x}]}, none) }}{{ ui.section_tabs({'label': x, 'items': [{'label': x, 'href': x, 'icon': x, 'group': x}]}, none) }}",
    "{% call ui.dialog(x, x) %}{{ x }}{% endcall %}",
    "{{ ui.confirm_dialog(x, x, x, x, x, submit=x, goes=[x], name=x, attrs={'hx-post': x}) }}",
    "{% call ui.menu(x, x, icon=x, text=x) %}{{ ui.menu_item(x, x, x) }}{{ ui.menu_form(x, x, x, x) }}{% endcall %}",
    "{{ ui.steps_list([{'label': x, 'state': x, 'seconds': none, 'started_at': none, 'note': x}], label=x, id=x) }}",
    "{{ ui.log_viewer(x, x, text=x, lines=[{'id': 1, 'step': x, 'text': x, 'level': 'none', 'at': now()}], older=true, download=x, label=x, state=x, over=true, labels={x: x}, cut=x) }}",
    "{{ ui.steps_list([{'label': x, 'state': 'failed', 'seconds': 1, 'started_at': none, 'note': x, 'line': 1}], slim=true) }}",
    "{{ ui.log_lines([{'step': x, 'text': '\x1b[1m' ~ x ~ '\x1b[' ~ x}]) }}",
    "{{ ui.facts([(x, x)]) }}{{ ui.code_block(x, label=x, prompt=true) }}{{ ui.copyable(x, shown=x, label=x) }}",
    "{{ ui.secret_once(x, id=x) }}{{ ui.palette(x) }}",
    "{% call ui.list_tools(listing, hidden={x: x}) %}{{ x }}{% endcall %}{% call ui.list_frame(listing) %}{{ x }}{% endcall %}",
    "{{ ui.list_chips(listing) }}{{ ui.list_chips(listing, tiles=true) }}{{ ui.list_no_match(listing) }}{{ ui.state_word(x) }}",
    "{% call(row) ui.list_rows(listing, bulk=true) %}{{ ui.list_cell(x, row.name, label=x) }}{% endcall %}",
    "{{ ui.list_bulk(x, x, [(x, x, x, x)], x) }}",
    "{{ ui.palette_results([{'label': x, 'items': [{'label': x, 'href': x, 'icon': x, 'note': x}]}], x) }}",
    "{{ ui.palette_results([{'label': x, 'items': [{'label': x, 'href': x, 'icon': x, 'note': x, 'posts': true}]}], x, x) }}",
]


@pytest.mark.parametrize("source", MACROS)
def test_a_value_never_becomes_markup(source: str) -> None:
    hostile = Elements(draw(source, x=HOSTILE, listing=listing_of(HOSTILE))).found
    harmless = Elements(draw(source, x="plain", listing=listing_of("plain"))).found
    assert [tag for tag, _ in hostile] == [tag for tag, _ in harmless]
    assert [set(attributes) for _, attributes in hostile] == [set(attributes) for _, attributes in harmless]


@pytest.mark.parametrize("source", MACROS)
def test_no_link_runs_code(source: str) -> None:
    text = "javascript:alert(1)"
    for _, attributes in Elements(draw(source, x=text, listing=listing_of(text))).found:
        assert not (attributes.get("href") or "").startswith("javascript"), attributes


@pytest.mark.parametrize(
    "address", ["/projects", "#log", "?after=1", "https://a.example", "ssh://git@a.example/b", "mailto:a@b.example"]
)
def test_good_addresses_stay(address: str) -> None:
    assert draw("{{ ui.safe_href(x) }}", x=address) == address


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", " javascript:alert(1)", "JaVaScRiPt:1", "data:text/html,x", "vbscript:x", "x"]
)
def test_other_addresses_lead_nowhere(address: str) -> None:
    assert draw("{{ ui.safe_href(x) }}", x=address) == "#"


def test_every_macro_is_tried_with_hostile_values() -> None:
    names = draw("{% for name in names %}{{ name }} {% endfor %}", names=exported()).split()
    tried = " ".join(MACROS)
    safe = {
        "mark",
        "drawing",
        "skeleton",
        "menu_line",
        "tone_of",
        "duration",
        "elapsed",
        "relative_time",
        "ansi",
        "safe_href",
    }
    assert [name for name in names if f"ui.{name}(" not in tried and name not in safe] == []


def exported() -> list[str]:
    module = _environment().get_template("components/ui.html").module
    return [name for name in vars(module) if not name.startswith("_")]


def test_pages_hold_no_inline_code_or_style() -> None:
    for markup in (draw_gallery(), draw_error(), draw_palette("")):
        for tag, attributes in Elements(markup).found:
            assert "style" not in attributes, tag
            assert not [name for name in attributes if name.startswith(("on", "hx-on", "data-hx-on"))], tag
            assert tag != "style"
            assert tag != "script" or (attributes["src"] or "").startswith("/static/dist/app.")


def test_every_icon_that_is_used_is_drawn() -> None:
    markup = draw_gallery()
    drawn = {attributes["id"] for tag, attributes in Elements(markup).found if tag == "symbol"}
    used = {(attributes["href"] or "")[1:] for tag, attributes in Elements(markup).found if tag == "use"}
    assert used <= drawn
    assert len(drawn) > 50


def test_ids_are_unique_and_labels_point_to_fields() -> None:
    found = Elements(draw_gallery()).found
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert sorted(ids) == sorted(set(ids))
    for _, attributes in found:
        for pointer in ("for", "aria-labelledby", "aria-describedby", "aria-controls", "popovertarget"):
            assert set((attributes.get(pointer) or "").split()) <= set(ids), attributes


@pytest.mark.parametrize(
    ("text", "markup"),
    [
        ("plain <b>", "plain &lt;b&gt;"),
        ("\x1b[31mred\x1b[0m not", '<span class="sgr-31">red</span> not'),
        ("\x1b[1;32mbold green\x1b[22m green\x1b[39m none", '<span class="sgr-1 sgr-32">bold green</span><span class="sgr-32"> green</span> none'),
        ("\x1b[97;41m both \x1b[m", '<span class="sgr-97 sgr-41"> both </span>'),
        ("\x1b[101mhigh\x1b[49m low", '<span class="sgr-101">high</span> low'),
        ("\x1b[4munder\x1b[24m", '<span class="sgr-4">under</span>'),
        ("\x1b[38;5;1mred\x1b[38;5;9m bright", '<span class="sgr-31">red</span><span class="sgr-91"> bright</span>'),
        pytest.param(f"\x1b[38;5;{'1' * 5000}mno colour", "no colour", id="a colour of 5,000 digits"),
    ],
)  # fmt: skip
def test_colours_become_classes(text: str, markup: str) -> None:
    assert draw("{{ ui.ansi(text) }}", text=text) == markup


def test_a_step_is_named_once() -> None:
    lines = [log_line(number, text, name) for number, (name, text) in enumerate(LINES)]
    markup = draw("{{ ui.log_viewer('log', '/api', text='/stream', lines=lines) }}", lines=lines)
    assert markup.count("log-step") == 2
    assert markup.count("log-line") == len(LINES)


def test_htmx_is_told_to_run_no_code() -> None:
    config = next(a["content"] for tag, a in Elements(draw_gallery()).found if a.get("name") == "htmx-config")
    for setting in (
        '"allowEval": false',
        '"allowScriptTags": false',
        '"selfRequestsOnly": true',
        '"historyCacheSize": 0',
    ):
        assert setting in (config or "")


@pytest.mark.parametrize(
    ("path", "current"),
    [
        ("/", ["Home:page"]),
        ("/projects", ["Projects:page"]),
        ("/projects/1", ["Projects:true"]),
        ("/services/1/settings", ["Projects:true"]),
        ("/deployments/1", ["Projects:true"]),
        ("/disk", ["Systems:true"]),
        ("/tokens", ["Settings:true"]),
        ("/dns/1", ["Settings:true"]),
        ("/projectiles", []),
    ],
)
def test_the_navigation_marks_where_one_is(path: str, current: list[str]) -> None:
    page = replace(frame(), path=path)
    markup = (
        _environment().from_string('{% extends "layout/base.html" %}{% block title %}x{% endblock %}').render(page=page)
    )
    found = Elements(markup).found
    links = [attributes for tag, attributes in found if attributes.get("class") == "nav-link" and "title" in attributes]
    assert [f"{each['title']}:{each['aria-current']}" for each in links if "aria-current" in each] == current
