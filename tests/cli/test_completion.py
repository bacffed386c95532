"""Completion scripts, asked by the shell itself where it is there."""

import subprocess
from pathlib import Path

import pytest
from tests.cli.conftest import Orc

from orca.cli.tree import ENTRIES

ASK = """
source {script}
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
compopt() {{ :; }}
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


def complete(script: Path, words: str) -> set[str]:
    asked = subprocess.run(
        ["bash", "--norc", "-c", ASK.format(script=script, words=words)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
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
    assert all(line.count("'") % 2 == line.count("\\'") % 2 for line in lines), "quotes are closed"


def test_unknown_shell(orc: Orc) -> None:
    assert orc("completion", "tcsh").code == 2
