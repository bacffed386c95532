"""Whatever reads foreign text needs time in proportion to its length: a few kilobytes cannot freeze the panel.

Each reader gets the same awkward text twice, the second time four times as long. A reader that looks back or ahead
needs sixteen times as long for it, a linear one four times.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.processor_time import processor_seconds

from orca.features.routing.rules.hostnames import parse_hostname
from orca.features.routing.rules.paths import parse_prefix, parse_redirect
from orca.features.services.form_texts import parse_lines
from orca.features.services.forms import parse_ports
from orca.features.services.orca_file import parse_orca_file
from orca.features.sources.addresses import read_pasted
from orca.features.sources.rules import GitRef, ImageRef, RepoUrl, parse_subdirectory
from orca.features.sources.steps.checkout_git import no_such_ref
from orca.features.sources.steps.lfs_pointers import find_pointers
from orca.features.sources.steps.read_submodules import parse_gitmodules
from orca.features.triggers.rules import asks_to_skip, is_watched
from orca.kit.dotenv import parse_dotenv
from orca.kit.text import clean_lines, clean_output, redact
from orca.kit.yaml import read_yaml
from orca.providers.builders.buildkit.addresses import find_hosts
from orca.providers.builders.buildkit.failures import copied_files
from orca.providers.builders.buildkit.progress import Progress
from orca.providers.builders.buildkit.unreachable import find_unreachable
from orca.providers.builders.dockerfile.describe import describe
from orca.providers.builders.template.languages import find_recipe
from orca.providers.builders.template.options import TemplateOptions
from orca.sdk.dockerfile import parse_dockerfile, render, resolve
from orca.sdk.images import normalise_image
from orca.sdk.registries import explain_refusal
from orca.sdk.trees import Tree
from orca.web.sgr import painter

SIZE, TIMES = 1500, 4
NEGLIGIBLE, MOST = 0.06, 10.0
"""Seconds of CPU that need no explanation; how many times as long four times the text may take."""


def read_dockerfile(text: str) -> None:
    resolved = resolve(parse_dockerfile(text, heredocs=True), {}, "amd64")
    for stage in resolved.stages:
        for instruction in stage.instructions:
            list(find_hosts(instruction.source.effective, "here"))
    render(resolved, dict.fromkeys(resolved.images, "pin"), "key")


def follow_build(text: str) -> None:
    progress = Progress()
    for line in text.split("\n"):
        progress.feed(f"#1 {line}")
        progress.feed(f"#2 0.1 {line}")
    _ = [(step.instruction, step.base_image, step.position) for step in progress.steps.values()]


FILLERS = (
    "a", " ", "\n", "\t", "\\\n", "\\ ", "#\n", " #", "a.", "a-", "-", "_", "/", "../", "a/", "'", '"', "\\", "`", "$", "${", "${a:-", "$a", "<<", "<<a ", "<<a\n",
    "[", "{", "(", "]", "a,", "a=", "a=b ", "a=b\n", "a: b\n", "- ", "&a [", "*a ", "? ", "|", ">", "@", ":", "%41", "%", ";", "\x1b", "\x1b[", "\x1b]", "\x1b[1m", "\x1b[1;",
    "\r", "\u00a0", "\ufffd", "9", "1.", "==", "--", "/*", "<!--", "//", "a\n", "\n\n a", "!", "**/", "*", "?", "FROM a\n", "RUN a \\\n", "--mount=a,", "ARG a\n", "é",
)  # fmt: skip
IN_FILES = (
    "a",
    " ",
    "\n",
    "\\\n",
    "#\n",
    "a.",
    "'",
    '"',
    "a,",
    "a: b\n",
    "/*",
    "<!--",
    "a\n",
    "[",
    "{",
    "1.",
    "a ",
    "a/",
    "==",
    "a-",
)
DOCKERFILES = ("", "FROM a\nRUN ", "FROM a\nENV a=", "FROM a\nCOPY --from=", "FROM a\nRUN --mount=", "ARG a=", "FROM ", "FROM a\nADD http://", "# escape=", "FROM a\nRUN [", "FROM a\nONBUILD ")  # fmt: skip
READERS: Mapping[str, tuple[Callable[[str], Any], tuple[str, ...]]] = {
    "Dockerfile": (read_dockerfile, DOCKERFILES),
    "orca.yaml": (parse_orca_file, ("", "a: ", "a: [", 'a: "')),
    "YAML": (read_yaml, ("", "a: ")),
    "dotenv": (parse_dotenv, ("", "A=", 'A="', "A='")),
    "key=value lines": (parse_lines, ("",)),
    "ports": (parse_ports, ("",)),
    "output": (clean_output, ("", "\x1b]")),
    "log lines": (lambda text: clean_lines(text.split("\n")), ("",)),
    "secrets in a log": (lambda text: redact(text, ("aaaa", "====", "secret")), ("",)),
    "colours": (painter(), ("",)),
    "progress of a build": (follow_build, ("", "[", "[a 1/", "ERROR ", "exit code: 1", "[internal] load metadata for ")),
    "words of a registry": (explain_refusal, ("", "status ")),
    "words about the network": (lambda text: find_unreachable(text.split("\n")), ("", "lookup ", "https://", "Could not resolve ")),
    "copied files": (copied_files, ("COPY ", "COPY [")),
    "address of a repository": (lambda text: RepoUrl.parse(read_pasted(text).repository), ("", "https://", "https://a.b/", "git@", "a.b/")),
    "reference": (GitRef.parse, ("",)),
    "image": (ImageRef.parse, ("", "a/", "a@")),
    "base image": (normalise_image, ("", "a/")),
    "subdirectory": (parse_subdirectory, ("",)),
    "submodules": (parse_gitmodules, ("submodule.", "submodule.a.path\n")),
    "watched paths": (lambda text: is_watched([text], [text[:200], "**/*.md", "a/**/b/**/c*"]), ("", "a/")),
    "commit message": (asks_to_skip, ("", "[skip ")),
    "hostname": (parse_hostname, ("", "a.", "*.")),
    "path": (parse_prefix, ("/",)),
    "redirect": (parse_redirect, ("", "https://a.b/")),
}  # fmt: skip
FILES = (
    "requirements.txt", "pyproject.toml", "setup.py", "Pipfile", "main.py", "manage.py", "environment.yml", "package.json", "pnpm-lock.yaml", "yarn.lock", ".nvmrc",
    "next.config.js", "Procfile", "go.mod", "main.go", "Gemfile", "Gemfile.lock", "composer.json", "Cargo.toml", "src/main.rs", "pom.xml", "build.gradle", "app.csproj",
    "mix.exs", "deno.json", "mkdocs.yml", "hugo.toml", "index.html", "Staticfile", ".tool-versions", "runtime.txt", ".gitattributes",
)  # fmt: skip
BESIDE = {
    "main.py": "requirements.txt", "requirements.txt": "main.py", "manage.py": "requirements.txt", "setup.py": "", "pnpm-lock.yaml": "package.json", "yarn.lock": "package.json", ".nvmrc": "package.json",
    "next.config.js": "package.json", "Procfile": "requirements.txt", "main.go": "go.mod", "Gemfile.lock": "Gemfile", "src/main.rs": "Cargo.toml", "runtime.txt": "requirements.txt",
    ".tool-versions": "requirements.txt",
}  # fmt: skip
CONTENTS = {
    "package.json": '{"scripts": {"start": "node x.js", "build": "vite build"}, "dependencies": {"next": "1"}}', "requirements.txt": "flask\n", "main.py": "import flask\napp = flask.Flask(__name__)\n", "go.mod": "module a.b/c\n",
    "Cargo.toml": '[package]\nname = "a"\n', "Gemfile": "gem 'rack'\n",
}  # fmt: skip


def seconds(read: Callable[[str], Any], text: str, enough: float = NEGLIGIBLE) -> float:
    def run() -> None:
        with suppress(Exception):  # what it makes of it is another test's matter
            read(text)

    return processor_seconds(run, enough=enough)


def check(read: Callable[[str], Any], before: str, filler: str) -> str:
    """Empty when time grows with the text and no faster."""
    short = (filler * SIZE)[: SIZE * len(filler[:1]) * 4]
    long = seconds(read, before + (filler * SIZE * TIMES)[: SIZE * 4 * TIMES])
    if long < NEGLIGIBLE:
        return ""
    ratio = long / max(seconds(read, before + short), 0.0005)
    return "" if ratio < MOST and long < 1 else f"{before!r} {filler!r}: {long:.2f} s, {ratio:.0f} times as long"


@pytest.mark.parametrize("name", READERS)
def test_readers_of_foreign_text_are_linear(name: str) -> None:
    read, beginnings = READERS[name]
    found = [check(read, before, filler) for before in beginnings for filler in FILLERS]
    assert not (slow := [each for each in found if each]), "\n".join(slow)


@pytest.mark.parametrize("name", FILES)
def test_looking_at_a_repository_is_linear(name: str, tmp_path: Path) -> None:
    other = BESIDE.get(name, "")
    if other:
        (tmp_path / other).write_text(CONTENTS[other])
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)

    def look(text: str) -> None:
        file.write_text(text, errors="replace")
        find_pointers(tmp_path)
        find_recipe(tmp_path, TemplateOptions())

    beginnings = dict.fromkeys(["", CONTENTS.get(name, ""), "a "])
    found = [check(look, before, filler) for before in beginnings for filler in IN_FILES]
    assert not (slow := [each for each in found if each]), "\n".join(slow)


@pytest.mark.sampled
@pytest.mark.parametrize("name", FILES)
def test_a_file_of_long_lines_takes_a_moment(name: str, tmp_path: Path) -> None:
    """Lines are cut at a thousand characters, so what looks back in each is linear in the file, and slow all the same."""
    if other := BESIDE.get(name, ""):
        (tmp_path / other).write_text(CONTENTS[other])
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)

    def look(text: str) -> None:
        file.write_text(text)
        find_recipe(tmp_path, TemplateOptions())

    lines = {filler: (filler.replace("\n", " ") * 1000)[:999] + "\n" for filler in IN_FILES}
    # Quadratic reading took minutes; on a busy machine a second may count for three.
    taken = {filler: seconds(look, CONTENTS.get(name, "") + line * 190, enough=5) for filler, line in lines.items()}
    assert {filler: spent for filler, spent in taken.items() if spent > 5} == {}


def test_patterns_among_many_files_are_looked_for_within_bounds(tmp_path: Path) -> None:
    """Two thousand of them fit into ten kilobytes, and an archive may hold a hundred thousand files."""
    for number in range(3000):
        (tmp_path / f"f{number}").touch()
    patterns = [
        f"*{first}{second}{third}" for first in "abcdefghijkl" for second in "abcdefghijkl" for third in "abcdefghijkl"
    ]
    text = "FROM a\n" + "".join(f"COPY {' '.join(patterns[at : at + 20])} /x/\n" for at in range(0, len(patterns), 20))
    assert processor_seconds(lambda: describe(Tree(tmp_path), "Dockerfile", text), enough=2) < 2


@pytest.mark.parametrize("pieces", ["ab", "abc"])
def test_thousands_of_branches_are_compared_within_bounds(pieces: str) -> None:
    """With a name that the sender chose, and names that a stranger's server made up to be nearly that."""
    random = Random(1)
    branches = ["".join(random.choices(pieces, k=198)) for _ in range(5000)]
    request: Any = type("R", (), {"url": "https://a.b/c", "ref": GitRef.parse(pieces * (198 // len(pieces)))})()
    assert processor_seconds(lambda: no_such_ref(request, branches), enough=0.5) < 0.5
    found = no_such_ref(request, branches)
    assert len(found.details["branches"]) == 12


@pytest.mark.parametrize(
    ("name", "piece"),
    [
        ("server.js", "a.listen("),
        ("server.js", "new Server("),
        ("server.js", "new WebSocketServer({"),
        ("main.go", "import("),
    ],
)
def test_code_of_calls_in_calls_takes_a_moment(name: str, piece: str, tmp_path: Path) -> None:
    scripts = '{"scripts": {"start": "node server.js"}, "dependencies": {"express": "1"}}'
    beside, content = ("go.mod", "module a.b/c\n") if name == "main.go" else ("package.json", scripts)
    (tmp_path / beside).write_text(content)
    (tmp_path / name).write_text(("package main\n" if name == "main.go" else "") + (piece * 150_000)[:150_000])
    assert seconds(lambda _: find_recipe(tmp_path, TemplateOptions()), "", enough=2) < 2
