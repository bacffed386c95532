"""Files of a service's containers, through the doors, `orca.yaml`, the form and the comparison."""

import html

import pytest
from tests.features.services.events import events_of
from tests.features.services.test_pages import forms_of

from orca.errors import BadInput
from orca.features.services.comparison import compare_configs
from orca.features.services.orca_file import parse_orca_file
from orca.features.services.rules import MAX_FILES_BYTES, MAX_VALUE_BYTES, check_file_path
from orca.features.services.schemas.runtime import RuntimeFile, RuntimeOptions
from orca.features.services.schemas.settings import FrozenConfig

FILES = {"/etc/app/app.conf": {"content": "listen 80\n"}, "/run/secrets/key": {"secret": "KEY", "mode": "0440"}}
STORED = {
    "/etc/app/app.conf": {"content": "listen 80\n", "secret": None, "mode": ""},
    "/run/secrets/key": {"content": None, "secret": "KEY", "mode": "0440"},
}


async def test_files_are_stored_and_shown_and_an_event_has_only_the_name_of_the_setting(app, client, service):
    url = f"/api/v1/services/{service['id']}"
    changed = await client.patch(url, json={"runtime": {"files": FILES}})
    assert (changed.status_code, changed.json()["runtime"]["files"]) == (200, STORED)
    assert (await client.get(url)).json()["runtime"]["files"] == STORED
    (event,) = await events_of(app, "ServiceUpdated")
    assert event.payload["fields"] == ["runtime"]
    assert "listen 80" not in str(event.payload)


HOSTILE_PATHS = (
    "", "/", "etc/app", "./a", "/a/../../etc/shadow", "/..", "/a/./b", "//a", "/a//b", "/a/", "/proc/sys/kernel/core_pattern", "/proc",
    "/sys/x", "/dev/null", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/a\x00b", "/a\nb", "/a\n", "/a b", "/a:b", "/a,b", "/a\\b",
    "/é", "/\u202egnp", "/\u2025/\u2025", "/" + "a" * 255, "C:\\a", "~/a", "/$HOME/a", "/a%2f..", "/\uff0e\uff0e/a", "/a\t",
)  # fmt: skip


async def test_file_paths_that_are_hostile_are_refused(client, service):
    for path in HOSTILE_PATHS:
        body = {"runtime": {"files": {path: {"content": "x"}}}}
        answer = await client.patch(f"/api/v1/services/{service['id']}", json=body)
        assert answer.status_code == 422, path
        named = [name.startswith("runtime.files") for name in answer.json().get("fields", ())]
        assert all(named) or "\x00" in path, path  # a NUL is refused before the fields are looked at
        if len(path) <= 255:
            with pytest.raises(ValueError, match=r"."):
                check_file_path(path)


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/a", "/etc/hosts.d/x", "/run/secrets/db.key", "/.a/..b/c..", "/processes/a"]
)
def test_file_path_inside_the_own_file_system_is_accepted(path):
    assert check_file_path(path) == path


WRONG_FILES = (
    {"/a": {}}, {"/a": {"content": "x", "secret": "KEY"}}, {"/a": {"content": "a\x00b"}}, {"/a": {"secret": "1KEY"}},
    {"/a": {"content": "x" * (MAX_VALUE_BYTES + 1)}}, {"/a": {"content": "é" * (MAX_VALUE_BYTES // 2 + 1)}},
    {"/a": {"content": "x", "mode": "0644"}}, {"/a": {"content": "x", "mode": "4444"}}, {"/a": {"content": "x", "mode": "0777"}},
    {"/a": {"content": "x", "owner": "0"}}, {f"/{n}": {"content": ""} for n in range(21)}, {"/a": "text"}, ["/a"],
    {f"/{n}": {"content": "x" * MAX_VALUE_BYTES} for n in range(MAX_FILES_BYTES // MAX_VALUE_BYTES + 1)},
    {"/a": {"content": "x"}, "/a/b": {"content": "x"}},
)  # fmt: skip


async def test_files_of_wrong_form_or_size_are_refused(client, service):
    for files in WRONG_FILES:
        answer = await client.patch(f"/api/v1/services/{service['id']}", json={"runtime": {"files": files}})
        assert answer.status_code == 422, str(files)[:200]
        named = [name.startswith("runtime.files") for name in answer.json().get("fields", ())]
        assert all(named) or "\\x00" in str(files), str(files)[:200]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"tmpfs": {"/etc": 1}}, "would be hidden by /etc"),
        ({"tmpfs": {"/etc/app": 1}}, "would be hidden by /etc/app"),
    ],
)
async def test_files_that_could_not_be_seen_are_refused(client, service, other, words):
    answer = await client.patch(f"/api/v1/services/{service['id']}", json={"runtime": {"files": FILES, **other}})
    assert answer.status_code == 422
    assert words in answer.json()["fields"]["runtime.files"]


def test_file_permissions_of_a_secret_are_closer_by_default():
    assert RuntimeFile(content="").permissions == 0o444
    assert RuntimeFile(secret="KEY").permissions == 0o400
    assert RuntimeFile(secret="KEY", mode="440").permissions == 0o440


def test_orca_file_files_are_read_and_a_wrong_one_names_its_place():
    text = 'runtime:\n  files:\n    /etc/app.conf: {content: "a\\nb"}\n    /run/key: {secret: KEY, mode: 0440}\n'
    assert parse_orca_file(text).runtime.files["/run/key"].permissions == 0o440
    with pytest.raises(BadInput, match="line 3"):
        parse_orca_file("runtime:\n  files:\n    /proc/x: {content: a}\n")


def test_compare_configs_names_files_without_their_text():
    def config(**files):
        return FrozenConfig(kind="web", runtime=RuntimeOptions(files=files))

    before = config(**{"/a": {"content": "hush 1"}, "/b": {"content": "x"}})
    after = config(**{"/a": {"content": "hush 2"}, "/c": {"secret": "KEY"}})
    assert [change.text for change in compare_configs(after, before)] == [
        "file /a changed",
        "file /b removed",
        "file /c added",
    ]


async def test_settings_page_files_are_added_changed_and_removed(client, browser, service):
    path, url = f"/services/{service['id']}/settings", f"/api/v1/services/{service['id']}"
    typed = {"file_0_path": "/etc/app/app.conf", "file_0_value": "\r\n listen 80\r\n"}
    answer = await browser.post(path, data={**forms_of(await browser.get(path)), **typed})
    assert answer.status_code == 303, answer.text
    files = (await client.get(url)).json()["runtime"]["files"]
    assert files == {"/etc/app/app.conf": {"content": "\n listen 80\n", "secret": None, "mode": ""}}
    await client.patch(url, json={"runtime": {"files": FILES}})
    shown = await browser.get(path)
    assert [f'id="file_{row}_path"' in shown.text for row in (0, 1, 2, 3)] == [True, True, True, False]
    assert (await browser.post(path, data=forms_of(shown))).status_code == 303
    assert (await client.get(url)).json()["runtime"]["files"] == STORED
    gone = {"file_0_path": "", "file_0_value": ""}
    assert (await browser.post(path, data={**forms_of(await browser.get(path)), **gone})).status_code == 303
    assert list((await client.get(url)).json()["runtime"]["files"]) == ["/run/secrets/key"]


async def test_settings_page_keeps_the_line_ends_of_files_that_are_not_changed(client, browser, service):
    path, url = f"/services/{service['id']}/settings", f"/api/v1/services/{service['id']}"
    await client.patch(url, json={"runtime": {"files": {"/a": {"content": "1\r\n2\r\n"}}}})
    typed = forms_of(await browser.get(path))
    answer = await browser.post(path, data={**typed, "file_0_value": "1\r\n2\r\n", "stop_grace": "7"})
    assert answer.status_code == 303, answer.text
    stored = (await client.get(url)).json()
    assert (stored["stop_grace"], stored["runtime"]["files"]["/a"]["content"]) == (7, "1\r\n2\r\n")


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({"file_0_value": "x"}, "file_0_path", "write the path of the file"),
        ({"file_0_path": "/proc/x", "file_0_value": "x"}, "file_0_path", "belongs to the system"),
        ({"file_0_path": "/a.b", "file_0_secret": "1 KEY"}, "file_0_secret", "use letters"),
        ({"file_0_path": "/a.b", "file_0_value": "x" * 65_537}, "file_0_value", "65,536 bytes at most"),
        ({"file_0_path": "/a", "file_0_secret": "KEY", "file_0_value": "x"}, "file_0_path", "either"),
        ({"file_0_path": "/a", "file_1_path": "/a"}, "file_1_path", "another file has this path"),
    ],
)
async def test_settings_page_each_wrong_file_is_told_at_its_field(client, browser, service, typed, field, words):
    path = f"/services/{service['id']}/settings"
    answer = await browser.post(path, data={**forms_of(await browser.get(path)), **typed})
    told = html.unescape(answer.text)
    assert answer.status_code == 422
    assert f'<a href="#{field}">' in told
    assert words in told
    assert f'id="{field}"' in told
    assert (await client.get(f"/api/v1/services/{service['id']}")).json() == service
