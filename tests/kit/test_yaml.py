"""Hostile and ordinary YAML: what it becomes, where each piece was written, and what is refused at once."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.processor_time import processor_seconds

from orca.kit.yaml import MAX_BYTES, BadYaml, Mark, read_yaml

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
)

REFUSED = {
    "python object": ("a: !!python/object/apply:os.system ['true']", "tags", Mark(1, 4)),
    "standard tag": ("a: !!str 1", "tags", Mark(1, 4)),
    "own tag": ("%TAG ! tag:example.org,2000:\n---\na: !thing b", "tags", Mark(3, 4)),
    "tag on a mapping": ("a:\n  !thing {b: 1}", "tags", Mark(2, 3)),
    "duplicate key": ("web: 1\nx: {}\nweb: 2", "given twice, first in line 1", Mark(3, 1)),
    "duplicate key, other quotes": ("a:\n  b: 1\n  'b': 2", "given twice, first in line 2", Mark(3, 3)),
    "alias bomb": (BOMB, "20,000 keys and values", Mark(5, 15)),
    "too many aliases": ("a: &x 1\nb: [" + "*x, " * 100 + "*x]", "more than 100 aliases", Mark(2, 405)),
    "recursive alias": ("a: &x [1, *x]", "stands for nothing", Mark(1, 11)),
    "unknown alias": ("a: *nobody", "stands for nothing", Mark(1, 4)),
    "alias as key": ("a: &x b\n*x : 1", "key must be written out", Mark(2, 1)),
    "list as key": ("? [a]\n: 1", "a key must be text", Mark(1, 3)),
    "too deep": ("[" * 31, "30 levels", Mark(1, 31)),
    "far too deep": ("[" * 100_000, "30 levels", Mark(1, 31)),
    "too deep in blocks": ("- " * 50, "30 levels", Mark(1, 61)),
    "too many values": ("- a\n" * 100_000, "20,000", Mark(20_000, 3)),
    "second document": ("a: 1\n---\nb: 2", "a second", Mark(2, 1)),
    "tab": ("a:\n\t- b", "cannot start any token", Mark(2, 1)),
    "unclosed": ("a: [1, 2", "expected", Mark(2, 1)),
    "NUL": ("a: 1\nb: \x00", "U+0000", Mark(2, 4)),
    "surrogate": ("a: \ud800", "U+D800", Mark(1, 4)),
    "not UTF-8": (b"a: 1\nb: \xff", "UTF-8", Mark(2, 4)),
    "too large": (" " * (MAX_BYTES + 1), "larger than 1 MiB", Mark(1, 1)),
}


@pytest.mark.parametrize(("text", "problem", "mark"), REFUSED.values(), ids=REFUSED.keys())
def test_it_refuses_within_a_second_and_says_where(text, problem, mark):
    def refuse() -> BadYaml:
        with pytest.raises(BadYaml) as caught:
            read_yaml(text)
        return caught.value

    assert processor_seconds(refuse, enough=1) < 1
    refused = refuse()
    assert problem in refused.problem
    assert refused.mark == mark


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# only a comment", None),
        ("a: no\nb: on\nc: 1:30\nd: 2024-01-01\ne: 0x1F\nf: 1_000", {
            "a": "no", "b": "on", "c": "1:30", "d": "2024-01-01", "e": "0x1F", "f": "1_000",
        }),
        ("[1, -2, +3, 010, 1.5, .5, 1e3, true, False, null, ~]", [1, -2, 3, 10, 1.5, 0.5, 1000.0, True, False, None, None]),
        ("['1', \"true\", '~']", ["1", "true", "~"]),
        ("1: a\ntrue: b\n~: c", {"1": "a", "true": "b", "~": "c"}),
        ("a: .inf\nb: .nan\nc: 1e999\nd: " + "9" * 30, {"a": ".inf", "b": ".nan", "c": "1e999", "d": "9" * 30}),
        ("a: |\n  x\n   y\nb: >-\n  one\n  two", {"a": "x\n y\n", "b": "one two"}),
        ("a: &x {b: [1]}\nc: *x", {"a": {"b": [1]}, "c": {"b": [1]}}),
        ("a: {<<: 1}", {"a": {"<<": 1}}),
        (b"\xef\xbb\xbfa: \xc3\xa4", {"a": "ä"}),
    ],
)  # fmt: skip
def test_scalars_follow_the_core_schema(text, value):
    assert read_yaml(text).value == value


def test_every_key_and_value_has_a_place_and_scalars_their_text():
    document = read_yaml('name: x\nports:\n  - port: 80\n    public: yes\nversion: 1.10\nquoted: "1.10"\n')
    assert document.locate(("ports", 0, "port")) == Mark(3, 11)
    assert document.locate(("ports", 0, "public"), key=True) == Mark(4, 5)
    assert document.locate(("ports", 0, "missing")) == Mark(3, 5)
    assert document.locate(("nothing",)) == Mark(1, 1)
    assert document.value["version"] == 1.1
    assert document.texts["version",] == "1.10"


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab:-[]{}*&!|>'\"#%@,? \n\t\\0.~"), max_size=60))
def test_no_text_makes_it_fail_in_another_way(text):
    with suppress(BadYaml):
        assert set(read_yaml(text).texts) <= set(read_yaml(text).values)
