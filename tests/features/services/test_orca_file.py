"""`orca.yaml`: read with the place of every mistake, merged over stored settings, written with comments."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import validator_for

from orca.errors import BadInput
from orca.features.services.orca_file import merge, orca_file_schema, parse_orca_file, render_orca_file
from orca.features.services.schemas.settings import BuildOptions, FrozenConfig, HealthCheck, Port
from orca.features.services.schemas.volumes import VolumeMount
from orca.kit.yaml import read_yaml
from orca.sdk.builders import Detection

FULL = """
name: Shop
kind: web
build:
  builder: dockerfile
  dockerfile: docker/Dockerfile
  target: runtime
  arguments: {VERSION: 1.10, DEBUG: false}
  options: {version: 3.12}
ports:
  - {name: http, port: 3000, public: true}
  - {name: admin, port: 3001}
health: {type: http, path: /up, start_period: 90}
resources: {cpus: 0.5, memory_mb: 256}
command: [gunicorn, app, 8080]
release_command: [python, manage.py, migrate]
replicas: 2
restart: no
stop_grace: 30
variables:
  LOG_LEVEL: info
  WORKERS: 4
  RATE: 1.50
  DEBUG: true
  EMPTY: ""
  PEM: |
    a
    b
volumes:
  - {name: data, path: /data}
domains: [shop.example.org, "*.shop.example.org"]
"""


def test_a_full_file_means_what_it_says():
    file = parse_orca_file(FULL)
    assert (file.name, file.kind, file.replicas, file.restart, file.stop_grace) == ("Shop", "web", 2, "no", 30.0)
    assert file.build.arguments == {"VERSION": "1.10", "DEBUG": "false"}
    assert file.build.options == {"version": "3.12"}
    assert file.command == ["gunicorn", "app", "8080"]
    assert file.variables == {
        "LOG_LEVEL": "info", "WORKERS": "4", "RATE": "1.50", "DEBUG": "true", "EMPTY": "", "PEM": "a\nb\n",
    }  # fmt: skip
    assert file.resources.cpus == 0.5
    assert file.domains == ["shop.example.org", "*.shop.example.org"]
    assert file.public_ports() == [3000]


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}"])
def test_an_empty_file_says_nothing(text):
    assert parse_orca_file(text).model_fields_set == set()


@pytest.mark.parametrize(
    ("text", "path", "line", "column", "message"),
    [
        ("kind: web\nporst:\n  - {port: 1}\n", "porst", 2, 1, "did you mean “ports”"),
        ("kind: web\nzzz: 1\n", "zzz", 2, 1, "known here: build, command, domains"),
        ("ports:\n  - port: 80\n    pubic: true\n", "ports.0.pubic", 3, 5, "did you mean “public”"),
        ("health:\n  tpye: http\n", "health.tpye", 2, 3, "did you mean “type”"),
        ("kind: cron\n", "kind", 1, 7, "'web', 'worker' or 'static'"),
        ("replicas: many\n", "replicas", 1, 11, "must be a whole number"),
        ('replicas: "2"\n', "replicas", 1, 11, "must be a whole number"),
        ("replicas: 2.5\n", "replicas", 1, 11, "must be a whole number"),
        ("replicas: true\n", "replicas", 1, 11, "must be a whole number"),
        ("replicas: 51\n", "replicas", 1, 11, "must be at most 50"),
        ("replicas:\n", "replicas", 1, 10, "must be a whole number"),
        ("stop_grace: soon\n", "stop_grace", 1, 13, "must be a number"),
        ("ports: 8080\n", "ports", 1, 8, "must be a list"),
        ("ports: [8080]\n", "ports.0", 1, 9, "must be a mapping"),
        ("ports:\n  - {name: a}\n", "ports.0.port", 2, 5, "is missing"),
        ("ports:\n  - {port: 80, public: yes}\n", "ports.0.public", 2, 24, "must be true or false"),
        ("ports:\n  - {port: 80}\n  - {port: 80, name: b}\n", "ports", 2, 3, "must differ"),
        ("command: gunicorn app\n", "command", 1, 10, 'such as ["gunicorn"]'),
        ("build: auto\n", "build", 1, 8, "must be a mapping"),
        ("variables: [a]\n", "variables", 1, 12, "must be a mapping"),
        ("variables:\n  A: [1]\n", "variables.A", 2, 6, "must be text"),
        ("variables:\n  A:\n", "variables.A", 2, 5, 'write "" for an empty text'),
        ("variables:\n  1A: x\n", "variables.1A", 2, 3, "letters, digits, underscores, dots and dashes"),
        ("variables:\n  B: x\n  A B: x\n", "variables.A B", 3, 3, "letters, digits, underscores"),
        ("volumes:\n  - {name: a, path: /proc}\n", "volumes.0.path", 2, 21, "belongs to the system"),
        ("volumes:\n  - {name: a, path: /a}\n  - {name: b, path: /a}\n", "volumes", 2, 3, "cannot both be at /a"),
        ("domains: [EXAMPLE.org]\n", "domains.0", 1, 11, "has a form or characters that are not allowed"),
        ("health: {type: command}\n", "health", 1, 9, "a command belongs to type"),
        ("name: a\nname: b\n", "orca.yaml", 2, 1, "given twice, first in line 1"),
        ("name: !!python/name:os.system x\n", "orca.yaml", 1, 7, "tags"),
        ("- a\n", "orca.yaml", 1, 1, "a mapping of keys to values"),
        ("web\n", "orca.yaml", 1, 1, "a mapping of keys to values"),
        ("kind: [web\n", "orca.yaml", 2, 1, "expected"),
        ("secrets: {A: b}\n", "secrets", 1, 1, "unknown key"),
        ("source: {type: git}\n", "source", 1, 1, "unknown key"),
    ],
)  # fmt: skip
def test_mistakes_are_refused_with_line_and_column(text, path, line, column, message):
    with pytest.raises(BadInput) as caught:
        parse_orca_file(text)
    error = caught.value
    assert message in error.details["fields"][path]
    assert (error.details["line"], error.details["column"]) == (line, column)
    assert f"line {line}, column {column}" in error.message


def test_all_mistakes_are_told_at_once_in_their_order():
    with pytest.raises(BadInput) as caught:
        parse_orca_file("replicas: x\nport: 80\nkind: y\nvariables: {A: 1}\n")
    assert list(caught.value.details["fields"]) == ["replicas", "port", "kind"]
    assert "(and 2 more)" in caught.value.message


@pytest.mark.parametrize(
    "text",
    ["a: " + "[" * 100_000, "x: &x 1\ny: [" + "*x, " * 101 + "]", "#" * (1 << 20) + "\n", b"\xff", "- a\n" * 50_000],
)
def test_hostile_files_are_refused(text):
    with pytest.raises(BadInput):
        parse_orca_file(text)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(
        st.sampled_from(["kind", "ports", "port", "health", "build", "variables", "volumes", "name", "x"]), children, max_size=4
    ),
    max_leaves=12,
))  # fmt: skip
def test_whatever_is_in_it_the_answer_is_a_file_or_bad_input(value):
    import yaml

    try:
        parse_orca_file(yaml.safe_dump(value, allow_unicode=True))
    except BadInput as error:
        assert error.details["fields"]  # noqa: PT017 - either outcome is right


STORED = FrozenConfig(
    kind="web", ports=[Port(port=3000, public=True)], replicas=1, command=["old"],
    health=HealthCheck(type="http", path="/old", interval=9),
    variables={"PORT": "3000", "A": "stored", "B": "stored"}, secret_keys=["TOKEN"],
    mounts=[VolumeMount(name="data", path="/data")], volume_names={"data": "orca-1"},
)  # fmt: skip


def test_what_the_file_says_wins_and_what_it_does_not_say_stays():
    build = BuildOptions(builder="dockerfile", target="dev", arguments={"X": "1"})
    file = parse_orca_file(
        "ports: [{port: 4000, public: true}]\nhealth: {type: tcp}\nvariables: {A: file, C: file, TOKEN: plain}\n"
        "volumes: [{name: cache, path: /cache}]\nbuild: {target: prod}\nreplicas: 3\n"
    )
    config, options = merge(STORED, build, file)
    assert config.replicas == 3
    assert config.command == ["old"]
    assert config.health == HealthCheck(type="tcp")
    assert config.variables == {"A": "file", "B": "stored", "C": "file", "PORT": "4000"}
    assert config.secret_keys == ["TOKEN"]
    assert [mount.name for mount in config.mounts] == ["data", "cache"]
    assert config.volume_names == {"data": "orca-1"}
    assert options == BuildOptions(builder="dockerfile", target="prod", arguments={"X": "1"})


def test_an_empty_file_changes_nothing():
    assert merge(STORED, BuildOptions(target="x"), parse_orca_file("")) == (STORED, BuildOptions(target="x"))


def test_a_port_that_somebody_set_stays():
    stored = STORED.model_copy(update={"variables": {"PORT": "9"}})
    config, _ = merge(stored, BuildOptions(), parse_orca_file("ports: [{port: 4000, public: true}]"))
    assert config.variables == {"PORT": "9"}


def test_kind_rules_hold_for_the_result():
    with pytest.raises(BadInput, match="worker has no public ports"):
        merge(STORED, BuildOptions(), parse_orca_file("kind: worker"))
    config, _ = merge(STORED, BuildOptions(), parse_orca_file("kind: worker\nports: []\nhealth: {}"))
    assert (config.kind, config.ports, config.variables.get("PORT")) == ("worker", [], None)
    config, _ = merge(FrozenConfig(kind="web"), BuildOptions(), parse_orca_file("kind: static"))
    assert (config.public_ports(), config.variables) == ([8080], {"PORT": "8080"})


def test_a_volume_moves_but_two_never_share_a_path():
    moved, _ = merge(STORED, BuildOptions(), parse_orca_file("volumes: [{name: data, path: /srv}]"))
    assert [(mount.name, mount.path) for mount in moved.mounts] == [("data", "/srv")]
    with pytest.raises(BadInput, match="cannot both be at /data"):
        merge(STORED, BuildOptions(), parse_orca_file("volumes: [{name: other, path: /data}]"))


DETECTIONS = {
    "nothing": None,
    "static": Detection("template", "static", "Static site · index.html", "FROM scratch", 8080, service_kind="static"),
    "python": Detection(
        "template", "python", "Python (FastAPI, uv) · app in main.py", "FROM x", 8000, service_kind="web"
    ),
    "dockerfile": Detection("dockerfile", "dockerfile", "Dockerfile", "FROM x", None, service_kind="web"),
    "worker": Detection("template", "procfile", "Procfile\n· worker: x", "FROM x", None, service_kind="worker"),
}


@pytest.mark.parametrize("detected", DETECTIONS.values(), ids=DETECTIONS.keys())
@pytest.mark.parametrize("name", ["hello", "Café: a # b", '"quoted" {x}', "- - a", "日本語"])
def test_a_rendered_file_can_be_read_also_with_every_example_uncommented(name, detected):
    text = render_orca_file(name, detected, schema_url="https://panel.example.org/api/v1/schemas/orca.yaml.json")
    file = parse_orca_file(text)
    assert file.name == name
    assert file.kind == (detected.service_kind if detected else "web")
    full = parse_orca_file(re.sub(r"(?m)^( *)#(?! )", r"\1", text))
    assert full.release_command == ["python", "manage.py", "migrate"]
    assert full.volumes[0].path == "/data"
    assert full.build.builder == (detected.builder if detected else "auto")


@pytest.mark.parametrize("folder", ["", " ", "\x1b[31m", "x" * 300, "a\x00b"])
def test_a_folder_whose_name_is_no_name_still_gives_a_file(folder):
    assert parse_orca_file(render_orca_file(folder, None)).name


def test_the_published_schema_is_valid_and_agrees_with_the_parser():
    schema = orca_file_schema()
    validator = validator_for(schema)
    assert validator.is_valid(read_yaml(FULL.replace("restart: no", 'restart: "no"').replace("8080]", '"8080"]')
                                        .replace("1.10, DEBUG: false", '"1", DEBUG: "x"').replace("version: 3.12", "version: x")).value)  # fmt: skip
    assert validator.is_valid({})
    for wrong in ({"porst": 1}, {"replicas": "x"}, {"kind": "cron"}, {"ports": [{"name": "a"}]}, {"build": {"x": 1}}):
        assert not validator.is_valid(wrong)
    assert all("description" in each for each in schema["properties"].values())
