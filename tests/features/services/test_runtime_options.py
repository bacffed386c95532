"""What some images need of their containers, through the doors, `orca.yaml` and the comparison."""

import json

import pytest
from tests.features.services.conftest import SEED

from orca.errors import BadInput
from orca.features.services.comparison import compare_configs
from orca.features.services.orca_file import merge, parse_orca_file
from orca.features.services.schemas.runtime import RuntimeOptions
from orca.features.services.schemas.settings import BuildOptions, FrozenConfig

OPTIONS = {
    "working_directory": "/srv", "hostname": "db-1", "read_only": True, "tmpfs": {"/cache": 64}, "shm_mb": 256,
    "ulimits": {"nofile": 65536, "memlock": -1}, "stop_signal": "SIGINT", "init": False,
    "extra_hosts": {"upstream.example": "192.0.2.7"}, "cap_drop": ["CHOWN"],
}  # fmt: skip
FILE = """
runtime:
  working_directory: /srv
  read_only: true
  tmpfs: {/cache: 64}
  ulimits: {nofile: 65536}
  extra_hosts: {upstream.example: 192.0.2.7}
"""


async def test_runtime_options_are_stored_shown_and_changed_as_a_whole(client, project):
    made = await client.post(f"/api/v1/projects/{project['id']}/services", json={**SEED, "runtime": OPTIONS})
    assert made.status_code == 201, made.text
    service = made.json()
    assert service["runtime"] == OPTIONS
    url = f"/api/v1/services/{service['id']}"
    changed = await client.patch(url, json={"runtime": {"read_only": True}})
    assert changed.json()["runtime"] == {**RuntimeOptions().model_dump(), "read_only": True}
    other = await client.patch(url, json={"replicas": 2})
    assert other.json()["runtime"]["read_only"] is True


async def test_runtime_options_of_a_service_that_has_none_are_the_defaults(client, service):
    found = (await client.get(f"/api/v1/services/{service['id']}")).json()
    assert found["runtime"] == RuntimeOptions().model_dump()


@pytest.mark.parametrize(
    "wrong",
    [
        {"working_directory": "srv"}, {"hostname": "a_b"}, {"tmpfs": {"cache": 1}}, {"tmpfs": {"/cache": 0}}, {"shm_mb": 0},
        {"ulimits": {"rtprio": 1}}, {"ulimits": {"nofile": -2}}, {"stop_signal": "SIGSTOP"},
        {"extra_hosts": {"upstream": "host-gateway"}}, {"extra_hosts": {"upstream": "1.2.3.256"}},
        {"cap_drop": ["SYS_ADMIN"]}, {"privileged": True}, {"cap_add": ["NET_ADMIN"]}, {"sysctls": {}}, {"devices": []},
    ],
)  # fmt: skip
async def test_runtime_options_that_are_wrong_or_need_a_grant_are_refused(client, service, wrong):
    answer = await client.patch(f"/api/v1/services/{service['id']}", json={"runtime": wrong})
    assert answer.status_code == 422
    assert any(name.startswith("runtime") for name in answer.json()["fields"])


def test_orca_file_runtime_replaces_the_stored_options_as_a_whole():
    stored = FrozenConfig(kind="web", runtime=RuntimeOptions(hostname="old"))
    merged, _ = merge(stored, BuildOptions(), parse_orca_file(FILE))
    assert merged.runtime == RuntimeOptions(
        working_directory="/srv", read_only=True, tmpfs={"/cache": 64}, ulimits={"nofile": 65536},
        extra_hosts={"upstream.example": "192.0.2.7"},
    )  # fmt: skip
    untouched, _ = merge(stored, BuildOptions(), parse_orca_file("replicas: 2"))
    assert untouched.runtime.hostname == "old"


def test_orca_file_wrong_option_names_the_place_and_the_known_ones():
    with pytest.raises(BadInput) as refused:
        parse_orca_file("runtime:\n  readonly: true\n")
    assert "line 2" in refused.value.message
    assert "read_only" in refused.value.message


def test_compare_configs_names_each_changed_option():
    plain = FrozenConfig(kind="web")
    changed = FrozenConfig(kind="web", runtime=RuntimeOptions.model_validate(json.loads(json.dumps(OPTIONS))))
    assert compare_configs(plain, plain) == []
    assert compare_configs(changed, plain) == [
        "working directory none→/srv", "hostname none→db-1", "read only off→on", "tmpfs /cache added", "shm mb none→256",
        "ulimits memlock added", "ulimits nofile added", "stop signal none→SIGINT", "init on→off",
        "extra hosts upstream.example added", "cap drop none→CHOWN",
    ]  # fmt: skip


def test_frozen_config_of_an_earlier_version_has_the_defaults():
    old = FrozenConfig(kind="web").model_dump(mode="json", exclude={"runtime"})
    assert FrozenConfig.model_validate(old).runtime == RuntimeOptions()
