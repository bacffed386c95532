"""What a source is found to be: the decisions, without a source."""

import pytest

from orca.features.services import detection as rules
from orca.features.services.detection import Folder
from orca.features.services.orca_file import OrcaFile, parse_orca_file


@pytest.mark.parametrize(
    ("dockerfile", "command"),
    [
        ('FROM x\nCMD ["node", "server.js"]\n', "node server.js"),
        ('FROM x\nCMD ["/bin/sh", "-c", "exec uvicorn main:app --port $PORT"]\n', "uvicorn main:app --port $PORT"),
        ('FROM x\nCMD ["/bin/bash", "-c", "exec run $PORT"]\n', "run $PORT"),
        ('FROM x\nENTRYPOINT ["/bin/bash", "/start.sh"]\nCMD ["node", "a.js"]\n', "node a.js"),
        ('FROM x\nENTRYPOINT ["/bin/bash", "/start.sh"]\n', "/bin/bash /start.sh"),
        ('FROM x\nENTRYPOINT []\nCMD ["node", "a.js"]\n', "node a.js"),
        ("FROM x\nCMD npm start\n", "npm start"),
        ('FROM x\nENTRYPOINT ["tini", "--"]\nCMD ["a b"]\n', "tini -- 'a b'"),
        ('FROM x\nENTRYPOINT exec run $X\nCMD ["ignored"]\n', "exec run $X"),
        ('FROM x\nCMD ["first"]\nCMD ["second"]\n', "second"),
        ('FROM x AS base\nCMD ["kept"]\nFROM y AS other\nCMD ["not me"]\nFROM base\nRUN true\n', "kept"),
        ('FROM x\nCMD ["build"]\nFROM y\nCOPY --from=0 /a /a\n', None),
        ('FROM x\nCMD ["broken\n', '["broken'),
        (f"FROM x\nCMD {'[' * 200}1{']' * 200}\n", f"{'[' * 200}1{']' * 200}"),
        (f"FROM x\nCMD {'[' * 1000}{']' * 1000}\n", f"{'[' * 499}…"),
        ("no dockerfile at all", None),
    ],
)  # fmt: skip
def test_what_runs_is_read_from_the_last_stage(dockerfile: str, command: str | None) -> None:
    assert rules.find_start_command(dockerfile) == command


def test_a_command_is_shown_without_control_characters_and_not_endlessly() -> None:
    shown = rules.find_start_command('FROM x\nCMD ["a\\u001b[31m\\u0007", "' + "x" * 5000 + '"]\n')
    assert shown is not None
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert len(shown) <= 500


def test_orca_yaml_comes_before_what_was_found() -> None:
    file = parse_orca_file(
        "ports: [{port: 9000}, {name: web, port: 9001, public: true}]\nhealth: {type: http, path: /up}\n"
    )
    assert rules.public_port(file, 80) == 9001
    assert rules.public_port(OrcaFile(), 80) == 80
    assert rules.suggest_health(file, "web").path == "/up"
    assert rules.suggest_health(OrcaFile(), "web").type == "http"
    assert rules.suggest_health(OrcaFile(), "worker").type == "none"


def test_each_problem_of_orca_yaml_has_its_place() -> None:
    file, problems = rules.read_orca_file("kind: web\nreplica: 2\nports:\n  - {port: none}\n")
    assert file == OrcaFile()
    assert [(each.key, each.line, each.column) for each in problems] == [("replica", 2, 1), ("ports.0.port", 4, 12)]
    assert problems[0].message == "unknown key; did you mean “replicas”?"


def test_a_file_whose_parts_contradict_each_other_is_told_too() -> None:
    _, problems = rules.read_orca_file("kind: worker\nports: [{port: 80, public: true}]\n")
    assert [(each.key, each.line) for each in problems] == [("ports", None)]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["docker-compose.yml"], "make one service here for each"),
        ([], "There are no files here"),
        ([f"file{number}" for number in range(30)], "and 18 more"),
    ],
)
def test_hints_say_what_to_do_when_nothing_fits(names: list[str], told: str) -> None:
    assert told in " ".join(rules.find_hints(names, []))


def test_the_folder_that_could_be_built_is_told_first() -> None:
    hints = rules.find_hints(["backend", "README.md"], [Folder(path="backend", summary="Go 1.22")])
    assert hints[0] == "backend could be built: Go 1.22. Choose it as the subdirectory."


def test_what_would_surprise_is_told() -> None:
    told = rules.find_warnings([".env", "main.py"], submodules_left_out=True)
    assert [word for word in ("submodules", ".env") if not any(word in each for each in told)] == []
    assert rules.find_warnings(["main.py"], submodules_left_out=False) == []
    assert "8080" in rules.port_warning("web", None)[0]
    assert rules.port_warning("worker", None) == []
