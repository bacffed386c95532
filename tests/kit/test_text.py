"""Output of programs, made safe."""

import pytest
from tests.processor_time import processor_seconds

from orca.kit.text import clean_lines, clean_output, join, redact, redactions


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["one", "two"], "one\ntwo\n"),
        (["\x1b[31mred\x1b[0m"], "\x1b[31mred\x1b[0m\n"),
        (["\x1b]52;c;steal", "still seen"], "\nstill seen\n"),
        (["\x1b[2Jcleared", "bell\x07", "left\u202eright"], "cleared\nbell\nleftright\n"),
        (["tab\tstays"], "tab\tstays\n"),
    ],
)
def test_lines_are_cleaned_each_for_itself(lines: list[str], text: str) -> None:
    assert clean_lines(lines) == text


def test_colours_can_go_too() -> None:
    assert clean_output("\x1b[1mbold\x1b[0m", colours=False) == "bold"


def test_a_secret_of_several_lines_is_found_in_a_text_of_several_lines() -> None:
    key = "-----BEGIN-----\nabcdef\n-----END-----"
    assert redact(clean_lines(["printing", *key.split("\n")]), (key,)) == "printing\n•••\n"


def test_each_line_of_a_secret_is_hidden() -> None:
    assert set(redactions(["one", "two\nthree\n", ""])) == {"one", "two\nthree\n", "two", "three"}


def test_sentences_get_their_full_stop_once() -> None:
    assert join("it failed", "Try again.") == "it failed. Try again."
    assert join("Too many attempts.", "Wait!", "", "really") == "Too many attempts. Wait! really."


def test_secrets_of_very_many_lines_keep_no_log_waiting() -> None:
    """Thirty megabytes of them may be set; each line of a log is compared with all that is hidden."""
    secrets = ["\n".join(f"{variable:04d}{line:06d}" for line in range(5900)) for variable in range(500)]
    hidden = redactions(secrets)
    line = "GET / 200, a line that a service writes for each of its requests"
    assert processor_seconds(lambda: [redact(line, hidden) for _ in range(200)]) < 1
    assert redact(f"it is {secrets[7]}!", hidden) == "it is •••!"


def test_a_bundle_of_certificates_is_hidden_line_by_line() -> None:
    bundle = "\n".join(f"line {number:03d} of a bundle" for number in range(400))
    hidden = redactions([bundle, "other secret"])
    assert all(redact(line, hidden) == "•••" for line in [*bundle.split("\n"), "other secret"])
