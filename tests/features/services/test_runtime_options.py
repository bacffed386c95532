"""What some images need of their containers, through the doors, `orca.yaml` and the comparison."""

import json

import pytest
from sqlalchemy import update
from tests.features.services.conftest import SEED
from tests.features.services.test_pages import forms_of

from orca.errors import BadInput
from orca.features.services.comparison import _RUNTIME_WORDS, compare_configs
from orca.features.services.models import Service
from orca.features.services.orca_file import merge, parse_orca_file
from orca.features.services.schemas.runtime import RuntimeOptions
from orca.features.services.schemas.settings import BuildOptions, FrozenConfig

OPTIONS = {
    "working_directory": "/srv", "hostname": "db-1", "read_only": True, "tmpfs": {"/cache": 64}, "shm_mb": 256,
    "ulimits": {"nofile": 65536, "memlock": -1}, "stop_signal": "SIGINT", "init": False,
    "extra_hosts": {"upstream.example": "192.0.2.7"}, "cap_drop": ["CHOWN"],
}  # fmt: skip
BEYOND = {
    "files": {},
    "cap_add": [],
    "devices": [],
    "sysctls": {},
    "networks": {},
    "published": [],
    "host_network": False,
    "host_folders": {},
}
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
    assert service["runtime"] == {**OPTIONS, **BEYOND}
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
        {"cap_drop": ["SYS_ADMIN"]}, {"privileged": True}, {"cap_add": ["net_admin"]}, {"cap_add": ["CAP SYS"]}, {"sysctls": {"net/core": "1"}},
        {"sysctls": {"net.core.somaxconn": "1\n2"}}, {"devices": ["/dev/../etc"]}, {"devices": ["dev/dri"]}, {"devices": ["/dev/a b"]},
        {"networks": {"Back": []}}, {"networks": {"../x": []}}, {"networks": {"orca-0": ["a b"]}}, {"networks": {"a" * 32: []}},
        {"published": ["0:80"]}, {"published": ["80"]}, {"published": ["70000:80"]}, {"published": ["80:80/sctp"]},
        {"published": ["1.2.3.256:80:80"]}, {"published": ["53:53/udp", "127.0.0.1:53:54/udp"]}, {"published": ["80:80", "0.0.0.0:80:81/tcp"]},
        {"host_network": True, "published": ["80:80"]}, {"host_network": True, "networks": {"back": []}},
        {"host_network": True, "sysctls": {"net.core.somaxconn": "1"}},
        {"host_folders": {"/media": "srv"}}, {"host_folders": {"/media": "/srv:rw"}}, {"host_folders": {"/proc/x": "/srv"}},
        {"host_folders": {"/media": "/srv"}, "files": {"/media/a": {"content": ""}}},
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
    assert [change.text for change in compare_configs(changed, plain)] == [
        "working directory none→/srv", "hostname of the container none→db-1", "read-only root off→on",
        "folder in memory /cache none→64 MiB", "shared memory none→256 MiB", "limit memlock none→-1",
        "limit nofile none→65536", "stop signal none→SIGINT", "process 1 of Orca on→off",
        "further hostname upstream.example none→192.0.2.7", "capabilities taken away none→CHOWN",
    ]  # fmt: skip


def test_compare_configs_names_networks_ports_and_folders():
    runtime = {"networks": {"back": ["db"], "front": []}, "published": ["53:53/udp"], "host_folders": {"/m": "/srv:ro"}}
    changed = FrozenConfig(kind="web", runtime=RuntimeOptions.model_validate(runtime))
    assert [change.text for change in compare_configs(changed, FrozenConfig(kind="web"))] == [
        "network back none→db", "network front none→joined", "ports of the machine none→53:53/udp",
        "folder of the machine /m none→/srv:ro",
    ]  # fmt: skip
    assert changed.recreates


def test_compare_configs_has_words_for_every_option():
    assert set(_RUNTIME_WORDS) == set(RuntimeOptions.model_fields)


def test_frozen_config_of_an_earlier_version_has_the_defaults():
    old = FrozenConfig(kind="web").model_dump(mode="json", exclude={"runtime"})
    assert FrozenConfig.model_validate(old).runtime == RuntimeOptions()


TYPED = {
    "runtime_working_directory": "/srv", "runtime_hostname": "db-1", "runtime_read_only": "true",
    "runtime_tmpfs": "/cache=64\n", "runtime_shm_mb": "256", "runtime_ulimits": "nofile=65536\nmemlock = -1",
    "runtime_stop_signal": "SIGINT", "runtime_init": "false", "runtime_extra_hosts": "upstream.example=192.0.2.7",
    "runtime_cap_drop": "cap_chown",
}  # fmt: skip


async def test_settings_page_container_options_are_set_and_shown_again(client, browser, service):
    path, url = f"/services/{service['id']}/settings", f"/api/v1/services/{service['id']}"
    empty = await browser.get(path)
    assert '<details class="disclosure"><summary>Container options</summary>' in empty.text
    answer = await browser.post(path, data={**forms_of(empty), **TYPED})
    assert answer.status_code == 303, answer.text
    stored = (await client.get(url)).json()
    assert stored["runtime"] == {**OPTIONS, **BEYOND}
    again = await browser.get(path)
    assert '<details class="disclosure" open><summary>Container options</summary>' in again.text
    assert (await browser.post(path, data=forms_of(again))).status_code == 303
    assert (await client.get(url)).json() == stored


async def test_settings_page_each_wrong_container_option_is_told_at_its_field(client, browser, service):
    path = f"/services/{service['id']}/settings"
    wrong = {
        "runtime_working_directory": "srv", "runtime_hostname": "a_b", "runtime_tmpfs": "/../x=1\n/proc/x=1",
        "runtime_shm_mb": "0", "runtime_ulimits": "rtprio=1", "runtime_extra_hosts": "db=host-gateway",
        "runtime_cap_drop": "SYS_ADMIN", "runtime_stop_signal": "SIGSTOP",
    }  # fmt: skip
    answer = await browser.post(path, data={**forms_of(await browser.get(path)), **wrong})
    assert answer.status_code == 422
    assert [name for name in wrong if f'id="{name}-error"' not in answer.text] == []
    assert "/proc/x: this path belongs to the system inside the container" in answer.text
    assert '<details class="disclosure" open><summary>Container options</summary>' in answer.text
    lines = await browser.post(path, data={**forms_of(await browser.get(path)), "runtime_tmpfs": "/cache 64"})
    assert (lines.status_code, "line 1 is not /path=MiB" in lines.text) == (422, True)
    assert (await client.get(f"/api/v1/services/{service['id']}")).json() == service


async def test_settings_page_a_form_without_container_options_keeps_them(client, browser, service):
    url = f"/api/v1/services/{service['id']}"
    await client.patch(url, json={"runtime": OPTIONS})
    answer = await browser.post(f"/services/{service['id']}/settings", data={"name": "Shop", "ports": "http:8080"})
    assert answer.status_code == 303, answer.text
    assert (await client.get(url)).json()["runtime"] == {**OPTIONS, **BEYOND}


async def test_settings_page_saved_unchanged_is_no_change_of_a_service_of_an_earlier_version(
    app, client, browser, service
):
    async with app.state.resources.db.write() as session:
        await session.execute(update(Service).values(runtime={}))
    path, url = f"/services/{service['id']}/settings", f"/api/v1/services/{service['id']}"
    assert (await browser.post(path, data=forms_of(await browser.get(path)))).status_code == 303
    assert (await client.get(url)).json()["version"] == service["version"]
