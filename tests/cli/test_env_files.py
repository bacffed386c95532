"""Variables as files: written for their owner only, edited as a whole, compared."""

import stat
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Orc, Stub
from tests.cli.terminal import Terminal

from orca.kit.ids import new_id


@pytest.fixture
def linked(local: Orc) -> Orc:
    project = local.ok("projects", "create", f"E {new_id()}", "--json").json["slug"]
    local.ok("services", "create", "web", "--project", project)
    local.ok("link", f"{project}/web")
    local.ok("env", "set", "LEVEL=info", "WORDS=two 'quoted' words")
    local.ok("env", "set", "--secret", "API_KEY", stdin="pre cious")
    return local


def stored(orc: Orc) -> dict[str, object]:
    return {each["key"]: each["value"] for each in orc.ok("env", "--json").json}


def test_variables_are_pulled_into_a_file_of_their_owner(linked: Orc) -> None:
    file = linked.folder / ".env"
    assert linked.ok("env", "pull").out == f"Wrote 2 variables to {file}, without 1 secret.\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "cious" not in file.read_text()
    assert "# API_KEY is a secret" in file.read_text()
    again = linked("env", "pull")
    assert (again.code, again.err) == (5, f"error: {file} is there already\nhint: --force replaces it.\n")
    told = linked.ok("env", "pull", "--force", "--reveal", "--json").json
    assert told == {"file": str(file), "keys": ["API_KEY", "LEVEL", "WORDS"], "without": []}
    assert linked.ok("env", "pull", "-", "--reveal").out == file.read_text()
    assert linked.ok("env", "diff", ".env").out == "No difference.\n"
    linked.ok("env", "import", ".env")
    assert stored(linked)["WORDS"] == "two 'quoted' words"


def test_a_planted_link_is_not_written_through(linked: Orc, tmp_path: Path) -> None:
    (linked.folder / ".env").symlink_to(tmp_path / "elsewhere")
    assert linked("env", "pull").code == 5
    linked.ok("env", "pull", "--force")
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_is_compared_without_the_values_of_secrets(linked: Orc) -> None:
    (linked.folder / "f").write_text("LEVEL=debug\nNEW=1\nAPI_KEY=other\n")
    done = linked.ok("env", "diff", "f")
    assert done.out.splitlines() == [
        "- LEVEL=info", "+ LEVEL=debug", "+ NEW=1", '- WORDS="two \'quoted\' words"',
    ]  # fmt: skip
    assert done.err == "Not compared, as the server keeps their values: API_KEY.\n"
    told = linked.ok("env", "diff", "-", "--json", stdin="LEVEL=info\n").json
    assert told == {"added": [], "changed": [], "removed": ["API_KEY", "WORDS"], "not_compared": []}
    assert linked("env", "diff", "-", stdin="broken").code == 5
    assert linked("env", "diff", "--shared").code == 2


def test_what_was_never_deployed_differs_from_nothing(linked: Orc) -> None:
    assert linked.ok("env", "diff").out == "What runs has the variables that are stored.\n"


def test_without_a_file_what_waits_is_compared_with_what_runs(remote: Orc, stub: Stub) -> None:
    service = {"id": "s", "slug": "web", "name": "web", "project": "shop", "project_id": "p", "status": {}}
    stub.json("GET /api/v1/services", {"items": [service], "next_cursor": None})
    assert "earlier version" in remote("env", "diff", "-s", "web").err
    variables = [{"key": "A", "change": "added"}, {"key": "B", "change": "removed"}, {"key": "C", "change": "changed"}]
    stub.json("GET /api/v1/services/s/changes", {"variables": variables})
    assert remote.ok("env", "diff", "-s", "web").out == "+ A added\n- B removed\n~ C changed\n"


def run_edit(orc: Orc, script: str, answer: str) -> tuple[int, str]:
    editor = orc.folder.parent / "editor"
    editor.write_text(f"#!{sys.executable}\nimport pathlib, sys\nfile = pathlib.Path(sys.argv[1])\n{script}\n")
    editor.chmod(0o755)
    argv = ["env", f"EDITOR={editor}", f"TMPDIR={orc.folder.parent}", sys.executable, "-m", "orca.cli", "env", "edit"]
    with Terminal(argv, orc) as terminal:
        if answer:
            terminal.expect("Store this?")
            terminal.type(answer)
        code = terminal.wait()
    assert not list(orc.folder.parent.glob("orc-env-*")), "the file with the values is gone"
    return code, terminal.seen


CHANGE = """
import stat
assert stat.S_IMODE(file.stat().st_mode) == 0o600
text = file.read_text()
assert "cious" not in text
file.write_text(text.replace("LEVEL=info", "LEVEL=debug").replace("WORDS=", "#") + "NEW=1\\n")
"""


def test_edits_are_shown_and_stored_as_a_whole(linked: Orc) -> None:
    before = stored(linked)
    code, seen = run_edit(linked, CHANGE, "n\n")
    assert (code, stored(linked)) == (5, before)
    code, seen = run_edit(linked, CHANGE, "y\n")
    assert (code, stored(linked)) == (0, {"LEVEL": "debug", "NEW": "1", "API_KEY": None})
    for line in ("- LEVEL=info", "+ LEVEL=debug", "+ NEW=1"):
        assert line in seen


@pytest.mark.parametrize(
    ("script", "code", "told"),
    [
        ("", 0, "Nothing was changed."), ("sys.exit(3)", 5, "the editor ended with 3"),
        ("file.write_text('broken')", 5, "KEY=value is expected"),
        ("file.write_text('API_KEY=x')", 5, "API_KEY: a secret is not set in this file"),
    ],
)  # fmt: skip
def test_edits_that_cannot_be_used_change_nothing(linked: Orc, script: str, code: int, told: str) -> None:
    before = stored(linked)
    ended, seen = run_edit(linked, script, "")
    assert (ended, stored(linked)) == (code, before)
    assert told in seen


def test_no_editor_is_opened_without_a_terminal(linked: Orc) -> None:
    assert linked("env", "edit").code == 2
