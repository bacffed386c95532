"""Every template of the house: it compiles, holds no code or style of its own, and uses only what there is."""

import re
from pathlib import Path

import pytest
from tests.web.conftest import ROOT, WEB

from orca.web.render import _environment

TEMPLATES = sorted(path for path in (ROOT / "src/orca").rglob("*.html") if "templates" in path.parts)
NAMES = [str(path.relative_to(ROOT / "src/orca")) for path in TEMPLATES]
every_template = pytest.mark.parametrize("path", TEMPLATES, ids=NAMES)
CONSTANT_MARKUP = {"feedback.html", "_sprite.html", "table.html", "field.html"}
"""Components that mark a text of their own as safe; no value passes through."""

FORBIDDEN = {
    r"\bstyle\s*=": "an inline style (the content policy drops it)",
    r"<style\b": "a style element",
    r"\son[a-z]+\s*=": "an inline handler",
    r"\bhx-on\b": "hx-on, which needs eval",
    r"""hx-(vals|headers|vars)\s*=\s*["']js:""": "a js: value, which needs eval",
    r"""hx-trigger\s*=\s*["'][^"']*\w\[""": "a trigger filter, which needs eval",
    r"\bmorph:\{": "morph options, which need eval",
    r"autoescape\s+false": "escaping switched off",
    r"https?://[^\"'\s]*\.(js|css|woff2?)\b": "a file from elsewhere",
}


def without_comments(source: str) -> str:
    return re.sub(r"\{#.*?#\}", "", source, flags=re.DOTALL)


@every_template
def test_it_compiles(path: Path) -> None:
    folder = next(parent for parent in path.parents if parent.name == "templates")
    assert _environment().get_template(path.relative_to(folder).as_posix())


@every_template
def test_it_holds_no_code_or_style(path: Path) -> None:
    source = without_comments(path.read_text())
    found = [reason for pattern, reason in FORBIDDEN.items() if re.search(pattern, source)]
    if path.name != "_document.html":
        found += ["a script"] if "<script" in source else []
    if path.name not in CONSTANT_MARKUP:
        found += ["a value marked as safe"] if re.search(r"\|\s*safe\b", source) else []
    assert found == []


@every_template
def test_it_uses_macros_and_icons_that_exist(path: Path) -> None:
    source = without_comments(path.read_text())
    module = _environment().get_template("components/ui.html").module
    macros = {name for name in vars(module) if not name.startswith("_")}
    assert set(re.findall(r"\bui\.(\w+)\(", source)) <= macros
    icons = set(
        re.findall(r'^  "([\w-]+)": \'<', (WEB / "templates/components/_sprite.html").read_text(), re.MULTILINE)
    )
    used = set(re.findall(r'\bicon(?:="|\(")([\w-]+)"', source)) | set(re.findall(r"icon_button\(\"([\w-]+)", source))
    assert used <= icons


@every_template
def test_it_uses_classes_that_are_styled(path: Path, front_end: Path) -> None:
    [sheet] = (WEB / "static/dist").glob("app.*.css")
    styled = set(re.findall(r"\.((?:\\.|[\w-])+)", sheet.read_text()))
    static = re.sub(r"\{[{%].*?[%}]\}", " ", without_comments(path.read_text()), flags=re.DOTALL)
    used = {name for value in re.findall(r'class="([^"]*)"', static) for name in value.split()}
    unknown = {name for name in used if re.sub(r"([^\w-])", r"\\\1", name) not in styled}
    assert unknown - {"tone-", "sgr-", "logs-", "nav", "feed"} == set()
