"""Making a new version answer: against the same done by hand, and under load."""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from tests.conftest import docker_client, free_port
from tests.e2e.test_story import web
from tests.e2e.traffic import Traffic
from tests.sites import Site

from benchmarks.panels import new_panel

ROUNDS = 9
REDEPLOYS = 20
CHANGES = 20
RATE = 200.0


def against_by_hand() -> list[tuple[str, str, str, bool]]:
    with new_panel() as panel:
        panel.start()
        panel.wait_ready()
        site = Site(panel, "speed", {"type": "web", "ports": [{"port": 8080, "public": True}]}).create()
        site.go_live(web("start"))
        builds = []
        for number in range(ROUNDS):
            built = site.post(f"/api/v1/services/{site.id}/builds", {"upload_id": site.upload(web(f"v{number}"))})
            builds.append(site.wait(built["id"])["build_id"])
        ours = [_deploy(site, build, f"v{number}") for number, build in enumerate(builds)]
        image = site.get(f"/api/v1/services/{site.id}/releases")["items"][0]["image"]
        by_hand = [_by_hand(image) for _ in range(ROUNDS)]
    orca, hand = statistics.median(ours), statistics.median(by_hand)
    ratio = orca / hand
    measured = f"{ratio:.2f} × ({orca:.2f} s against {hand:.2f} s)"
    return [("deploy of a built image: request → new version answers", "≤ 1.5 × by hand", measured, ratio <= 1.5)]


def _deploy(site: Site, build_id: str, text: str) -> float:
    started = time.perf_counter()
    asked = site.post(f"/api/v1/services/{site.id}/deployments", {"build_id": build_id})
    while site.answers().strip() != text:
        time.sleep(0.01)
    seconds = time.perf_counter() - started
    site.wait(asked["id"])  # the old release is drained for two seconds, and the next deployment waits for that
    return seconds


def _by_hand(image: str) -> float:
    """docker run, wait until it answers, write a proxy configuration, reload the proxy, wait until it answers there."""
    docker, port = docker_client(), free_port()
    caddy = Path(sys.executable).with_name("caddy")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "Caddyfile"
        options = f"{{\n admin unix/{folder}/admin.sock\n auto_https off\n persist_config off\n}}\n"
        site = f"http://:{port} {{\n bind 127.0.0.1\n"
        file.write_text(f"{options}{site} respond old\n}}\n")
        proxy = subprocess.Popen([caddy, "run", "--config", file], stderr=subprocess.DEVNULL)
        _until(f"http://127.0.0.1:{port}/")
        started = time.perf_counter()
        container = subprocess.run(
            [docker, "run", "-d", image], capture_output=True, text=True, check=True
        ).stdout.strip()
        try:
            form = "{{.NetworkSettings.IPAddress}}"
            address = subprocess.run(
                [docker, "inspect", "-f", form, container], capture_output=True, text=True, check=True
            )
            upstream = f"{address.stdout.strip()}:8080"
            _until(f"http://{upstream}/")
            file.write_text(f"{options}{site} reverse_proxy {upstream}\n}}\n")
            reload = [caddy, "reload", "--config", file, "--address", f"unix/{folder}/admin.sock"]
            subprocess.run(reload, check=True, capture_output=True)
            while httpx.get(f"http://127.0.0.1:{port}/").text == "old":
                time.sleep(0.01)
            return time.perf_counter() - started
        finally:
            subprocess.run([docker, "rm", "-f", container], capture_output=True, check=False)
            proxy.terminate()
            proxy.wait(10)


def _until(url: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            httpx.get(url, timeout=1)
        except httpx.HTTPError:
            time.sleep(0.01)
        else:
            return
    raise TimeoutError(url)


def under_load() -> list[tuple[str, str, str, bool]]:
    with new_panel() as panel:
        panel.start()
        panel.wait_ready()
        site = Site(panel, "load", {"type": "web", "ports": [{"port": 8080, "public": True}]}).create()
        site.go_live(web("version 0"))
        with Traffic(f"http://127.0.0.1:{panel.http_port}/", site.hostname, rate=RATE) as traffic:
            started = time.monotonic()
            for number in range(1, REDEPLOYS + 1):
                site.go_live(web(f"version {number}"))
            seconds = time.monotonic() - started
    failed, rate = len(traffic.failures), traffic.total / seconds
    measured = f"{failed} of {traffic.total} failed at {rate:.0f} req/s"
    return [(f"{REDEPLOYS} redeploys under {RATE:.0f} req/s", "0 failed requests", measured, failed == 0)]


def hostname_changes_under_load() -> list[tuple[str, str, str, bool]]:
    """Another site's hostnames come, change and go, with and without TLS."""
    with new_panel() as panel:
        panel.start()
        panel.wait_ready()
        site = Site(panel, "load", {"type": "web", "ports": [{"port": 8080, "public": True}]}).create()
        site.go_live(web("version 0"))
        with Traffic(f"http://127.0.0.1:{panel.http_port}/", site.hostname, rate=RATE) as traffic:
            started = time.monotonic()
            with panel.client() as api:
                for number in range(CHANGES // 4):
                    _change_hostnames(api, site.id, number)
            seconds = time.monotonic() - started
    failed, rate = len(traffic.failures), traffic.total / seconds
    measured = f"{failed} of {traffic.total} failed at {rate:.0f} req/s"
    return [(f"{CHANGES} hostname changes under {RATE:.0f} req/s", "0 failed requests", measured, failed == 0)]


def _change_hostnames(api: httpx.Client, service_id: str, number: int) -> None:
    """Four changes: one comes by plain HTTP, another with TLS; the first is edited, and goes."""
    routes = f"/api/v1/services/{service_id}/routes"
    plain = api.post(routes, json={"hostname": f"plain-{number}.localhost", "tls": "off"}).raise_for_status().json()
    api.post(routes, json={"hostname": f"secure-{number}.localhost", "tls": "internal"}).raise_for_status()
    api.patch(f"/api/v1/routes/{plain['id']}", json={"tls": "internal", "options": {"maintenance": True}})
    api.delete(f"/api/v1/routes/{plain['id']}").raise_for_status()
