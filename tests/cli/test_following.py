"""Following a deployment through what a healthy panel on one machine never does."""

import json
import signal
import sys
import time
from typing import Any

import pytest
from tests.cli.conftest import Orc, Stub, StubHandler
from tests.cli.terminal import Terminal

STEPS = ("fetch_source", "build_image", "start_release")


class Deployment:
    """A scripted deployment: each look at it shows the state of the moment."""

    def __init__(self, stub: Stub) -> None:
        self.state = "running"
        self.reason = self.hint = self.waits_for = ""
        self.steps = dict.fromkeys(STEPS, "waiting")
        self.stub = stub
        stub.json("GET /api/v1/projects", {"items": [{"id": "p", "slug": "shop", "name": "shop"}], "next_cursor": None})
        service = {"id": "s", "slug": "web", "name": "web", "source": {"type": "image", "image": "x"}, "version": 1}
        stub.json("GET /api/v1/projects/p/services", {"items": [service], "next_cursor": None})
        route = {"url": "https://web.example.org/", "is_automatic": True, "redirect_to": None, "condition": "live"}
        stub.json("GET /api/v1/services/s/routes", {"items": [route], "next_cursor": None})
        for verb in ("deployments", "restart"):
            stub.on(f"POST /api/v1/services/s/{verb}", self.show)
        stub.on("GET /api/v1/deployments/d", self.show)
        stub.on("GET /api/v1/deployments/d/log", self.log)
        stub.on("POST /api/v1/deployments/d/cancel", self.cancel)

    @property
    def row(self) -> dict[str, Any]:
        started = "2026-01-01T00:00:00Z"
        steps = [
            {"name": name, "state": state, "detail": "", "started_at": started, "finished_at": started}
            for name, state in self.steps.items()
        ]
        return {
            "id": "d", "number": 7, "kind": "deploy", "state": self.state, "service_id": "s", "reason": self.reason,
            "hint": self.hint, "warnings": ["the disk is nearly full"], "started_at": started, "finished_at": started,
            "steps": steps, "waits_for": self.waits_for,
        }  # fmt: skip

    def show(self, handler: StubHandler) -> None:
        import json

        handler.send(200, "application/json", json.dumps(self.row).encode())

    def log(self, handler: StubHandler) -> None:
        handler.begin_stream()
        first = int(handler.headers.get("Last-Event-ID") or 0)
        for number in range(first, 3):
            name = STEPS[number]
            self.steps[name] = "running"
            handler.event("log", {"offset": number, "step": name, "text": f"working on {name}\n"}, str(number + 1))
            self.steps[name] = "succeeded"
            if number == 1 and first == 0:
                return
        self.end(handler)

    def end(self, handler: StubHandler) -> None:
        if self.state == "running":
            self.state = "succeeded"
        handler.event("end", {"state": self.state})

    def hang(self, handler: StubHandler) -> None:
        """A log in which nothing happens until the deployment ends."""
        handler.begin_stream()
        self.steps["fetch_source"] = "running"
        while self.state == "running":
            time.sleep(0.05)
        self.end(handler)

    def cancel(self, handler: StubHandler) -> None:
        self.state, self.reason = "cancelled", "somebody cancelled it"
        self.show(handler)


@pytest.fixture
def deployment(stub: Stub) -> Deployment:
    return Deployment(stub)


def test_plain_lines_over_a_broken_connection(remote: Orc, deployment: Deployment) -> None:
    done = remote.ok("restart", "--service", "web")
    shown = [line.split("  ")[0].strip() for line in done.out.splitlines()]
    logged = done.out.splitlines()
    assert [line.strip() for line in logged if "working" in line] == [f"working on {name}" for name in STEPS]
    assert [line for line in shown if line.startswith("✓")] == ["✓ fetch source", "✓ build image", "✓ start release"]
    assert logged.index("  working on build_image") > next(
        i for i, line in enumerate(shown) if line == "✓ fetch source"
    )
    assert done.out.splitlines()[-1] == "https://web.example.org/"
    assert "warning: the disk is nearly full" in done.err
    assert "\x1b" not in done.out + done.err


def test_json_is_a_line_per_event_and_then_the_deployment(remote: Orc, deployment: Deployment) -> None:
    done = remote.ok("restart", "--service", "web", "--json")
    first, *chunks, last = done.lines
    assert (first["id"], first["number"]) == ("d", 7), "the first event names the deployment"
    assert [chunk["step"] for chunk in chunks] == list(STEPS)
    assert last == deployment.row
    assert done.err == ""


def test_failure_ends_with_reason_and_hint(remote: Orc, deployment: Deployment) -> None:
    deployment.state, deployment.reason, deployment.hint = "failed", "it never answered", "Look at its port."
    done = remote("restart", "--service", "web")
    assert done.code == 1
    assert done.err.endswith("error: deployment 7 failed: it never answered\nhint: Look at its port.\n")


def test_the_reason_of_a_failure_is_printed_once(remote: Orc, deployment: Deployment, stub: Stub) -> None:
    def log(handler: StubHandler) -> None:
        handler.begin_stream()
        handler.event("log", {"offset": 0, "step": "check_health", "text": "last words\n✗ it never answered. Look.\n"})
        handler.event("log", {"offset": 9, "step": "check_health", "text": "✗ something else\n"})
        deployment.end(handler)

    deployment.state, deployment.reason, deployment.hint = "failed", "it never answered", "Look."
    stub.on("GET /api/v1/deployments/d/log", log)
    done = remote("restart", "web")
    assert (done.out + done.err).count("it never answered") == 1
    assert "  last words\n" in done.out
    assert "  ✗ something else\n" in done.out


def test_a_rollback_says_from_which_release_to_which(remote: Orc, deployment: Deployment, stub: Stub) -> None:
    stub.on("POST /api/v1/services/s/rollback", deployment.show)
    old_server = remote.ok("rollback", "web", "--no-follow")
    assert old_server.err == ""
    release = {
        "id": "r", "number": 5, "image": "shop:5", "commit": "0123456789abcdef", "commit_message": "Pay\n\nmore",
        "created_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    target = {**release, "number": 3, "image": "shop:3", "commit": "", "commit_message": ""}
    found = {"live": release, "target": target, "changes": ["variable KEY changed"], "variables": []}
    stub.json("GET /api/v1/services/s/rollback", found)
    first, second, third = remote.ok("rollback", "web", "3", "--no-follow").err.splitlines()
    assert first.startswith("From release 5  0123456789 Pay, shop:5, ")
    assert second.startswith("to release 3  shop:3, ")
    assert third == "  variable KEY changed"
    assert stub.asked[-2].path.endswith("?release=3")
    assert remote.ok("rollback", "web", "--no-follow", "--json").err == ""


def test_a_discard_shows_what_waits_and_names_what_was_seen(remote: Orc, deployment: Deployment, stub: Stub) -> None:
    waiting = {"live": None, "target": None, "changes": ["replicas 1→2"], "variables": [], "revision": "seen"}
    stub.json("GET /api/v1/services/s/changes", waiting)
    stub.json("POST /api/v1/services/s/changes/discard", {**waiting, "changes": []})
    refused = remote("services", "discard", "web", "--confirm", "shop")
    assert refused.code != 0
    done = remote.ok("services", "discard", "web", "--confirm", "web")
    assert "replicas 1→2" in done.err
    assert done.out.startswith("Discarded.")
    assert [(each.method, json.loads(each.body)) for each in stub.asked if each.path.endswith("discard")] == [
        ("POST", {"revision": "seen"})
    ]
    stub.json("GET /api/v1/services/s/changes", {**waiting, "changes": []})
    assert "Nothing of web waits" in remote.ok("services", "discard", "web").out


def test_token_that_may_not_see_hostnames_deploys_all_the_same(remote: Orc, deployment: Deployment, stub: Stub) -> None:
    problem = {"code": "forbidden", "detail": "This needs the permission route.read."}
    stub.json("GET /api/v1/services/s/routes", problem, 403, "application/problem+json")
    done = remote.ok("restart", "--service", "web")
    assert "Live" in done.out
    assert "route.read" in done.err


def test_a_wait_that_lasts_is_explained_once(remote: Orc, deployment: Deployment, stub: Stub) -> None:
    def wait(handler: StubHandler) -> None:
        handler.begin_stream()
        deployment.waits_for = "Waiting for another build to end."
        time.sleep(5)
        deployment.waits_for = ""
        deployment.end(handler)

    stub.on("GET /api/v1/deployments/d/log", wait)
    assert remote.ok("restart", "--service", "web").out.count("  Waiting for another build to end.\n") == 1


def test_superseded_is_no_success(remote: Orc, deployment: Deployment) -> None:
    deployment.state, deployment.reason = "superseded", "a newer one came"
    assert remote("restart", "--service", "web").code == 1


def test_no_follow_comes_back_at_once(remote: Orc, deployment: Deployment, stub: Stub) -> None:
    done = remote.ok("restart", "--service", "web", "--no-follow")
    assert done.out == "Deployment 7 is queued.\n"
    assert remote.ok("restart", "--service", "web", "--no-follow", "--json").json == deployment.row
    assert not [asked for asked in stub.asked if asked.path.endswith("/log")]


def test_a_log_that_never_says_end_does_not_hold_it(remote: Orc, deployment: Deployment, stub: Stub) -> None:
    def silent(handler: StubHandler) -> None:
        handler.begin_stream()
        deployment.state = "succeeded"
        time.sleep(20)

    stub.on("GET /api/v1/deployments/d/log", silent)
    started = time.monotonic()
    remote.ok("restart", "--service", "web")
    assert time.monotonic() - started < 15


def test_ctrl_c_without_a_terminal_leaves_at_once(remote: Orc, deployment: Deployment, stub: Stub) -> None:
    stub.on("GET /api/v1/deployments/d/log", deployment.hang)
    process = remote.start("restart", "--service", "web")
    while not [asked for asked in stub.asked if asked.path.endswith("/log")]:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "you left; deployment 7 goes on" in err
    assert "Traceback" not in err
    assert deployment.state == "running"
    deployment.state = "succeeded"


def follow_in_terminal(remote: Orc) -> Terminal:
    return Terminal([sys.executable, "-m", "orca.cli", "restart", "--service", "web"], remote)


def test_ctrl_c_asks_and_cancels(remote: Orc, deployment: Deployment, stub: Stub) -> None:
    stub.on("GET /api/v1/deployments/d/log", deployment.hang)
    with follow_in_terminal(remote) as terminal:
        terminal.expect("fetch source")
        terminal.interrupt()
        terminal.expect("Cancel deployment 7?")
        terminal.type("y\n")
        assert terminal.wait() == 1
    assert "somebody cancelled it" in terminal.seen
    assert deployment.state == "cancelled"


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x03"])
def test_ctrl_c_and_anything_but_yes_leaves_it_running(
    remote: Orc, deployment: Deployment, stub: Stub, answer: str
) -> None:
    stub.on("GET /api/v1/deployments/d/log", deployment.hang)
    with follow_in_terminal(remote) as terminal:
        terminal.expect("fetch source")
        terminal.interrupt()
        terminal.expect("Cancel deployment 7?")
        terminal.type(answer)
        assert terminal.wait() == 130
    assert "goes on" in terminal.seen
    assert deployment.state == "running"
    deployment.state = "succeeded"


def test_terminal_shows_a_moving_line_and_leaves_nothing_of_it(remote: Orc, deployment: Deployment, stub: Stub) -> None:
    stub.on("GET /api/v1/deployments/d/log", deployment.hang)
    with follow_in_terminal(remote) as terminal:
        terminal.expect("⠋")
        terminal.expect("⠹")
        deployment.steps = dict.fromkeys(STEPS, "succeeded")
        deployment.state = "succeeded"
        assert terminal.wait() == 0
    assert "\r\x1b[K\x1b[32m✓" in terminal.seen
    assert "Live" in terminal.seen


def test_no_color_in_a_terminal(remote: Orc, deployment: Deployment) -> None:
    remote.env["NO_COLOR"] = "1"
    with follow_in_terminal(remote) as terminal:
        assert terminal.wait() == 0
    assert "\x1b[3" not in terminal.seen
    assert "\x1b[1m" not in terminal.seen
