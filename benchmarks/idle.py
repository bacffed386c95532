"""How fast the command line answers, how fast the panel starts, and what it takes while nothing happens."""

import statistics
import subprocess
import sys
import time

import httpx
import psutil
from tests.conftest import NO_TLS

from benchmarks.panels import new_panel, production_python

IDLE_SECONDS = 30


def help_time() -> list[tuple[str, str, str, bool]]:
    times = []
    for _ in range(7):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "orca.cli", "--help"], capture_output=True, check=True)
        times.append(time.perf_counter() - started)
    milliseconds = statistics.median(times) * 1000
    return [("`orc --help`", "≤ 200 ms", f"{milliseconds:.0f} ms", milliseconds <= 200)]


def start_and_idle() -> list[tuple[str, str, str, bool]]:
    starts = []
    with new_panel() as panel:
        panel.python, panel.module = production_python(), ("orca.cli", "serve")
        for _ in range(3):
            started = time.perf_counter()
            panel.start()
            while True:
                try:
                    if httpx.get(f"{panel.url}/api/health", timeout=1, verify=NO_TLS).status_code == 200:
                        break
                except httpx.HTTPError:
                    time.sleep(0.01)
            starts.append(time.perf_counter() - started)
            panel.wait_ready()
            if len(starts) < 3:
                panel.stop()
        assert panel.process is not None
        process = psutil.Process(panel.process.pid)
        time.sleep(10)
        before, began = process.cpu_times(), time.monotonic()
        time.sleep(IDLE_SECONDS)
        after, seconds = process.cpu_times(), time.monotonic() - began
        memory = process.memory_info().rss / 1e6
    share = (after.user + after.system - before.user - before.system) / seconds * 100
    start = statistics.median(starts)
    return [
        ("`orc serve`, idle, SQLite: memory", "≤ 120 MB RSS", f"{memory:.0f} MB", memory <= 120),
        ("`orc serve`, idle, SQLite: CPU", "≤ 1 % of a core", f"{share:.1f} %", share <= 1),
        ("`orc serve`: start to first healthy answer", "≤ 2 s", f"{start:.1f} s", start <= 2),
    ]
