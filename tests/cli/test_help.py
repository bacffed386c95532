"""Every command explains itself, and its examples are real."""

import re
import shlex
import sys

import pytest
from tests.cli.conftest import Orc
from tests.conftest import ROOT

from orca.cli.failures import EXIT_CODES
from orca.cli.help import noun_help, root_help
from orca.cli.parser import choose_verb, find_entry, load, make_parser, parse, split
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
    command = load(entry, verb)
    parse(make_parser(entry, verb, command), command, [*before, *rest])


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
        (["status", "--josn"], "Did you mean `--json`?"),
        (["serve", "--data-dri=x"], "Did you mean `--data-dir`?"),
        (["run", "web", "--timeuot", "5", "--", "ls"], "Did you mean `--timeout`?"),
        (["ps", "web", "--service", "worker"], "two services are named: web and worker"),
        (["ps", "shop/web", "--project", "blog"], "two projects are named: shop and blog"),
        (["scale", "web", "many"], "many is no whole number"),
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


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("logs web", {"service": "web", "project": None}),
        ("logs -f shop/web", {"service": "web", "project": "shop", "follow": True}),
        ("ps --json web", {"service": "web"}),
        ("ps -s shop/web", {"service": "web", "project": "shop"}),
        ("ps web -s web", {"service": "web"}),
        ("scale 3", {"service": None, "replicas": 3}),
        ("scale web 3", {"service": "web", "replicas": 3}),
        ("scale web --no-follow 3", {"service": "web", "replicas": 3}),
        ("rollback 12", {"service": None, "release": 12}),
        ("rollback web", {"service": "web", "release": None}),
        ("rollback shop/web 12", {"service": "web", "project": "shop", "release": 12}),
        ("cancel web", {"service": "web", "number": None}),
        ("deployments show 12", {"service": None, "number": "12"}),
        ("deployments show 019b2c1e-7d10", {"service": None, "number": "019b2c1e-7d10"}),
        ("deployments web --limit 3", {"service": "web", "limit": 3}),
        ("env web", {"service": "web"}),
        ("volumes shop/web", {"service": "web", "project": "shop"}),
        ("services show web", {"service": "web"}),
        ("run web -- sh -c ls", {"service": "web", "command": ["sh", "-c", "ls"]}),
        ("run -s web -- ls", {"service": "web", "command": ["ls"]}),
        ("run -- ls -- x", {"service": None, "command": ["ls", "--", "x"]}),
        ("run web --timeout 5 -- ls", {"service": "web", "command": ["ls"], "timeout": 5.0}),
        ("run python manage.py migrate", {"service": None, "command": ["python", "manage.py", "migrate"]}),
        ("exec web", {"service": "web", "command": []}),
        ("exec shop/web -it --replica 1 -- ls -- x", {"service": "web", "tty": True, "command": ["ls", "--", "x"]}),
        ("exec -- web", {"service": None, "command": ["web"]}),
        ("run npm test -- --watch", {"service": None, "command": ["npm", "test", "--", "--watch"]}),
    ],
)
def test_a_service_is_named_after_the_command(line: str, expected: dict[str, object]) -> None:
    words = line.split()
    entry, verb, rest = find_entry(words[0]), None, words[1:]
    if entry.verbs:
        verb, rest = choose_verb(entry, rest[0], rest[1:])
    command = load(entry, verb)
    args = vars(parse(make_parser(entry, verb, command), command, rest))
    assert {name: args[name] for name in expected} == expected


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
        word = words[1] if len(words) > 1 and re.fullmatch(r"[a-z][a-z-]*", words[1]) else None
        verb, _ = choose_verb(entry, word, [])
    known = {name for action in make_parser(entry, verb, load(entry, verb))._actions for name in action.option_strings}
    assert {word.partition("=")[0] for word in words if word.startswith("-") and word not in {"-", "--"}} <= known
