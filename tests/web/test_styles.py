"""The design system kept: seven sizes of type, colours that stay apart, typefaces and scripts within their budget."""

import gzip
import json
import re
from itertools import combinations, pairwise
from math import cos, dist, radians, sin
from pathlib import Path

import httpx
import pytest
from tests.web.conftest import ROOT, WEB
from tests.web.test_templates import NAMES, TEMPLATES, without_comments

STYLES = ROOT / "frontend/src/css"
THEMES = (STYLES / "theme.css").read_text().split('name: "dark"')
SIZES = {"2xs": 11, "xs": 12, "sm": 13, "base": 14, "lg": 16, "xl": 20, "2xl": 28}
ALLOWED = re.compile(r"var\(--text-(2xs|xs|sm|base|lg|xl|2xl)\)|inherit|min\(1em, var\(--text-sm\)\)|87\.5%")
"""87.5 % is 14 px for a browser at its default, and follows those who set another."""
FIRST_LOAD = 250_000
TYPEFACE = 60_000
Colour = tuple[float, ...]
Matrix = tuple[Colour, ...]
# How colours look without one kind of cone, after Machado, Oliveira and Fernandes (2009), on linear light.
SIGHTS: dict[str, Matrix] = {
    "full": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "no green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "no blue": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
TO_CONES = ((0.4122214708, 0.5363325363, 0.0514459929), (0.2119034982, 0.6806995451, 0.1073969566),
            (0.0883024619, 0.2817188376, 0.6299787005))  # fmt: skip
TO_LAB = ((0.2104542553, 0.7936177850, -0.0040720468), (1.9779984951, -2.4285922050, 0.4505937099),
          (0.0259040371, 0.7827717662, -0.8086757660))  # fmt: skip
FROM_LAB = ((1, 0.3963377774, 0.2158037573), (1, -0.1055613458, -0.0638541728), (1, -0.0894841775, -1.2914855480))
FROM_CONES = ((4.0767416621, -3.3077115913, 0.2309699292), (-1.2684380046, 2.6097574011, -0.3413193965),
              (-0.0041960863, -0.7034186147, 1.7076147010))  # fmt: skip


def times(matrix: Matrix, colour: Colour) -> Colour:
    return tuple(sum(a * b for a, b in zip(row, colour, strict=True)) for row in matrix)


def linear(text: str) -> Colour:
    """`oklch(0.5 0.1 200)` as linear light."""
    light, chroma, hue = (float(part) for part in text.removeprefix("oklch(").removesuffix(")").split())
    cones = times(FROM_LAB, (light, chroma * cos(radians(hue)), chroma * sin(radians(hue))))
    return tuple(min(1.0, max(0.0, part)) for part in times(FROM_CONES, tuple(part**3 for part in cones)))


def seen(colour: Colour, sight: str) -> Colour:
    """What an eye makes of it, as OKLab."""
    left = tuple(min(1.0, max(0.0, part)) for part in times(SIGHTS[sight], colour))
    return times(TO_LAB, tuple(part ** (1 / 3) for part in times(TO_CONES, left)))


def contrast(one: Colour, other: Colour) -> float:
    low, high = sorted(sum(a * b for a, b in zip((0.2126, 0.7152, 0.0722), c, strict=True)) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def token(theme: str, name: str) -> Colour:
    return linear(re.findall(rf"^  {name}: (oklch\([^)/]*\));", theme, re.MULTILINE)[0])


def test_there_are_seven_sizes_of_type() -> None:
    found = dict(re.findall(r"--text-(\w+): ([\d.]+)rem;", THEMES[1]))
    assert {name: round(float(size) * 14) for name, size in found.items()} == SIZES


@pytest.mark.parametrize("path", sorted(STYLES.glob("*.css")), ids=lambda path: path.name)
def test_styles_use_no_other_size(path: Path) -> None:
    sheet = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    sizes = re.findall(r"\bfont-size:\s*([^;}]+)", sheet)
    sizes += [re.sub(r"^(\d{3} )?(.*?)(/[\d.]+)?( var\(--font-\w+\))?$", r"\2", font)
              for font in re.findall(r"\bfont:\s*([^;}]+)", sheet)]  # fmt: skip
    assert [size for size in sizes if not ALLOWED.fullmatch(size.strip())] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=NAMES)
def test_templates_use_no_other_size(path: Path) -> None:
    used = re.findall(r"(?<![\w-])text-(\[[^\]]*\]|[3-9]xl|md)(?![\w-])", without_comments(path.read_text()))
    assert used == []


@pytest.mark.parametrize(("theme", "name"), [(THEMES[0], "light"), (THEMES[1], "dark")], ids=["light", "dark"])
class TestColours:
    def test_charts_tell_eight_series_apart_for_every_eye(self, theme: str, name: str) -> None:
        series = [token(theme, f"--chart-{number}") for number in range(1, 9)]
        for sight in SIGHTS:
            assert min(dist(seen(a, sight), seen(b, sight)) for a, b in combinations(series, 2)) > 0.09, (name, sight)
        ground = token(theme, "--color-base-100")
        assert min(contrast(colour, ground) for colour in series) >= 3

    def test_the_steps_of_heat_rise_evenly(self, theme: str, name: str) -> None:
        ground = token(theme, "--color-base-100")
        rising = [contrast(token(theme, f"--heat-{step}"), ground) for step in range(1, 8)]
        assert rising == sorted(rising), name
        assert min(b / a for a, b in pairwise(rising)) > 1.15

    def test_words_in_the_colour_of_a_state_can_be_read(self, theme: str, name: str) -> None:
        tones = ("--color-success", "--color-warning", "--color-error", "--color-info", "--color-primary", "--busy",
                 "--ink-muted")  # fmt: skip
        grounds = [token(theme, f"--color-base-{level}") for level in (100, 200)]
        weak = {tone: contrast(token(theme, tone), ground) for tone in tones for ground in grounds}
        assert min(weak.values()) >= 4.5, (name, weak)

    def test_what_is_pressed_does_not_look_like_news(self, theme: str, name: str) -> None:
        tones = [token(theme, tone) for tone in ("--color-primary", "--color-info", "--busy")]
        assert min(dist(seen(a, "full"), seen(b, "full")) for a, b in combinations(tones, 2)) > 0.04, name


def test_a_first_visit_stays_within_its_budget(front_end: Path) -> None:
    dist_folder = WEB / "static/dist"
    manifest = json.loads((dist_folder / "manifest.json").read_text())
    sizes = {name: len(gzip.compress((dist_folder / hashed).read_bytes())) for name, hashed in manifest.items()}
    first = ("app.js", "app.css", "geist-latin-wght-normal.woff2", "geist-mono-latin-wght-normal.woff2", "favicon.svg")
    assert sum(sizes[name] for name in first) <= FIRST_LOAD
    assert max(size for name, size in sizes.items() if name.endswith(".woff2")) <= TYPEFACE
    notices = (dist_folder / manifest["notices.txt"]).read_text()
    assert "SIL Open Font License" in notices or "SIL OPEN FONT LICENSE" in notices
    assert all(name in notices for name in ("htmx.org", "uplot", "@xterm/xterm", "@fontsource-variable/geist-mono"))


async def test_browsers_keep_what_changes_its_name_with_its_content(front_end: Path, client: httpx.AsyncClient) -> None:
    manifest = json.loads((WEB / "static/dist/manifest.json").read_text())
    script = await client.get(f"/static/dist/{manifest['app.js']}")
    assert (script.status_code, script.headers["content-encoding"]) == (200, "gzip")
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    for changing in ("dist/manifest.json", "favicon.svg", "dist/none.js"):
        assert (await client.get(f"/static/{changing}")).headers["cache-control"] == "no-store"
