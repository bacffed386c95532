"""Completion scripts, asked by the shell itself where it is there."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.conftest import Orc, Stub

from orca.cli.tree import ENTRIES

pytestmark = pytest.mark.slow

ASK = """
source {script}
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
compopt() {{ :; }}
orc() {{ {python} -m orca.cli "$@"; }}
_orc
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.cli.conftest import make_orc

    root = tmp_path_factory.mktemp("completion")
    path = root / "orc.bash"
    path.write_text(make_orc(root).ok("completion", "bash").out)
    return path


def complete(script: Path, words: str, orc: Orc | None = None) -> set[str]:
    asked = subprocess.run(
        ["bash", "--norc", "-c", ASK.format(script=script, words=words, python=sys.executable)],
        capture_output=True, text=True, timeout=30, check=True,
        env=orc.env if orc else None, cwd=orc.folder if orc else None,
    )  # fmt: skip
    assert asked.stderr == ""
    return set(asked.stdout.split())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("orc dep", {"deploy", "deployments"}),
        ("orc env im", {"import"}),
        ("orc env ''", set(ENTRIES["env"].verbs)),
        ("orc env set --sec", {"--secret"}),
        ("orc --json domains che", {"check"}),
        ("orc completion ''", {"bash", "fish", "zsh", "--help"}),
        ("orc deploy --no", {"--no-follow"}),
        ("orc env set KEY=value --sh", {"--shared"}),
        ("orc nothing ''", set()),
    ],
)
def test_bash_completes(script: Path, words: str, expected: set[str]) -> None:
    assert complete(script, words) == expected


def test_bash_knows_every_command(script: Path) -> None:
    assert complete(script, "orc ''") == {*ENTRIES, "help"}


def serve_names(stub: Stub, *services: str) -> None:
    projects = [{"id": "p", "slug": "shop", "name": "Shop"}, {"id": "q", "slug": "blog", "name": "Blog"}]
    stub.json("GET /api/v1/projects", {"items": projects, "next_cursor": None})
    rows = [{"id": name, "slug": name, "name": name} for name in services]
    stub.json("GET /api/v1/projects/p/services", {"items": rows, "next_cursor": None})
    stub.json("GET /api/v1/projects/q/services", {"items": [{"id": "b", "slug": "blog-web"}], "next_cursor": None})


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("orc logs --service ''", {"web", "worker", "blog-web"}),
        ("orc logs -s wo", {"worker"}),
        ("orc logs --service = w", {"web", "worker"}),
        ("orc logs --service =", {"web", "worker", "blog-web"}),
        ("orc logs --project shop --service ''", {"web", "worker"}),
        ("orc logs --project = blog -s ''", {"blog-web"}),
        ("orc --service ''", {"web", "worker", "blog-web"}),
        ("orc env list -p ''", {"shop", "blog"}),
        ("orc projects delete b", {"blog"}),
        ("orc services show we", {"web"}),
        ("orc logs we", {"web"}),
        ("orc env list wo", {"worker"}),
        ("orc scale w", {"web", "worker"}),
        ("orc services show --js", {"--json"}),
        ("orc --service web log", {"logs", "login", "logout"}),
        ("orc --service web --project shop env im", {"import"}),
    ],
)
def test_names_come_from_the_server(script: Path, remote: Orc, stub: Stub, words: str, expected: set[str]) -> None:
    serve_names(stub, "web", "worker")
    assert complete(script, words, remote) - {""} >= expected
    assert {each for each in complete(script, words, remote) if not each.startswith("--")} - expected == set()


def test_names_of_a_real_panel(script: Path, local: Orc) -> None:
    local.ok("projects", "create", "completed")
    local.ok("services", "create", "tab-key", "--project", "completed")
    assert complete(script, "orc logs --service tab-", local) == {"tab-key"}
    assert complete(script, "orc logs --project compl", local) == {"completed"}


def test_what_a_server_calls_its_services_does_not_run_here(script: Path, remote: Orc, stub: Stub) -> None:
    serve_names(stub, "$(touch planted)", "`touch planted`", "a;touch planted", "-rf", "web")
    assert complete(script, "orc logs --service ''", remote) == {"web", "blog-web"}
    assert not (remote.folder / "planted").exists()


def test_a_server_that_is_away_slow_or_broken_offers_nothing(script: Path, remote: Orc, stub: Stub) -> None:
    orc_words = "orc logs --service ''"
    env = {name: value for name, value in remote.env.items() if not name.startswith("ORC_")}
    assert complete(script, orc_words, Orc(remote.folder, env)) == set(), "no server is chosen, and none runs here"
    stub.json("GET /api/v1/projects", {"items": "odd"})
    assert complete(script, orc_words, remote) == set()
    stub.on("GET /api/v1/projects", lambda _: time.sleep(3))
    began = time.monotonic()
    assert complete(script, orc_words, remote) == set()
    assert time.monotonic() - began < 2.5
    (remote.folder / ".orc").mkdir()
    (remote.folder / ".orc/link.json").write_text("{broken")
    assert complete(script, orc_words, remote) == set()
    assert remote.process("__complete").out == ""


def test_zsh_uses_the_same_words(orc: Orc, script: Path) -> None:
    text = orc.ok("completion", "zsh").out
    assert text.startswith("#compdef orc\n")
    assert "bashcompinit" in text
    assert script.read_text() in text


def test_fish_names_every_command_and_verb(orc: Orc) -> None:
    lines = orc.ok("completion", "fish").out.splitlines()
    assert all(line.startswith(("#", "complete -c orc -n ")) for line in lines)
    for entry in ENTRIES.values():
        assert any(f"-n __fish_use_subcommand -f -a {entry.name} -d " in line for line in lines)
        for verb in entry.verbs:
            assert any(f"-f -a {verb} -d " in line and entry.name in line for line in lines)
    (line,) = [line for line in lines if "__fish_seen_subcommand_from logs" in line and "-l service" in line]
    assert line.endswith("-l service -s s -x -a '(orc __complete service (commandline -opc) 2>/dev/null)'")
    (line,) = [line for line in lines if "__fish_seen_subcommand_from ps'" in line and "-f -a '(orc" in line]
    assert line.endswith("-f -a '(orc __complete service (commandline -opc) 2>/dev/null)'")
    assert all(line.count("'") % 2 == line.count("\\'") % 2 for line in lines), "quotes are closed"


def test_unknown_shell(orc: Orc) -> None:
    assert orc("completion", "tcsh").code == 2
