"""Every command explains itself, and its examples are real."""

import re
import shlex
import sys

import pytest
from tests.cli.conftest import Orc
from tests.conftest import ROOT

from orca.cli.failures import EXIT_CODES
from orca.cli.help import noun_help, root_help
from orca.cli.parser import find_entry, load, make_parser, split
from orca.cli.reference import render_reference
from orca.cli.tree import ENTRIES, Entry

COMMANDS = [(entry, verb) for entry in ENTRIES.values() for verb in (entry.verbs or [None])]
NAMES = [f"{entry.name} {verb}" if verb else entry.name for entry, verb in COMMANDS]


def test_the_tree_and_the_modules_agree() -> None:
    known: dict[str, set[str]] = {}
    for entry, verb in COMMANDS:
        known.setdefault(entry.module, set()).add(verb or entry.name)
        assert load(entry, verb).run
    for module, names in known.items():
        found = sys.modules[f"orca.cli.commands.{module}"].COMMANDS
        assert set(found) == names, module


@pytest.mark.parametrize(("entry", "verb"), COMMANDS, ids=NAMES)
def test_help_says_what_it_is_for_and_shows_examples_that_work(entry: Entry, verb: str | None) -> None:
    command = load(entry, verb)
    parser = make_parser(entry, verb, command)
    text = parser.format_help()
    assert (entry.verbs[verb] if verb else entry.summary) in text
    assert "Example:" in text
    options = [action for action in parser._actions if not action.help]
    assert not options, f"options without an explanation: {options}"
    for line in command.example.splitlines():
        _check_example(line)


def _check_example(line: str) -> None:
    """The part of a shell line that is `orc …` parses."""
    found = re.search(r"\borc .*", line)
    assert found, line
    words = shlex.split(re.split(r" [<>|] ?| >|\)$", found[0])[0])[1:]
    before, name, rest = split(words)
    entry = find_entry(name or "")
    verb = rest.pop(0) if entry.verbs else None
    make_parser(entry, verb, load(entry, verb)).parse_args([*before, *rest])


def test_root_help_names_all_commands_and_exit_codes() -> None:
    text = root_help()
    for entry in ENTRIES.values():
        assert f"  {entry.name} " in text
        if entry.verbs:
            assert all(f"  {verb} " in noun_help(entry) for verb in entry.verbs)
    assert all(meaning in text for meaning in EXIT_CODES.values())
    assert all(len(line) <= 120 for line in text.splitlines())


@pytest.mark.parametrize(("entry", "verb"), COMMANDS, ids=NAMES)
def test_commands_choose_by_the_options_that_the_root_help_promises(entry: Entry, verb: str | None) -> None:
    command = load(entry, verb)
    options = {option for action in make_parser(entry, verb, command)._actions for option in action.option_strings}
    promised = {"server": {"--server", "--json"}, "project": {"--server", "--json", "--project"}, "machine": set()}
    expected = promised.get(command.scope, {"--server", "--json", "--project", "--service"})
    assert expected <= options
    assert command.scope != "machine" or "--server" not in options


def test_the_reference_names_every_command_option_and_exit_code() -> None:
    page = render_reference()
    for name in NAMES:
        assert re.search(rf"^###+ orc {re.escape(name)}$", page, re.MULTILINE), name
    for entry, verb in COMMANDS:
        for action in make_parser(entry, verb, load(entry, verb))._actions:
            for option in action.option_strings:
                assert option in page
    assert all(f"| {code} | {meaning} |" in page for code, meaning in EXIT_CODES.items())


def test_reference_is_printed_by_its_module(orc: Orc) -> None:
    import subprocess

    printed = subprocess.run(
        [sys.executable, "-m", "orca.cli.reference"], env=orc.env, capture_output=True, text=True, check=True
    )
    assert printed.stdout == render_reference()


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"]])
def test_help_needs_no_server(orc: Orc, arguments: list[str]) -> None:
    done = orc.process(*arguments)
    assert (done.code, done.out, done.err) == (0, root_help(), "")


def test_help_of_nouns_and_verbs(orc: Orc) -> None:
    assert orc.ok("env", "--help").out == noun_help(ENTRIES["env"])
    assert orc.ok("help", "env").out == noun_help(ENTRIES["env"])
    assert "--secret" in orc.ok("env", "set", "--help").out
    assert orc.ok("help", "deploy").out == orc.ok("deploy", "--help").out


def test_nothing_at_all_is_a_mistake(orc: Orc) -> None:
    done = orc.process()
    assert (done.code, done.out) == (2, root_help())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["deplyo"], "Did you mean `orc deploy`?"),
        (["env", "imprt"], "Did you mean `orc env import`?"),
        (["dep"], "Did you mean `orc deploy`?"),
        (["bogus"], "`orc --help` lists them."),
        (["scale"], "`orc scale --help`"),
        (["scale", "many"], "many is no whole number"),
        (["ps", "--nope"], "unrecognized arguments: --nope"),
        (["ps", "--serv", "web"], "unrecognized arguments"),
        (["deploy", "--image", "a", "--git", "b"], "exclude each other"),
        (["deploy", ".", "--image", "a"], "not both"),
        (["deploy", "--branch", "main"], "--branch belongs to --git"),
        (["version", "--project", "x"], "unrecognized arguments"),
    ],
)
def test_mistakes_are_told_with_the_next_step(orc: Orc, arguments: list[str], told: str) -> None:
    done = orc(*arguments, ORC_URL="local")
    assert done.code == 2, done.err
    assert done.err.startswith("error: ")
    assert told in done.err
    assert done.out == ""


def test_options_may_stand_before_the_command(orc: Orc) -> None:
    for arguments in (["--json", "version"], ["version", "--json"]):
        assert set(orc.ok(*arguments).json) == {"version", "python"}
    done = orc("--server", "local", "--project", "a", "--service", "b", "env", "--json", "list")
    assert done.code == 6, "it was understood, but no Orca runs here"


def _mentioned() -> set[str]:
    """`orc …` in backticks, anywhere where people are told what to type."""
    places = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    for kind in ("py", "html", "yml"):
        places += [*(ROOT / "src/orca").rglob(f"*.{kind}"), *(ROOT / "docs").rglob(f"*.{kind}")]
    found: set[str] = set()
    for place in places:
        found.update(re.findall(r"`(orc [a-z][^`|\n]*)`", place.read_text()))
    return found


@pytest.mark.parametrize("line", sorted(_mentioned()))
def test_commands_that_hints_and_pages_name_exist(line: str) -> None:
    words = line.split()[1:]
    entry = find_entry(words[0])
    verb = None
    if entry.verbs:
        verb = words[1] if len(words) > 1 and re.fullmatch(r"[a-z][a-z-]*", words[1]) else next(iter(entry.verbs))
        assert verb in entry.verbs
    known = {name for action in make_parser(entry, verb, load(entry, verb))._actions for name in action.option_strings}
    assert {word.partition("=")[0] for word in words if word.startswith("-") and word not in {"-", "--"}} <= known
