"""What a real container writes is kept: over a kill of Orca, and when the container is gone."""

import time
from typing import Any

import pytest
from tests.conftest import Panel, until
from tests.providers.builders.bases import busybox_image
from tests.sites import Site

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(300)]
COUNT = r"""#!/bin/sh
trap 'echo "last words of $1"; exit 0' TERM
n=0
while true; do echo "$1 $n"; n=$((n+1)); echo "$1 $n" >&2; n=$((n+1)); sleep 0.02; done
"""


def program(name: str) -> dict[str, str | bytes]:
    dockerfile = f'FROM {busybox_image()}\nCOPY count.sh /\nCMD ["/bin/busybox", "sh", "/count.sh", "{name}"]\n'
    return {"Dockerfile": dockerfile, "count.sh": COUNT.replace("sleep", "/bin/busybox sleep")}


def lines_of(site: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = -1
    while True:
        page = site.get(f"/api/v1/services/{site.id}/logs/lines?after={after}&limit=1000")
        if not page["items"]:
            return found
        found += page["items"]
        after = found[-1]["id"]


def test_every_line_is_there_once_after_a_kill_and_when_its_container_is_gone(panel: Panel) -> None:
    site = Site(panel, "counter", {"type": "worker"}).create()
    site.go_live(program("first"))
    until(lambda: len(lines_of(site)) > 40, what="lines are kept")
    panel.kill()
    time.sleep(2)
    panel.start()
    panel.wait_ready()
    site.go_live(program("second"))
    until(lambda: any(line["text"].startswith("second") for line in lines_of(site)), what="the new release writes")
    assert [container["release"] for container in site.containers()] == [2]
    lines = lines_of(site)
    first = [line for line in lines if line["release"] == 1]
    numbers = [int(line["text"].split()[1]) for line in first[:-1]]
    assert first[-1]["text"] == "last words of first"
    assert sorted(numbers) == list(range(len(numbers)))
    assert len(numbers) > 100
    assert {line["stream"] for line in first} == {"stdout", "stderr"}
    page = site.get(f"/api/v1/services/{site.id}/logs/lines?grep=LAST%20WORDS")
    assert ([line["text"] for line in page["items"]], page["total"], page["problem"]) == (
        ["last words of first"],
        1,
        "",
    )
