"""The schema of `orca.yaml` says exactly what the server takes: the same documents go through both."""

import json
import re
from itertools import chain

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema_rs import validator_for
from tests.conftest import ROOT

from orca.errors import BadInput
from orca.features.services.orca_file import orca_file_schema, parse_orca_file

SCHEMA = json.loads(json.dumps(orca_file_schema()))
VALIDATOR = validator_for(SCHEMA)
PAIR = re.compile(r"\\ud[89ab]..\\ud[c-f]..")
"""How JSON escapes what is beyond the first plane, and YAML does not."""
ONLY_THE_SERVER = {
    r"ports": "must differ",
    r"volumes": "is named twice|cannot both be at",
    r"name": "invisible characters|must not be empty",
    r"build\.dockerfile": "is not a directory inside|write the path of a file",
    r"variables\..*": "bytes at most",
    r"volumes\.\d+\.mode": "form or characters",
    r"runtime\.files": "would be hidden|cannot be in it|bytes at most",
    r"runtime\.files\..*\.content": "bytes at most",
    r"runtime\.files\..*\.mode": "form or characters",
    r"runtime\.published": "is published twice",
    r"runtime\.host_network": "on the network of the machine|of the whole machine",
    r"runtime\.host_folders": "would be put into a folder of the machine",
}
"""What no schema can say: named in docs/orca-yaml.md."""


def resolve(schema):
    return SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def check(document):
    """Both say the same; whether they take it."""
    wanted = VALIDATOR.is_valid(document)
    try:
        parse_orca_file(PAIR.sub(lambda found: json.loads(f'"{found[0]}"'), json.dumps(document)))
    except BadInput as error:
        fields = error.details["fields"]
        named = all(any(re.fullmatch(path, name) and re.search(words, text) for path, words in ONLY_THE_SERVER.items())
                    for name, text in fields.items())  # fmt: skip
        assert not wanted or named, (document, fields)
        return False
    assert wanted, (document, [str(each) for each in VALIDATOR.iter_errors(document)][:3])
    return True


def leaves(schema, place=()):
    """Every place of a value in a document, and what may stand there."""
    schema = resolve(schema)
    yield place, schema
    for each in schema.get("anyOf", ()):
        yield from ((found, inner) for found, inner in leaves(each, place) if found != place)
    for name, inner in schema.get("properties", {}).items():
        yield from leaves(inner, (*place, name))
    for inner in schema.get("patternProperties", {}).values():
        yield from leaves(inner, (*place, "key"))
    if "items" in schema:
        yield from leaves(schema["items"], (*place, 0))


def put(place, value):
    """The smallest document with this value there that lacks nothing."""
    for step in reversed(place):
        value = [value] if step == 0 else {step: value}
    for name, least in (("ports", {"port": 80}), ("volumes", {"name": "v", "path": "/v"})):
        if place[:2] == (name, 0) and len(place) > 2:
            value[name][0] = {**least, **value[name][0]}
    if place == ("health", "command", 0):
        value["health"]["type"] = "command"
    if place == ("runtime", "files", "key", "mode"):
        value["runtime"]["files"]["key"]["content"] = "text"
    if place[:3] == ("runtime", "files", "key"):
        value["runtime"]["files"] = {"/etc/key": value["runtime"]["files"]["key"]}
    return value


def around(schema):
    """Values at the bounds of a schema, and beyond."""
    alternatives = [schema, *schema.get("anyOf", ())]
    for each in alternatives:
        yield from each.get("enum", ())
        for bound in ("minimum", "maximum", "exclusiveMinimum"):
            if bound in each:
                yield from (each[bound] + delta for delta in (-1, -0.05, 0, 0.05, 1))
        for bound in ("minLength", "maxLength"):
            if bound in each:
                yield from ("a" * max(each[bound] + delta, 0) for delta in (-1, 0, 1))
                yield "/" + "a" * each[bound]
        for bound, make in (("maxItems", lambda n: [f"h{i}.example" for i in range(n)]),
                            ("maxProperties", lambda n: {f"v{'a' * (i % 26)}{i}": "x" for i in range(n)})):  # fmt: skip
            if bound in each:
                yield from (make(each[bound] + delta) for delta in (0, 1))


ANY = (
    None, True, False, 0, 1, -1, 2.0, 2.5, 750, 80, 443, 999, 1e300, 10**17, "", " ", "a", "A b", "1", "0750", "1000:1000", "web", "no", "x.y",
    "/", "/data/", "/proc", "/a/../b", "//a", "a/../b", "a\u0000b", "a\nb", "\u200b", " \t", "é", "*.example.org", "EXAMPLE.org", "a.b:80",
    "-", "http", "command", [], {}, [1], ["a"], {"a": 1}, {"A_b.c-d": True}, {"1a": "x"}, [None], [[]],
)  # fmt: skip


@pytest.mark.parametrize(
    ("place", "schema"), [pytest.param(p, s, id=".".join(map(str, p)) or "top") for p, s in leaves(SCHEMA)]
)
def test_schema_and_server_say_the_same_at_every_place(place, schema):
    results = [check(put(place, value)) for value in chain(ANY, around(schema))]
    assert False in results


def test_a_command_belongs_to_its_type_for_both():
    for health in (
        {"type": "command"},
        {"type": "command", "command": []},
        {"command": ["a"]},
        {"type": "tcp", "command": ["a"]},
    ):
        assert not check({"health": health})
    assert check({"health": {"type": "command", "command": ["a"]}})
    assert check(None)


def test_a_file_has_one_source_for_both():
    for file in (
        {},
        {"content": "a", "secret": "A"},
        {"content": None},
        {"content": None, "secret": None},
        {"mode": "0444"},
    ):
        assert not check({"runtime": {"files": {"/etc/a": file}}})
    for file in ({"content": ""}, {"secret": "A"}, {"content": None, "secret": "A"}, {"content": "a", "mode": 444}):
        assert check({"runtime": {"files": {"/etc/a": file}}})
    for path in ("/etc/hosts", "/etc/resolv.conf", "/proc/a", "/a/../b", "/a/", "a", "/a b"):
        assert not check({"runtime": {"files": {path: {"content": ""}}}})
    assert check({"runtime": {"files": {"/etc/hosts.allow": {"content": ""}, "/etc/passwd": {"content": ""}}}})


def strategy(schema):
    """Documents that mostly follow the schema."""
    schema = resolve(schema)
    wild = st.sampled_from(ANY)
    if "anyOf" in schema:
        return st.one_of([strategy(each) for each in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    made = st.one_of([_of_kind(schema, kind) for kind in kinds])
    return st.integers(0, 40).flatmap(lambda chance: wild if chance == 40 else made)


def _of_kind(schema, kind):
    if kind == "string":
        pattern = schema.get("pattern", "")
        free = st.text(st.characters(codec="utf-8", exclude_categories=["Cn", "Co", "Cs"]), max_size=6)
        return free if pattern in {"", r"\S", r"^[^\x00]*$"} else st.from_regex(pattern, fullmatch=True)
    if kind == "integer":
        return st.integers(schema.get("minimum", -5), min(schema.get("maximum", 10**9), 10**9))
    if kind == "number":
        return st.floats(schema.get("minimum", -5), schema.get("maximum", 1e6), allow_nan=False)
    if kind == "array":
        return st.lists(strategy(schema["items"]), max_size=3)
    if kind == "object":
        known = {name: strategy(each) for name, each in schema.get("properties", {}).items()}
        needed = {name: known.pop(name) for name in schema.get("required", ())}
        keys = [st.dictionaries(st.from_regex(pattern, fullmatch=True), strategy(each), max_size=3)
                for pattern, each in schema.get("patternProperties", {}).items()]  # fmt: skip
        return keys[0] if keys else st.fixed_dictionaries(needed, optional=known)
    return {"null": st.none(), "boolean": st.booleans()}[kind]


@given(strategy(SCHEMA))
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_schema_and_server_say_the_same_of_whole_documents(document):
    check(document)


def test_what_only_the_server_refuses_is_documented():
    text = (ROOT / "docs/orca-yaml.md").read_text()
    for words in (
        "the same number or name",
        "the same name or path",
        "cannot be seen",
        "leads out of",
        "64 KiB",
        "octal",
        "128 KiB",
        "in a folder of the machine",
        "of the machine twice",
    ):
        assert words in text, words
