"""`orca.yaml` on a real engine and proxy: what it says is what runs, and a mistake in it is told before anything is built."""

import pytest
from tests.conftest import Panel, until
from tests.e2e.test_story import BUSYBOX
from tests.sites import Site

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(300)]

ORCA_FILE = """\
build: {dockerfile: deploy/Dockerfile}
ports: [{port: 9000, public: true}]
variables: {GREETING: "it's $HOME # 1", PLAIN: stored wins not}
volumes: [{name: data, path: /data}]
domains: [named-by-file.localhost]
"""
DOCKERFILE = """\
FROM scratch
COPY busybox /bin/busybox
COPY start.sh /start.sh
ENTRYPOINT ["/bin/busybox", "sh", "/start.sh"]
"""
START = """\
/bin/busybox printf '%s|%s|%s\\n' "$GREETING" "$PLAIN" "$TOKEN" >> /data/index.html
exec /bin/busybox httpd -f -p "$PORT" -h /data
"""


def tree(orca_file: str) -> dict[str, str | bytes]:
    return {"orca.yaml": orca_file, "deploy/Dockerfile": DOCKERFILE, "start.sh": START, "busybox": BUSYBOX.read_bytes()}


def test_what_the_file_says_runs_and_its_volume_outlives_the_service(panel: Panel) -> None:
    site = Site(panel, "filed", {"type": "web", "variables": {"PLAIN": "stored"}}).create()
    with panel.client() as http:
        url = f"/api/v1/services/{site.id}"
        http.put(f"{url}/variables/TOKEN", json={"value": "canary-$x'\"", "is_secret": True})
        site.go_live(tree(ORCA_FILE))
        hostnames = {each["hostname"] for each in site.get(f"{url}/routes")["items"]}
        assert "named-by-file.localhost" in hostnames
        line = "it's $HOME # 1|stored wins not|canary-$x'\"\n"
        assert panel.site("named-by-file.localhost").text == line
        site.go_live(tree(ORCA_FILE))
        assert panel.site("named-by-file.localhost").text == line * 2

        volume = site.get(f"{url}/volumes")[0]
        assert (volume["name"], volume["path"]) == ("data", "/data")
        assert http.delete(url, params={"confirm": "filed"}).status_code == 204
        until(lambda: panel.site("named-by-file.localhost").text != line * 2, what="the service is gone")
        destroy = f"/api/v1/volumes/{volume['id']}/destroy"
        until(lambda: _destroyed(http, destroy, volume), every=0.5, what="the volume is destroyed")


def test_a_release_command_in_the_file_runs_before_traffic_moves(panel: Panel) -> None:
    site = Site(panel, "migrated", {"type": "web"}).create()
    command = 'release_command: ["/bin/busybox", "sh", "-c", "echo applied 0042 for $GREETING"]\n'
    files = tree(ORCA_FILE + command) | {"deploy/Dockerfile": DOCKERFILE.replace("ENTRYPOINT", "CMD")}
    ended = site.go_live(files)
    names = [step["name"] for step in ended["steps"]]
    assert names.index("build_image") < names.index("run_release_command") < names.index("route_traffic")
    assert "applied 0042 for it's $HOME # 1" in site.log_of(ended["id"])
    ended = site.go_live({**files, "orca.yaml": ORCA_FILE})
    assert "run_release_command" not in {step["name"] for step in ended["steps"]}


def _destroyed(http, url: str, volume: dict[str, str]) -> bool:
    """Ask again while the last container still holds it."""
    answer = http.post(url, json={"confirm": "data"})
    left = http.get(f"/api/v1/projects/{volume['project_id']}/volumes").json()["items"]
    return answer.status_code == 404 and not left


def test_a_mistake_is_told_with_its_place_and_nothing_is_built(panel: Panel) -> None:
    site = Site(panel, "mistaken", {"type": "web"}).create()
    ended = site.wait(site.deploy(tree(ORCA_FILE + "replikas: 2\n")))
    assert ended["state"] == "failed"
    assert "orca.yaml, line 6, column 1: replikas: unknown key; did you mean “replicas”?" in ended["reason"]
    assert {step["name"]: step["state"] for step in ended["steps"]}["build_image"] == "skipped"
    assert site.get(f"/api/v1/services/{site.id}/volumes") == []
