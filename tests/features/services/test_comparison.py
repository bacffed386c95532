"""Two configurations told apart, by a table; and values of variables, which are never told."""

from collections.abc import Sequence
from typing import Any

import pytest

from orca.features.services.comparison import HIDDEN, ConfigChange, compare_builds, compare_configs, compare_sources
from orca.features.services.schemas.settings import BuildOptions, FrozenConfig

BASE: dict[str, Any] = {
    "kind": "web", "ports": [{"name": "http", "port": 8080, "public": True}], "variables": {"PORT": "8080", "A": "old"},
    "secret_keys": ["S"], "mounts": [{"name": "data", "path": "/data"}], "volume_names": {"data": "orca-1"},
}  # fmt: skip


def texts(changes: Sequence[ConfigChange]) -> list[str]:
    return [change.text for change in changes]


def config(**changes: Any) -> FrozenConfig:
    return FrozenConfig.model_validate({**BASE, **changes})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"replicas": 0}, ["replicas 1→0"]),
        ({"ports": [], "variables": {"A": "old"}}, []),  # a detected port is as good as a named one
        ({"command": ["serve", "a b"]}, ["command none→serve 'a b'"]),
        ({"resources": {"cpus": 0.5, "memory_mb": 256}}, ["CPU cores none→0.5", "memory none→256 MiB"]),
        ({"stop_grace": 30}, ["stop grace 10 s→30 s"]),
        (
            {"health": {"type": "http", "path": "/up", "status": [200, 204]}},
            ["health check auto→http", "health check path /→/up", "health check status none→200 204"],
        ),
        ({"health": {"settle": 5}}, ["health check settle time 0 s→5 s"]),
        (
            {"variables": {"PORT": "8080", "A": "new", "B": ""}, "secret_keys": []},
            ["variable A changed", "variable B added", "variable S removed"],
        ),
        ({"variables": {"PORT": "8080"}, "secret_keys": ["A", "S"]}, ["variable A changed"]),
        ({"mounts": [], "volume_names": {}}, ["volume data removed"]),
        ({"mounts": [{"name": "data", "path": "/srv"}]}, ["path of volume data /data→/srv"]),
        ({"volume_names": {"data": "orca-2"}}, ["volume data is another one"]),
    ],
)
def test_what_is_stored_and_not_deployed(changes: dict[str, Any], told: list[str]) -> None:
    assert texts(compare_configs(config(**changes), config())) == told


def test_a_secret_counts_as_changed_when_it_was_set_later() -> None:
    assert texts(compare_configs(config(), config(), {"S"})) == ["variable S changed"]


def test_no_value_of_a_variable_is_told() -> None:
    told = compare_configs(config(variables={"PORT": "8080", "A": "hidden-1"}), config(variables={"A": "hidden-2"}))
    assert "hidden" not in str(texts(told))


def test_values_stand_beside_the_words_unless_one_side_is_secret() -> None:
    (plain,) = compare_configs(config(variables={"PORT": "8080", "A": "new"}), config())
    assert (plain.before, plain.after, plain.is_value) == ("old", "new", True)
    now_secret = config(variables={"PORT": "8080"}, secret_keys=["A", "S"])
    (sealed,) = compare_configs(now_secret, config())
    assert (sealed.before, sealed.after) == (HIDDEN, HIDDEN)
    (gone,) = compare_configs(config(secret_keys=[]), config())
    assert (gone.before, gone.after) == (HIDDEN, "")


@pytest.mark.parametrize(
    ("stored", "deployed", "told"),
    [
        ({"branch": "main"}, {"branch": "dev", "commit": None}, ["branch dev→main"]),
        ({"branch": "main"}, {"branch": None, "commit": "0" * 40}, []),  # a request or push named it
        ({"branch": None, "commit": "1" * 40}, {"commit": "0" * 40}, [f"commit {'0' * 40}→{'1' * 40}"]),
        ({"subdirectory": "api"}, {"subdirectory": ""}, ["subdirectory none→api"]),
    ],
)
def test_where_the_code_came_from(stored: dict[str, Any], deployed: dict[str, Any], told: list[str]) -> None:
    git = {"type": "git", "repository": "https://example.org/shop.git"}
    assert texts(compare_sources({**git, **stored}, {**git, **deployed})) == told
    assert texts(compare_sources({"type": "image", "image": "app:1"}, git)) == ["source git→image"]


def test_how_the_image_was_made() -> None:
    stored = BuildOptions(target="run", arguments={"A": "2", "B": "1"})
    assert texts(compare_builds(stored, BuildOptions(arguments={"A": "1"}))) == [
        "build target none→run", "build argument A changed", "build argument B added",
    ]  # fmt: skip
