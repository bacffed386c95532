"""What a service asks of its containers, on a real engine: files, secrets, a health check by command, and privileges."""

import json
import socket
import subprocess

import httpx
import pytest
from tests.conftest import Panel
from tests.e2e.test_story import BUSYBOX
from tests.sites import Site

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(300)]

DOCKERFILE = """\
FROM scratch
COPY busybox /bin/busybox
COPY start.sh /start.sh
ENTRYPOINT ["/bin/busybox", "sh", "/start.sh"]
"""
START = """\
set -e
export PATH=/bin
busybox mkdir -p /www
busybox cat /etc/app/app.conf > /www/index.html
busybox stat -c '%a %u:%g' /etc/app/app.conf /run/secrets/key >> /www/index.html
[ "$(busybox cat /run/secrets/key)" = "canary-in-a-file" ] && echo same >> /www/index.html
echo "variables with it: $(busybox env | busybox grep -c canary-in-a-file || true)" >> /www/index.html
exec busybox httpd -f -p "$PORT" -h /www
"""
FILES = {"/etc/app/app.conf": {"content": "level 1\n"}, "/run/secrets/key": {"secret": "KEY"}}


def tree() -> dict[str, str | bytes]:
    return {"Dockerfile": DOCKERFILE, "start.sh": START, "busybox": BUSYBOX.read_bytes()}


def health(*words: str, **options: object) -> dict[str, object]:
    return {"health": {"type": "command", "command": ["/bin/busybox", *words], **options}}


def make(panel: Panel, name: str, **fields: object) -> Site:
    ports = [{"name": "http", "port": 8080, "public": True}]
    site = Site(panel, name, {"type": "web", "ports": ports, "runtime": {"files": FILES}, **fields}).create()
    with panel.client() as http:
        body = {"value": "canary-in-a-file", "is_secret": True}
        assert http.put(f"/api/v1/services/{site.id}/variables/KEY", json=body).status_code == 200
    return site


def test_files_are_there_before_the_process_and_the_secret_is_nowhere_else(panel: Panel) -> None:
    site = make(panel, "filed", **health("test", "-f", "/www/index.html"))
    ended = site.go_live(tree())
    assert site.answers() == "level 1\n444 0:0\n400 0:0\nsame\nvariables with it: 0\n"
    assert "Health is asked by a command in the container: /bin/busybox test -f /www/index.html" in site.log_of(
        ended["id"]
    )
    (container,) = site.containers()
    found = subprocess.run(
        ["docker", "ps", "-aq", "--filter", f"label=orca.service={site.id}"], capture_output=True, text=True, check=True
    )
    seen = subprocess.run(["docker", "inspect", *found.stdout.split()], capture_output=True, text=True, check=True)
    assert len(json.loads(seen.stdout)) == 1, container
    assert "canary-in-a-file" not in seen.stdout

    site.edit({"runtime": {"files": {**FILES, "/etc/app/app.conf": {"content": "level 2\n"}}}})
    site.go_live(tree())
    assert site.answers().startswith("level 2\n")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("sh", "-c", "echo not yet; exit 3"), "the command ended with exit code 3: not yet"),
        (("sleep", "60"), "the command did not end within 0.5 s"),
    ],
)
def test_health_command_that_fails_keeps_the_old_release(panel: Panel, words: tuple[str, ...], reason: str) -> None:
    site = make(panel, f"sick-{words[0]}", **health("true"))
    site.go_live(tree())
    site.edit(health(*words, timeout=0.5, start_period=5))
    ended = site.wait(site.deploy(tree()))
    assert (ended["state"], reason in ended["reason"]) == ("failed", True), ended["reason"]
    assert site.answers().startswith("level 1\n")


CAP_NET_ADMIN, CAP_SYS_ADMIN = 1 << 12, 1 << 21
SEEN = """\
export PATH=/bin
busybox mkdir -p /www
busybox grep CapEff /proc/self/status > /www/index.html
busybox cat /proc/sys/net/core/somaxconn >> /www/index.html
busybox ls /dev/net/tun >> /www/index.html 2>&1 || true
exec busybox httpd -f -p "$PORT" -h /www
"""


def seen(site: Site) -> tuple[int, str, str]:
    """The capabilities of the process, a kernel parameter, and whether it has the device."""
    capabilities, parameter, device = site.answers().splitlines()
    return int(capabilities.split()[1], 16), parameter, device


def test_a_granted_capability_is_had_until_the_release_after_it_was_taken_back(panel: Panel) -> None:
    ports = [{"name": "http", "port": 8080, "public": True}]
    site = Site(panel, "privileged", {"type": "web", "ports": ports}).create()
    url, files = f"/api/v1/services/{site.id}", {**tree(), "start.sh": SEEN}
    site.go_live(files)
    assert seen(site)[0] & (CAP_NET_ADMIN | CAP_SYS_ADMIN) == 0
    wish = {"runtime": {"cap_add": ["NET_ADMIN"], "sysctls": {"net.core.somaxconn": "77"}}}
    with panel.client() as http:
        assert http.patch(url, json=wish).json()["code"] == "not-granted"
        for text in ("capability:SYS_ADMIN", "privileged", "host.path:/", "host.engine_socket:/var/run/docker.sock"):
            assert http.put(f"{url}/privileges", json={"privileges": [text]}).status_code == 422
        held = ["capability:NET_ADMIN", "sysctl:net.core.somaxconn"]
        assert http.put(f"{url}/privileges", json={"privileges": held}).status_code == 200
        assert http.patch(url, json=wish).status_code == 200
        site.go_live(files)
        had, parameter, _ = seen(site)
        assert (had & CAP_NET_ADMIN, had & CAP_SYS_ADMIN, parameter) == (CAP_NET_ADMIN, 0, "77")

        assert http.put(f"{url}/privileges", json={"privileges": []}).status_code == 200
        refused = http.post(f"{url}/deployments", json={"upload_id": site.upload(files)})
        assert (refused.status_code, refused.json()["code"]) == (409, "not-granted")
        assert seen(site)[0] & CAP_NET_ADMIN
        by_file = {**files, "orca.yaml": "runtime: {cap_add: [SYS_ADMIN]}\n"}
        site.edit({"runtime": {}})
        ended = site.wait(site.deploy(by_file))
        assert (ended["state"], ended["code"]) == ("failed", "not-granted")
        assert seen(site)[0] & CAP_NET_ADMIN
        site.go_live(files)
        assert seen(site)[0] & CAP_NET_ADMIN == 0


def in_container(site: Site, *words: str) -> str:
    """What a command writes in the container of a service."""
    (found,) = subprocess.run(
        ["docker", "ps", "-q", "--filter", f"label=orca.service={site.id}"], capture_output=True, text=True, check=True
    ).stdout.split()
    ran = subprocess.run(["docker", "exec", found, "/bin/busybox", *words], capture_output=True, text=True, check=False)
    return ran.stdout.strip()


def networks() -> str:
    """The names of all networks."""
    names = ["docker", "network", "ls", "--format", "{{.Name}}"]
    return subprocess.run(names, capture_output=True, text=True, check=True).stdout


def test_service_joins_the_network_of_another_project_and_publishes_a_port(panel: Panel) -> None:
    ports = [{"name": "http", "port": 8080, "public": True}]
    shop, stock = (Site(panel, name, {"type": "web", "ports": ports}).create() for name in ("shop", "stock"))
    page = {**tree(), "start.sh": 'export PATH=/bin\nbusybox mkdir /www\necho "$PAGE" > /www/index.html\n'
            'exec busybox httpd -f -p "$PORT" -h /www\n'}  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with panel.client() as http:
        for site in (shop, stock):
            http.put(f"/api/v1/services/{site.id}/variables/PAGE", json={"value": f"of {site.name}"})
        project = http.get(f"/api/v1/services/{stock.id}").json()["project_id"]
        network = http.get(f"/api/v1/projects/{project}/environments").json()[0]["network"]
        stock.edit({"runtime": {"networks": {"back": ["stock"]}}})
        stock.go_live(page)
        wish = {"runtime": {"networks": {network: ["shop"]}, "published": [f"127.0.0.1:{port}:8080"]}}
        assert http.patch(f"/api/v1/services/{shop.id}", json=wish).json()["code"] == "not-granted"
        held = {"privileges": [f"network:{network}", f"host.port:tcp/{port}"]}
        assert http.put(f"/api/v1/services/{shop.id}/privileges", json=held).status_code == 200
    shop.edit(wish)
    for _ in range(2):  # the second release takes over the port of the first
        shop.go_live(page)
        assert httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).text == "of shop\n"
    assert in_container(stock, "wget", "-qO-", "http://shop:8080/") == "of shop"
    assert f"{network}-back" in networks()
    shop.edit({"runtime": {}})
    shop.go_live(page)
    stock.edit({"runtime": {}})
    stock.go_live(page)
    assert in_container(stock, "wget", "-T", "2", "-qO-", "http://shop:8080/") == ""
    assert f"{network}-back" not in networks()


def test_service_on_the_network_of_the_machine_is_served_by_the_proxy_and_replaced(panel: Panel) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    site = Site(panel, "radio", {"type": "web", "ports": [{"name": "http", "port": port, "public": True}]}).create()
    with panel.client() as http:
        wish = {"runtime": {"host_network": True}}
        assert http.patch(f"/api/v1/services/{site.id}", json=wish).json()["code"] == "not-granted"
        held = {"privileges": ["host.network"]}
        assert http.put(f"/api/v1/services/{site.id}/privileges", json=held).status_code == 200
    site.edit(wish)
    for text in ("first", "second"):  # the second release takes over the port of the first
        site.go_live({**tree(), "start.sh": f"export PATH=/bin\nbusybox mkdir /www\necho {text} > /www/index.html\n"
                      'exec busybox httpd -f -p "127.0.0.1:$PORT" -h /www\n'})  # fmt: skip
        assert site.answers().strip() == text
