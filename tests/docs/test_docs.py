"""What is written down is complete, and true of the code beside it."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from fastapi.routing import iter_route_contexts
from scripts import reference_pages as pages
from tests.conftest import make_settings

from orca.app import create_app
from orca.cli.parser import load, make_parser
from orca.cli.reference import render_reference
from orca.cli.tree import SECTIONS
from orca.features.access.permissions import all_permissions, all_roles
from orca.features.services.orca_file import orca_file_schema
from orca.web.guard import PUBLIC, SIGNED_IN, UNCLAIMED, GuardedRoute
from orca.web.openapi import describe_api
from orca.web.reference import operations

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
WRITTEN = sorted([*ROOT.glob("*.md"), *(path for path in DOCS.rglob("*.md") if path.parent.name != "reference")])
GENERATED = sorted((DOCS / "reference").iterdir())
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
SENTENCE = re.compile(r"[A-Z0-9`*].*[.!?)]", re.DOTALL)
VARIABLE = re.compile(r"\b(?:ORC_[A-Z][A-Z_]*[A-Z]|DATABASE_URL)\b")
ENTRIES = [(entry, verb) for entries in SECTIONS.values() for entry in entries for verb in (*entry.verbs, None)]
COMMANDS = [(entry, verb) for entry, verb in ENTRIES if (verb is None) != bool(entry.verbs)]


def is_sentence(text: str | None) -> bool:
    return bool(text) and SENTENCE.fullmatch(" ".join(str(text).split())) is not None


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("variable", "field"), [(name, field) for name, _, _, field in pages.settings_fields()])
def test_every_setting_says_what_it_does(variable: str, field: Any) -> None:
    assert is_sentence(field.description), f"{variable} needs a description that is a sentence"
    assert f"`{variable}`" in pages.render_settings()


def test_settings_that_texts_name_exist() -> None:
    known = {name for name, _, _, _ in pages.settings_fields()}
    of_the_command_line = set(VARIABLE.findall(render_reference()))
    of_the_tests = {"ORC_CRASH_AT", "ORC_TEST_SEED", "ORC_TEST_ALL"}
    texts = {path.name: path.read_text() for path in WRITTEN} | {"errors.yml": (DOCS / "errors.yml").read_text()}
    for name, text in texts.items():
        unknown = set(VARIABLE.findall(text)) - known - of_the_command_line - of_the_tests
        assert not unknown, f"{name} names settings that do not exist: {sorted(unknown)}"


# ── orca.yaml ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_key_of_orca_yaml_says_what_it_means() -> None:
    schema = orca_file_schema()
    parts = {"orca.yaml": schema, **schema["$defs"]}
    silent = [
        f"{part}.{key}"
        for part, described in parts.items()
        for key, value in described.get("properties", {}).items()
        if not is_sentence(value.get("description"))
    ]
    assert silent == [], "these keys need a description that is a sentence"


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("entry", "verb"), COMMANDS, ids=lambda each: getattr(each, "name", each) or "")
def test_every_command_explains_itself(entry: Any, verb: str | None) -> None:
    command = load(entry, verb)
    parser = make_parser(entry, verb, command)
    assert is_sentence(entry.verbs[verb] if verb else entry.summary)
    assert f"orc {entry.name}" in command.example, "an example shows how it is used"
    silent = [action.dest for action in parser._actions if not action.help]
    assert silent == [], f"these arguments of {parser.prog} need a help text"
    assert parser.prog in render_reference()


def test_commands_that_texts_name_exist() -> None:
    """Every `orc …` of the pages, in code spans and in blocks, is a command with such options."""
    for path in WRITTEN:
        for line in orc_lines(path.read_text()):
            words = shlex.split(line, comments=True)[1:]
            assert is_command(words), f"{path.relative_to(ROOT)}: there is no `{line}`"


def orc_lines(text: str) -> Iterator[str]:
    yield from re.findall(r"`(orc [a-z][^`\n]*)`", text)
    for block in re.findall(r"```(?:sh|console)?\n(.*?)```", text, re.DOTALL):
        yield from (line for line in block.splitlines() if line.startswith("orc "))


def is_command(words: list[str]) -> bool:
    words = [word for word in words if word != "…"]
    named = {entry.name: entry for entries in SECTIONS.values() for entry in entries}
    entry = named.get(words[0]) if words else None
    if entry is None:
        return bool(words) and words[0] in {"--help", "COMMAND"}
    verb = words[1] if len(words) > 1 and words[1] in entry.verbs else None
    if entry.verbs and verb is None:
        return len(words) == 1
    parser = make_parser(entry, verb, load(entry, verb))
    known = {option for action in parser._actions for option in action.option_strings}
    takes = [action for action in parser._actions if not action.option_strings]
    given = words[2 if verb else 1 :]
    given = given[: given.index("--")] if "--" in given else given
    options = {word.split("=")[0] for word in given if word.startswith("-")}
    return options <= known and (bool(takes) or not given or given[0].startswith(("-", "<")))


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_error_code_has_a_meaning_and_a_remedy() -> None:
    known, remedies = pages.error_classes(), pages.read_texts("errors.yml")
    assert sorted(known) == sorted(remedies), "docs/errors.yml and the classes of errors must name the same codes"
    for code, error in known.items():
        assert "__doc__" in vars(error), f"{error.__qualname__} needs a docstring"
        assert is_sentence(error.__doc__), f"{error.__qualname__} needs a docstring that is a sentence"
        assert is_sentence(remedies[code]), f"{code} needs a remedy of whole sentences"
        assert len(remedies[code]) >= 50, f"{code}: what to do is too short to help"


def test_codes_are_of_one_class_each() -> None:
    found: dict[str, str] = {}
    pages.import_everything()
    waiting = [pages.OrcaError]
    while waiting:
        each = waiting.pop()
        waiting.extend(each.__subclasses__())
        if each.__module__.startswith("orca.") and "code" in vars(each):
            name = f"{each.__module__}.{each.__qualname__}"
            assert found.setdefault(each.code, name) == name, (
                f"{each.code} is the code of {name} and {found[each.code]}"
            )
    assert len(found) > 40


# ── permissions and events ───────────────────────────────────────────────────────────────────────────────────────────


def guarded_routes(tmp_path: Path) -> list[GuardedRoute]:
    app = create_app(make_settings(tmp_path))
    routes = [each.original_route for each in iter_route_contexts(app.routes)]
    return [route for route in routes if isinstance(route, GuardedRoute)]


def test_every_permission_is_described_and_every_used_one_exists(tmp_path: Path) -> None:
    assert all(is_sentence(text) for text in all_permissions().values())
    used = {route.guard.permission for route in guarded_routes(tmp_path)} - {PUBLIC, SIGNED_IN, UNCLAIMED}
    assert used <= set(all_permissions())
    page = pages.render_permissions()
    assert all(f"`{name}`" in page for name in all_permissions())
    assert all(role in page for role in all_roles())


def test_every_event_is_described() -> None:
    recorded, described = pages.event_types(), pages.read_texts("events.yml")
    assert sorted(recorded) == sorted(described), "docs/events.yml and the source must name the same events"
    assert all(is_sentence(text) for text in described.values())


def test_every_event_that_a_route_declares_is_recorded(tmp_path: Path) -> None:
    declared = {route.guard.audit for route in guarded_routes(tmp_path)} - {None}
    assert declared <= pages.event_types()


# ── the API ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_operation_has_a_summary_and_a_description(tmp_path: Path) -> None:
    groups = operations(describe_api(create_app(make_settings(tmp_path))))
    listed = [each for group in groups.values() for each in group]
    assert len(listed) > 50
    assert "other" not in groups, "every router names its tag"
    for each in listed:
        assert each.summary, f"{each.method} {each.path} needs a summary"
        assert is_sentence(each.description), f"{each.method} {each.path} needs a docstring of whole sentences"


# ── texts and links ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_readme_opens_with_the_two_commands() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    commands = [line.split()[0] for line in lines[: lines.index("```", 3)] if line.startswith("scripts/")]
    assert commands == ["scripts/up", "scripts/test"]
    rest = "\n".join(lines[lines.index("```", 3) + 1 :]).lstrip()
    assert rest.startswith("!["), "a screenshot comes next"


def test_files_that_answer_newcomers_exist() -> None:
    section = (DOCS / "dev" / "tour.md").read_text().partition("## Twenty questions")[2].partition("\n## ")[0]
    named = re.findall(
        r"`((?:cli|features|migrations|providers|sdk|systems)/[\w/.]*|(?:plugins|settings)\.py)`", section
    )
    assert len(named) > 20
    assert [path for path in named if not (ROOT / "src" / "orca" / path).exists()] == []


def test_files_that_texts_name_exist() -> None:
    named = re.compile(r"`((?:scripts|tests|examples|src|frontend)/[\w./-]+)(?: [^`]*)?`|^(scripts/\w+)", re.MULTILINE)
    for path in WRITTEN:
        for match in named.finditer(path.read_text()):
            name = match[1] or match[2]
            assert (ROOT / name).exists(), f"{path.relative_to(ROOT)} names {name}, which is not there"


@pytest.mark.parametrize("path", [*WRITTEN, *GENERATED], ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere_in_a_clone(path: Path) -> None:
    """Also those of the pages that are no part of the site."""
    for target in LINK.findall(path.read_text()):
        if urlsplit(target).scheme == "":
            assert (path.parent / unquote(target.partition("#")[0])).exists(), f"{path.name} links to {target}"


def test_the_reference_is_what_the_code_says() -> None:
    written = {path.name: path.read_text() for path in GENERATED}
    made = pages.render_pages()
    stale = sorted(name for name in written.keys() | made if written.get(name) != made.get(name))
    assert not stale, f"`scripts/docs --pages` makes these pages of docs/reference/ anew; commit them: {stale}"


def copy_documentation(folder: Path) -> Path:
    """What the site is made of, so that building it touches nothing of the checkout."""
    for name in ("docs", "scripts"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("reference", "__pycache__"))
    for path in (ROOT / "mkdocs.yml", *ROOT.glob("*.md"), ROOT / "LICENSE"):
        shutil.copy(path, folder)
    return folder


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, folder / "scripts" / "docs"], capture_output=True, text=True)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_documentation(tmp_path_factory.mktemp("docs"))
    built = build(folder)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.mark.slow
def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path) -> None:
    folder = copy_documentation(tmp_path)
    mistakes = ("missing.md", "install.md#no-such-heading", "reference/never-generated.md")
    with (folder / "docs" / "index.md").open("a") as page:
        page.write("\n" + " ".join(f"[text]({target})" for target in mistakes) + "\n")
    built = build(folder)
    assert built.returncode != 0
    assert [target for target in mistakes if target not in built.stderr] == []


@pytest.fixture(scope="module")
def site(house: Path) -> Path:
    return house / "site"


class Fetched(HTMLParser):
    """Collects what a page makes a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in {"script", "img", "iframe", "source"} and values.get("src"):
            self.addresses.append(str(values["src"]))
        if tag == "link" and values.get("rel") in {"stylesheet", "preload", "icon", "preconnect", "dns-prefetch"}:
            self.addresses.append(str(values["href"]))


@pytest.mark.slow
@pytest.mark.xdist_group("site")
def test_the_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    built = list(site.rglob("*.html"))
    assert len(built) > 15
    for page in built:
        parser = Fetched()
        parser.feed(page.read_text())
        assert parser.addresses
        assert [each for each in parser.addresses if urlsplit(each).netloc] == [], page.name


@pytest.mark.slow
@pytest.mark.xdist_group("site")
def test_the_site_has_every_page(house: Path, site: Path) -> None:
    sources = [path.relative_to(house / "docs") for path in (house / "docs").rglob("*.md")]
    assert {f"reference/{name}" for name in pages.render_pages()} <= {str(each) for each in sources}
    missing = [str(each) for each in sources if not (site / each.with_suffix(".html")).exists()]
    assert missing == []
