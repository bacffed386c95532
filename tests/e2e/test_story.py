"""The main story on a real engine and proxy: live, replaced without a lost request, rolled back, cancelled, refused."""

import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.conftest import ROOT, Panel, make_panel, remove_all_of, until
from tests.e2e.traffic import Traffic
from tests.sites import Site, page

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("story")]

BUSYBOX = Path("/bin/busybox")
DOCKERFILE = """\
FROM scratch
COPY busybox /bin/busybox
COPY index.html /www/index.html
ENTRYPOINT ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/www"]
"""


def web(text: str, dockerfile: str = DOCKERFILE) -> dict[str, str | bytes]:
    return {"Dockerfile": dockerfile, "index.html": text, "busybox": BUSYBOX.read_bytes()}


@pytest.fixture(scope="module")
def shared() -> Iterator[Panel]:
    import tempfile

    panel = make_panel(Path(tempfile.mkdtemp(prefix="orca-story-")) / "panel")
    panel.start()
    try:
        panel.wait_ready()
        yield panel
    finally:
        panel.stop()
        remove_all_of(panel)
        shutil.rmtree(panel.data_dir.parent, ignore_errors=True)


def make_site(panel: Panel, name: str, **fields: object) -> Site:
    return Site(panel, name, {"type": "web", "ports": [{"port": 8080, "public": True}], **fields}).create()


def test_redeploys_under_load_lose_no_request(shared: Panel) -> None:
    site = make_site(shared, "load")
    site.go_live(web("version 0"))
    with Traffic(f"http://127.0.0.1:{shared.http_port}/", site.hostname, rate=100) as traffic:
        for number in range(1, 4):
            site.go_live(web(f"version {number}"))
        time.sleep(1)
    assert traffic.failures == []
    assert {f"version {number}" for number in range(4)} <= set(traffic.answers)


def test_rollback_needs_no_build_and_scale_adds_replicas(shared: Panel) -> None:
    site = make_site(shared, "back")
    site.go_live(web("first"))
    site.go_live(web("second"))
    back = site.wait(site.post(f"/api/v1/services/{site.id}/rollback", {})["id"])
    assert back["state"] == "succeeded", back
    assert "build_image" not in {step["name"] for step in back["steps"]}
    assert site.answers().strip() == "first"
    scaled = site.wait(site.post(f"/api/v1/services/{site.id}/scale", {"replicas": 3})["id"])
    assert scaled["state"] == "succeeded", scaled
    assert [each["state"] for each in site.containers()] == ["running"] * 3
    assert site.answers().strip() == "first"


def test_stop_answers_a_page_and_start_brings_it_back(shared: Panel) -> None:
    site = make_site(shared, "stopped")
    site.go_live(web("here"))
    assert site.wait(site.post(f"/api/v1/services/{site.id}/stop")["id"])["state"] == "succeeded"
    down = shared.site(site.hostname)
    assert down.status_code == 503
    assert site.containers() == []
    assert site.wait(site.post(f"/api/v1/services/{site.id}/start")["id"])["state"] == "succeeded"
    assert site.answers().strip() == "here"


def test_a_release_that_never_gets_healthy_leaves_the_old_one(shared: Panel) -> None:
    site = make_site(shared, "sick", health={"type": "http", "path": "/index.html", "start_period": 4})
    site.go_live(web("good"))
    ended = site.wait(
        site.deploy(
            {**web("bad"), "Dockerfile": DOCKERFILE.replace("index.html /www/index.html", "index.html /www/other.html")}
        )
    )
    assert (ended["state"], ended["code"]) == ("failed", "never-healthy")
    assert "answered 404" in ended["reason"]
    assert "old release still serves" in ended["hint"]
    assert site.answers().strip() == "good"
    assert len(site.containers()) == 1


def test_a_process_that_keeps_crashing_is_explained(shared: Panel) -> None:
    site = make_site(shared, "crashing")
    broken = DOCKERFILE.replace('"httpd"', '"sh", "-c", "echo something is missing >&2; exit 3"').split("ENTRYPOINT")[0]
    broken += 'ENTRYPOINT ["/bin/busybox", "sh", "-c", "echo something is missing >&2; exit 3"]\n'
    ended = site.wait(site.deploy(web("x", broken)))
    assert (ended["state"], ended["code"]) == ("failed", "keeps-crashing")
    assert "something is missing" in site.log_of(ended["id"])
    assert site.containers() == []


def test_cancel_stops_a_build_within_15_seconds(shared: Panel) -> None:
    site = make_site(shared, "cancelled")
    slow = 'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "sleep", "300"]\n'
    deployment_id = site.deploy(web("x", slow))
    until(lambda: "sleep" in site.log_of(deployment_id), seconds=40, what="the build is inside its slow step")
    started = time.monotonic()
    site.post(f"/api/v1/deployments/{deployment_id}/cancel")
    ended = site.wait(deployment_id, 20)
    assert ended["state"] == "cancelled"
    assert time.monotonic() - started < 15
    until(lambda: not sleeping_builds(), seconds=15, what="no process of the build goes on")


def sleeping_builds() -> list[int]:
    import psutil

    wanted = ["/bin/busybox", "sleep", "300"]
    return [process.pid for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == wanted]


def test_a_newer_deployment_supersedes_queued_ones(shared: Panel) -> None:
    site = make_site(shared, "queue")
    first, second, third = (site.deploy(web(text)) for text in ("one", "two", "three"))
    assert site.wait(third)["state"] == "succeeded"
    assert site.wait(second)["state"] == "superseded"
    assert site.wait(first)["state"] in {"succeeded", "superseded"}
    assert site.answers().strip() == "three"


def test_a_release_command_runs_once_before_traffic_moves(shared: Panel) -> None:
    site = make_site(
        shared, "migrating", release_command=["/bin/busybox", "echo", "migrated the database"],
    )  # fmt: skip
    dockerfile = DOCKERFILE.replace("ENTRYPOINT", "CMD")
    ended = site.go_live(web("migrated", dockerfile))
    assert [step["name"] for step in ended["steps"]][2] == "run_release_command"
    assert site.log_of(ended["id"]).count("migrated the database") == 1
    site.edit({"release_command": ["/bin/busybox", "false"]})
    failed = site.wait(site.deploy(web("never", dockerfile)))
    assert (failed["state"], failed["code"]) == ("failed", "release-command-failed")
    assert site.answers().strip() == "migrated"


def test_secret_variables_reach_the_process_and_no_log(shared: Panel) -> None:
    site = make_site(shared, "secretive")
    with shared.client() as http:
        body = {"value": "canary-$#='\"-value", "is_secret": True}
        assert http.put(f"/api/v1/services/{site.id}/variables/CANARY", json=body).status_code in {200, 201}
    show = DOCKERFILE.split("ENTRYPOINT", maxsplit=1)[0]
    show += 'ENTRYPOINT ["/bin/busybox", "sh", "-c", "echo $CANARY > /www/seen; exec /bin/busybox httpd -f -p 8080 -h /www"]\n'
    ended = site.go_live(web("x", show))
    assert site.answers("/seen").strip() == body["value"]
    assert str(body["value"]) not in site.log_of(ended["id"])
    assert str(body["value"]) not in shared.log


def test_volumes_keep_data_over_deployments(shared: Panel) -> None:
    site = make_site(shared, "keeper", volumes=[{"name": "data", "path": "/data"}])
    count = DOCKERFILE.split("ENTRYPOINT", maxsplit=1)[0]
    count += 'ENTRYPOINT ["/bin/busybox", "sh", "-c", "echo x >> /data/n; /bin/busybox cp /data/n /www/n; exec /bin/busybox httpd -f -p 8080 -h /www"]\n'
    site.go_live(web("one", count))
    site.go_live(web("two", count))
    assert site.answers("/n").split() == ["x", "x"]


def test_a_static_site_answers_over_https_with_the_internal_ca(shared: Panel, tmp_path: Path) -> None:
    site = Site(shared, "static").create()
    site.go_live(page("hello over tls"))
    with shared.client() as http:
        authority = http.get("/api/v1/proxy/ca")
        assert authority.status_code == 200
    trusted = ssl.create_default_context(cadata=authority.text)
    with httpx.Client(verify=trusted, headers={"Host": site.hostname}, timeout=10) as client:
        address = f"https://127.0.0.1:{shared.https_port}/"
        answer = client.get(address, extensions={"sni_hostname": site.hostname})
    assert "hello over tls" in answer.text


def test_orc_deploy_of_a_directory(shared: Panel, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(ROOT / "examples" / "hello", folder)
    env = {"ORC_DATA_DIR": str(shared.data_dir), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TERM": "dumb"}
    orc = [sys.executable, "-m", "orca.cli"]
    done = subprocess.run(
        [*orc, "deploy", str(folder), "--project", "shop", "--service", "web", "--yes"],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    listed = subprocess.run(
        [*orc, "ps", "--project", "shop", "--service", "web", "--json"],
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert listed.returncode == 0, listed.stderr
    assert "running" in listed.stdout


def test_a_port_that_was_detected_gets_a_hostname(shared: Panel) -> None:
    site = Site(shared, "detected", {"type": "web"}).create()
    site.go_live(web("found", DOCKERFILE.replace("ENTRYPOINT", "EXPOSE 8080\nENTRYPOINT")))
    assert site.answers().strip() == "found"


def test_deleting_a_service_removes_containers_and_keeps_volumes(shared: Panel) -> None:
    site = make_site(shared, "doomed", volumes=[{"name": "data", "path": "/data"}])
    site.go_live(web("soon gone"))
    hostname = site.hostname
    project_id = site.get(f"/api/v1/services/{site.id}")["project_id"]
    with shared.client() as http:
        assert http.delete(f"/api/v1/services/{site.id}?confirm=doomed").status_code == 204
    until(lambda: shared.site(hostname).status_code == 404, seconds=40, what="the hostname is gone")
    volumes = site.get(f"/api/v1/projects/{project_id}/volumes")["items"]
    assert [volume["name"] for volume in volumes] == ["data"]
