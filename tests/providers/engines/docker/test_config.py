"""Settings of an engine, and those that are refused."""

import pytest
from pydantic import ValidationError

from orca.errors import ProviderUnavailable
from orca.providers.engines.docker.config import DockerConfig
from orca.providers.engines.docker.connection import choose_version


def test_defaults():
    config = DockerConfig(instance="orca1")
    assert config.host == "unix:///var/run/docker.sock"
    assert str(config.address_pool) == "10.213.0.0/16"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"instance": ""},
        {"instance": "-x"},
        {"instance": "a,b=c"},
        {"instance": "x", "host": "tcp://10.0.0.1:2375"},
        {"instance": "x", "host": "/var/run/docker.sock"},
        {"instance": "x", "address_pool": "8.8.0.0/16"},
        {"instance": "x", "address_pool": "10.213.0.0/25"},
        {"instance": "x", "address_pool": "10.213.0.1/16"},
        {"instance": "x", "pull_stall": 0},
        {"instance": "x", "surplus": 1},
    ],
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(ValidationError):
        DockerConfig(**settings)


@pytest.mark.parametrize(
    ("newest", "oldest", "chosen"),
    [((1, 41), (1, 12), (1, 41)), ((1, 45), (1, 24), (1, 45)), ((1, 52), (1, 44), (1, 47))],
)
def test_the_newest_common_version_is_spoken(newest, oldest, chosen):
    assert choose_version(newest, oldest) == chosen


@pytest.mark.parametrize(("newest", "oldest", "hint"), [((1, 40), (1, 12), "Docker"), ((1, 60), (1, 48), "Orca")])
def test_no_common_version_is_explained(newest, oldest, hint):
    with pytest.raises(ProviderUnavailable) as failure:
        choose_version(newest, oldest)
    assert f"Upgrade {hint}" in failure.value.hint
