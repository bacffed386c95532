"""From asking for a hostname to the first answer under it."""

import statistics
import time

import httpx
from tests.sites import Site, page

from benchmarks.panels import new_panel


def change_to_served() -> list[tuple[str, str, str, bool]]:
    times = []
    with new_panel() as panel:
        panel.start()
        panel.wait_ready()
        site = Site(panel, "routes").create()
        site.go_live(page("served"))
        with panel.client() as api, httpx.Client(base_url=f"http://127.0.0.1:{panel.http_port}") as proxy:
            for number in range(10):
                hostname = f"bench-{number}.localhost"
                started = time.perf_counter()
                api.post(
                    f"/api/v1/services/{site.id}/routes", json={"hostname": hostname, "tls": "off"}
                ).raise_for_status()
                while proxy.get("/", headers={"Host": hostname}).status_code != 200:
                    time.sleep(0.005)
                times.append(time.perf_counter() - started)
    milliseconds = statistics.median(times) * 1000
    return [("route change → served", "≤ 300 ms", f"{milliseconds:.0f} ms", milliseconds <= 300)]
