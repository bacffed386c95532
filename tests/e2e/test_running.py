"""What runs may write to its volumes, and what listens elsewhere is told and mended with one click: on the real engine."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Panel, make_panel, remove_all_of, until
from tests.e2e.test_builders import deploy, home_page, service_of, try_to_deploy, write
from tests.providers.builders.bases import busybox_image

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("running")]

SERVE = """\
FROM {base}
COPY start.sh /start.sh
USER {user}
EXPOSE 8000
CMD ["/bin/sh", "/start.sh"]
"""
START = """\
/bin/busybox echo "hello" >> /data/index.html && /bin/busybox echo wrote
exec /bin/busybox httpd -f -p {port} -h /data
"""


@pytest.fixture(scope="module")
def shared() -> Iterator[Panel]:
    with tempfile.TemporaryDirectory(prefix="orca-running-") as folder:
        panel = make_panel(Path(folder) / "panel")
        panel.start()
        try:
            panel.wait_ready()
            yield panel
        finally:
            panel.stop()
            remove_all_of(panel)


def write_site(folder: Path, user: str, *, port: str = "$PORT", **mount: object) -> None:
    files = {"Dockerfile": SERVE.format(base=busybox_image(), user=user), "start.sh": START.format(port=port)}
    volume = {"name": "data", "path": "/data"} | mount
    folder.mkdir(exist_ok=True)
    write(folder, files, {"volumes": [volume], "health": {"start_period": 8}})


def last_deployment(panel: Panel, name: str) -> dict[str, Any]:
    with panel.client() as http:
        page = http.get(f"/api/v1/services/{service_of(panel, name)}/deployments", params={"limit": 1}).json()
    return dict(page["items"][0])


def mend(panel: Panel, deployment: dict[str, Any], action: str) -> dict[str, Any]:
    number = [each["action"] for each in deployment["remedies"]].index(action)
    with panel.client() as http:
        answer = http.post(f"/api/v1/deployments/{deployment['id']}/remedies/{number}")
        assert answer.status_code == 202, answer.text
        path = f"/api/v1/deployments/{answer.json()['id']}"
        ended = lambda: http.get(path).json()["state"] in {"succeeded", "failed"}  # noqa: E731 - one use
        until(ended, seconds=120, what="the mended deployment ends")
        return dict(http.get(path).json())


def test_a_volume_can_be_written_to_by_whoever_runs(shared: Panel, tmp_path: Path) -> None:
    """Before: a fresh volume was root's, the deployment said Live, and nothing could be stored."""
    write_site(tmp_path, "10001:10001")
    deploy(shared, tmp_path, "writes")
    assert home_page(shared, "writes") == "hello\n"
    assert last_deployment(shared, "writes")["warnings"] == []

    write_site(tmp_path, "10002:10002")  # the data of the first user is not given away
    refused = try_to_deploy(shared, tmp_path, "writes")
    seen = last_deployment(shared, "writes")
    assert "is not writable for uid 10002" in seen["warnings"][0], (refused.stdout, refused.stderr)
    mended = mend(shared, seen, "own-volume")
    assert (mended["state"], mended["warnings"]) == ("succeeded", [])
    assert home_page(shared, "writes").startswith("hello\n")


def test_two_services_share_files_and_one_of_another_user_is_warned(shared: Panel, tmp_path: Path) -> None:
    write_site(tmp_path / "a", "10001:10001", name="files", shared=True)
    deploy(shared, tmp_path / "a", "writer")
    write_site(tmp_path / "b", "10002:10002", name="files", shared=True, read_only=True)
    deploy(shared, tmp_path / "b", "reader")
    assert home_page(shared, "reader") == "hello\n"
    assert last_deployment(shared, "reader")["warnings"] == []

    deploy(shared, tmp_path / "a", "writer")  # the reader runs on, and sees what is new
    assert home_page(shared, "reader") == "hello\nhello\n"
    write_site(tmp_path / "b", "10002:10002", name="files", shared=True, read_only=False)
    try_to_deploy(shared, tmp_path / "b", "reader")
    seen = last_deployment(shared, "reader")
    assert (seen["state"], seen["remedies"]) == ("succeeded", [])
    assert "is not writable for uid 10002" in seen["warnings"][0]
    assert "shares it with writer" in seen["warnings"][0]

    with shared.client() as http:
        assert http.delete(f"/api/v1/services/{service_of(shared, 'writer')}?confirm=writer").status_code == 204
        (volume,) = http.get(f"/api/v1/services/{service_of(shared, 'reader')}/volumes").json()
        assert [each["service"] for each in volume["mounts"]] == ["reader"]
    assert home_page(shared, "reader") == "hello\nhello\n"


def test_a_process_that_listens_elsewhere_is_told_so_and_one_click_leads_there(shared: Panel, tmp_path: Path) -> None:
    write_site(tmp_path, "10001", port="8123")
    said = try_to_deploy(shared, tmp_path, "elsewhere")
    assert "nothing listens on port 8000, but the process does on 8123" in " ".join((said.stdout + said.stderr).split())
    mended = mend(shared, last_deployment(shared, "elsewhere"), "set-port")
    assert mended["state"] == "succeeded", mended
    assert home_page(shared, "elsewhere").startswith("hello\n")
