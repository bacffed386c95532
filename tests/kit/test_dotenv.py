"""Files of variables by a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orca.kit.dotenv import MOST_PROBLEMS, BadLine, parse_dotenv, read_dotenv, write_dotenv


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1", {"A": "1"}),
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("# comment\n\n  \nA=1 # tail\n", {"A": "1"}),
        ("A=a#b", {"A": "a#b"}),
        ("export A=1", {"A": "1"}),
        ("A=", {"A": ""}),
        ("A=\nB=2", {"A": "", "B": "2"}),
        ("A = spaced  ", {"A": "spaced"}),
        ("A='single $X # \\n'", {"A": "single $X # \\n"}),
        ('A="double\\n\\"quoted\\" \\\\ $X"', {"A": 'double\n"quoted" \\ $X'}),
        ('A="-----BEGIN-----\nabc\n-----END-----"\nB=1', {"A": "-----BEGIN-----\nabc\n-----END-----", "B": "1"}),
        ("A='two\nlines'", {"A": "two\nlines"}),
        ("A=x=y=z", {"A": "x=y=z"}),
        ("A=$(rm -rf /)`x`", {"A": "$(rm -rf /)`x`"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("\ufeffA=1", {"A": "1"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A='x' # tail", {"A": "x"}),
        ("A=it's", {"A": "it's"}),
        ("", {}),
    ],
)
def test_values(text: str, expected: dict[str, str]) -> None:
    assert parse_dotenv(text) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("A", "line 1: KEY=value is expected"),
        ("A=1\n1B=secret", "line 2: a name cannot begin with a digit"),
        ("A=1\n\nB='secret", "line 3: the closing ' is missing"),
        ('A="secret', 'line 1: the closing " is missing'),
        ("A='x' secret", "line 1: something follows the closing '"),
        ("A B=1", "line 1: KEY=value is expected"),
    ],
)
def test_mistakes_are_placed_and_show_no_value(text: str, told: str) -> None:
    with pytest.raises(BadLine) as refused:
        parse_dotenv(text)
    assert str(refused.value) == told
    assert "secret" not in str(refused.value)


def test_every_bad_line_is_told_and_the_others_are_read() -> None:
    found, problems = read_dotenv('A=1\nnonsense\nB=\'open\nC="x\ny"\n2D=1\nE=5')
    assert [(each.line, each.key, each.value) for each in found] == [(1, "A", "1"), (4, "C", "x\ny"), (7, "E", "5")]
    assert [each.line for each in problems] == [2, 3, 6]


@pytest.mark.timeout(10)
@pytest.mark.parametrize("text", ["A=\n" * 300_000, "x\n" * 500_000, "A=x" + " " * 500_000 + "y", 'A="\n' * 200_000])
def test_a_megabyte_of_anything_is_read_at_once(text: str) -> None:
    found, problems = read_dotenv(text, most=1000)
    assert len(found) <= 1001
    assert len(problems) <= MOST_PROBLEMS


def test_problems_tell_their_line_also_behind_values_of_several_lines() -> None:
    found, problems = read_dotenv('A="1\n2\n3"\nwrong\nB=2\n\nworse\n')
    assert [each.line for each in found] == [1, 5]
    assert [each.line for each in problems] == [4, 7]


@given(st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_.-]{0,9}", fullmatch=True), st.text(), max_size=5))
def test_what_is_written_is_read_as_the_same(values: dict[str, str]) -> None:
    assert parse_dotenv(write_dotenv(values)) == values


def test_simple_values_are_written_without_quotes() -> None:
    assert write_dotenv({"A": "x/y=1", "B": "two words", "C": "it's"}) == "A=x/y=1\nB='two words'\nC=\"it's\"\n"
