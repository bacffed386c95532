"""What reaches a terminal: clean, within its width, coloured only where that is wanted."""

import io

import pytest

from orca.cli.output import Screen, Styled
from orca.cli.states import service_state

EVIL = {
    "title": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "link": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "clear": "\x1b[2J\x1b[H",
    "device control": "\x1bPq#0;2;0;0;0\x1b\\",
    "bell": "\x07",
    "reversed": "\u202egnp.exe",
    "single-byte escapes": "\x9b2J\x9d0;x\x9c",
    "unfinished": "\x1b]52;c;ZXZpbA",
    "alternate screen": "\x1b[?1049h",
    "backspace": "good\x08\x08\x08\x08evil",
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(charset: str = "utf-8", **env: str) -> tuple[Terminal, Screen]:
    stream = type("Terminal", (Terminal,), {"encoding": charset})()
    return stream, Screen(stream, {"TERM": "xterm-256color", **env})


@pytest.mark.parametrize("name", EVIL)
def test_server_text_cannot_play_with_the_terminal(name: str) -> None:
    stream, screen = on_terminal()
    screen.line(EVIL[name], Styled(EVIL[name], "bold"))
    screen.text(EVIL[name] + "\n")
    screen.prefixed(("0 ", Styled(EVIL[name], "dim")), EVIL[name])
    screen.table(["A", "B"], [[EVIL[name], Styled(EVIL[name], "red")]])
    screen.facts([("name", EVIL[name])])
    screen.status(EVIL[name])
    screen.prompt(EVIL[name])
    screen.value(EVIL[name])
    written = stream.getvalue()
    for sequence in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[K"):
        written = written.replace(sequence, "")
    assert not set(written.replace("\r", "")) & {"\x1b", "\x07", "\x08", "\x9b", "\x9d", "\x9c", "\u202e"}


def test_carriage_returns_do_not_overwrite(capsys: pytest.CaptureFixture[str]) -> None:
    stream, screen = on_terminal()
    screen.text("good line\rEVIL\r\nnext\n")
    screen.line("a\rb\nc")
    assert stream.getvalue() == "good line\nEVIL\nnext\na b c\n"


def test_colours_of_logs_stay_on_a_terminal_and_end_with_their_text() -> None:
    stream, screen = on_terminal()
    screen.text("\x1b[31mred\n")
    assert stream.getvalue() == "\x1b[31mred\n\x1b[0m"
    plain = io.StringIO()
    Screen(plain, {}).text("\x1b[31mred\x1b[0m\n")
    assert plain.getvalue() == "red\n"


@pytest.mark.parametrize(
    ("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)]
)
def test_colours_only_where_they_are_wanted(env: dict[str, str], coloured: bool) -> None:
    stream, screen = on_terminal(**env)
    screen.line(Styled("x", "green"))
    assert ("\x1b[32m" in stream.getvalue()) is coloured


def test_nothing_is_drawn_over_outside_of_a_terminal() -> None:
    plain = io.StringIO()
    screen = Screen(plain, {})
    screen.status("working")
    screen.line("done")
    assert plain.getvalue() == "done\n"


def test_tables_fit_the_terminal_and_are_whole_in_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    rows = [["web", "x" * 100], ["wörker", "日本語のテキスト" * 10]]
    stream, screen = on_terminal(NO_COLOR="1")
    screen.table(["NAME", "REASON"], rows)
    for line in stream.getvalue().splitlines():
        assert sum(2 if ord(each) > 0x2E80 else 1 for each in line) <= 40
    assert "…" in stream.getvalue()
    plain = io.StringIO()
    Screen(plain, {}).table(["NAME", "REASON"], rows)
    assert "x" * 100 in plain.getvalue()
    assert plain.getvalue().splitlines()[0] == "NAME    REASON"


def test_values_are_exact_in_pipes() -> None:
    plain = io.StringIO()
    Screen(plain, {}).value("a\x1b[31m\r\nb")
    assert plain.getvalue() == "a\x1b[31m\r\nb"


def test_columns_of_least_use_go_first_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    header, row = ["NAME", "KIND", "URL"], ["web", "web", "https://web-shop.example.org"]
    for columns, shown in (("80", ["NAME", "KIND", "URL"]), ("34", ["NAME", "URL"]), ("20", ["NAME"])):
        monkeypatch.setenv("COLUMNS", columns)
        stream, screen = on_terminal(NO_COLOR="1")
        screen.table(header, [row], spare=("KIND", "URL"))
        assert stream.getvalue().splitlines()[0].split() == shown
        plain = io.StringIO()
        Screen(plain, {}).table(header, [row], spare=("KIND", "URL"))
        assert plain.getvalue().split() == [*header, *row]


def test_states_have_signs_on_terminals_and_the_words_of_the_api_elsewhere() -> None:
    stream, screen = on_terminal(NO_COLOR="1")
    screen.line(service_state("running"), " ", service_state("empty"), " ", service_state("new-state"))
    assert stream.getvalue() == "● running ○ not deployed new-state\n"
    for encoding, env in (("ascii", {}), ("utf-8", {"TERM": "dumb"})):
        stream, screen = on_terminal(encoding, **env, NO_COLOR="1")
        screen.line(service_state("failed"))
        assert stream.getvalue() == "failed\n"
    plain = io.StringIO()
    Screen(plain, {}).line(service_state("running"), " ", service_state("empty"))
    assert plain.getvalue() == "running empty\n"
