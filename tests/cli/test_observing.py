"""What the command says about services that do not run as they should; each answer is one that the API gives."""

import re
from typing import Any

import pytest
from tests.cli.conftest import Orc, Stub

from orca.cli.commands.audit import title_of

pytestmark = pytest.mark.slow


def page(*items: Any) -> dict[str, Any]:
    return {"items": list(items), "next_cursor": None}


def tell(
    stub: Stub, *, wanted: str = "running", newest: str | None = "succeeded", running: int | None = 2,
    kind: str = "web", replicas: int = 2, state: str = "running", release: int | None = 1,
) -> None:  # fmt: skip
    """One project with one service, of two replicas. `running` None: Docker is away."""
    service = {
        "id": "s", "project_id": "p", "slug": "web", "name": "web", "kind": kind, "desired_state": wanted,
        "replicas": replicas, "ports": [], "strategy": "recreate", "command": [], "release_command": [],
        "resources": {"cpus": None, "memory_mb": None}, "health": {"type": "none"}, "build": {"builder": "auto"},
        "restart": "always",
        "source": {"type": "directory"}, "updated_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    stub.json("GET /api/v1/projects", page({"id": "p", "slug": "shop", "name": "shop"}))
    stub.json("GET /api/v1/projects/p/services", page(service))
    status = {"state": state, "reason": f"why {state}", "since": "2026-01-01T00:00:00Z", "release": release}
    stub.json("GET /api/v1/services/s/status", status)
    stub.json("GET /api/v1/services", page({**service, "project": "shop", "status": status}))
    made = (
        []
        if newest is None
        else [{"id": "d", "number": 3, "state": newest, "reason": "", "created_at": "2026-01-01T00:00:00Z"}]
    )
    stub.json("GET /api/v1/services/s/deployments", page(*made))
    away = {"status": 503, "code": "engine-unavailable", "detail": "Docker does not answer", "hint": ""}
    if running is None:
        stub.json("GET /api/v1/services/s/containers", away, 503, "application/problem+json")
    else:
        stub.json("GET /api/v1/services/s/containers", [{"state": "running", "release": 1}] * running)


@pytest.mark.parametrize("state", ["running", "degraded", "empty", "unknown"])
def test_services_are_listed_with_the_state_that_the_server_says_in_one_request(
    remote: Orc, stub: Stub, state: str
) -> None:
    tell(stub, state=state)
    header, line = remote.ok("services", "list").out.splitlines()
    assert header.split() == ["PROJECT", "SERVICE", "KIND", "STATE", "URL", "SOURCE", "CHANGED"]
    assert re.split(" {2,}", line)[:4] == ["shop", "web", "web", state]
    assert len(stub.asked) == 1
    header, line = remote.ok("status").out.splitlines()
    assert header.split() == ["PROJECT", "SERVICE", "KIND", "STATE", "SINCE", "URL", "REASON"]
    assert re.split(" {2,}", line)[3] == state
    assert line.rstrip().endswith(f"why {state}")
    assert len(stub.asked) == 2


def test_what_was_never_deployed_should_be_nothing_yet(local: Orc, request: pytest.FixtureRequest) -> None:
    name = request.node.name[:40]
    local.ok("projects", "create", name)
    local.ok("services", "create", "idle", "--project", name)
    slug = local.ok("services", "show", "idle", "--project", name, "--json").json["slug"]
    assert "empty" in local.ok("services", "list", "--project", name).out
    assert re.search(r"^state +empty$", local.ok("services", "show", "-s", slug, "-p", name).out, re.MULTILINE)
    told = local.ok("status", "--project", name, "--service", slug).out
    assert "running" not in told
    assert "running" not in local.ok("status", "--project", name).out


def test_stopping_twice_makes_no_second_deployment(remote: Orc, stub: Stub) -> None:
    tell(stub, wanted="stopped", running=0)
    done = remote.ok("stop", "--service", "web")
    assert done.out == "web is stopped already. `orc start --service web` starts it again.\n"
    assert remote.ok("stop", "--service", "web", "--json").json["desired_state"] == "stopped"
    assert all(asked.method == "GET" for asked in stub.asked)


@pytest.mark.parametrize("facts", [{}, {"wanted": "stopped", "newest": "queued"}])
def test_what_runs_or_is_about_to_is_stopped(remote: Orc, stub: Stub, facts: dict[str, Any]) -> None:
    tell(stub, **facts)
    stub.json("POST /api/v1/services/s/stop", {"number": 4})
    assert remote.ok("stop", "--service", "web", "--no-follow").out == "Deployment 4 is queued.\n"


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({}, "web runs already; `orc restart --service web` replaces its containers.\n"),
        ({"newest": "failed"}, "web runs already; `orc restart --service web` replaces its containers.\n"),
        ({"replicas": 0, "running": 0}, "0 replicas of web are wanted. `orc scale 1 --service web` starts one.\n"),
    ],
)
def test_a_start_that_would_change_nothing_queues_nothing(
    remote: Orc, stub: Stub, facts: dict[str, Any], told: str
) -> None:
    tell(stub, **facts)
    assert remote.ok("start", "--service", "web").out == told
    assert remote.ok("start", "--service", "web", "--json").json["slug"] == "web"
    assert all(asked.method == "GET" for asked in stub.asked)


@pytest.mark.parametrize(
    "facts",
    [{"running": 1}, {"running": None}, {"wanted": "stopped", "running": 0}, {"newest": "running"}, {"newest": None}],
)
def test_what_does_not_run_whole_is_started(remote: Orc, stub: Stub, facts: dict[str, Any]) -> None:
    tell(stub, **facts)
    stub.json("POST /api/v1/services/s/start", {"number": 4})
    assert remote.ok("start", "--service", "web", "--no-follow").out == "Deployment 4 is queued.\n"


@pytest.mark.parametrize(
    ("replicas", "told"),
    [
        (2, "Nothing runs. `orc deploy` or `orc start --service web` changes that.\n"),
        (0, "Nothing runs. 0 replicas are wanted; `orc scale 1 --service web` changes that.\n"),
    ],
)
def test_replicas_that_are_not_there_come_with_what_makes_them(
    remote: Orc, stub: Stub, replicas: int, told: str
) -> None:
    tell(stub, running=0, replicas=replicas)
    assert remote.ok("ps", "--service", "web").out == told


@pytest.mark.parametrize(
    ("facts", "ports"),
    [
        ({}, "detected"),
        ({"wanted": "stopped", "running": 0}, "detected"),
        ({"release": None}, "—"),
        ({"kind": "worker"}, "—"),
    ],
)
def test_a_port_that_was_detected_is_told_as_such(remote: Orc, stub: Stub, facts: dict[str, Any], ports: str) -> None:
    tell(stub, **facts)
    told = remote.ok("services", "show", "web").out
    assert re.search(rf"^ports +{ports}$", told, re.MULTILINE)
    assert re.search(r"^strategy +recreate$", told, re.MULTILINE)


@pytest.mark.parametrize(
    ("conditions", "told"),
    [
        ({"a": "unreachable", "b": "live"}, ["https://b"]),
        ({"a": "unreachable", "b": "awaiting_certificate"}, ["https://b"]),
        ({"a": "unreachable", "b": "broken"}, ["https://a (does not lead here yet)"]),
    ],
)
def test_addresses_that_do_not_lead_here_are_no_addresses(
    remote: Orc, stub: Stub, conditions: dict[str, str], told: list[str]
) -> None:
    tell(stub)
    routes = [
        {"url": f"https://{name}", "condition": condition, "redirect_to": None, "is_automatic": False}
        for name, condition in conditions.items()
    ]
    stub.json("GET /api/v1/services/s/routes", page(*routes))
    assert remote.ok("open", "--print", "--service", "web").out.splitlines() == told
    shown = remote.ok("status", "--service", "web").out.splitlines()
    assert [line.removeprefix("url").strip() for line in shown if line.startswith("url")] == told
    assert remote.ok("open", "--service", "web", "--json").json == {"urls": [told[0].split(" ")[0]]}


@pytest.mark.parametrize("options", [[], ["--follow"]])
def test_logs_of_nothing_say_so(remote: Orc, stub: Stub, options: list[str]) -> None:
    tell(stub, wanted="stopped", running=0)

    def silent(handler: Any) -> None:
        handler.begin_stream()
        handler.event("end", {"state": "ended"})

    stub.on("GET /api/v1/services/s/logs", silent)
    done = remote.ok("logs", "--service", "web", *options)
    assert done.out == ""
    assert (
        done.err
        == "Nothing runs, so that nothing is written. The log of the last deployment: `orc logs -d --service web`.\n"
    )


def test_logs_of_what_runs_silently_say_nothing(remote: Orc, stub: Stub) -> None:
    tell(stub)

    def silent(handler: Any) -> None:
        handler.begin_stream()
        handler.event("end", {"state": "ended"})

    stub.on("GET /api/v1/services/s/logs", silent)
    done = remote.ok("logs", "--service", "web")
    assert (done.out, done.err) == ("", "")


@pytest.mark.parametrize(
    ("payload", "about"),
    [
        ({"service": "web", "number": 3, "deployment_id": "d"}, "service web, deployment 3"),
        ({"name": "Shop", "slug": "shop"}, "service Shop"),
        ({"slug": "web", "fields": ["replicas"]}, "service web"),
        ({"hostname": "www.example.org", "service_id": "s"}, "service www.example.org"),
        ({"set": ["A"]}, "service 0199-id"),
        ({"name": None}, "service 0199-id"),
    ],
)
def test_the_trail_names_what_it_is_about(remote: Orc, stub: Stub, payload: dict[str, Any], about: str) -> None:
    event = {
        "seq": 1, "at": "2026-01-01T00:00:00Z", "type": "Happened", "actor": "ada", "via": "token", "ip": None,
        "object_type": "service", "object_id": "0199-id", "outcome": "done", "payload": payload,
    }  # fmt: skip
    stub.json("GET /api/v1/events", page(event))
    line = remote.ok("audit", "list").out.splitlines()[1]
    assert f"  {about}  done" in line


@pytest.mark.parametrize(
    ("event", "kind", "title"),
    [
        ("HookCreated", None, "Hook created"), ("DeploymentFinished", "restart", "Restart finished"),
        ("DeploymentFinished", "deploy", "Deployment finished"), ("SteppedUp", 3, "Stepped up"),
    ],
)  # fmt: skip
def test_events_are_called_as_in_the_panel(event: str, kind: object, title: str) -> None:
    assert title_of({"type": event, "payload": {"kind": kind}}) == title


def test_releases_tell_what_made_them_and_whether_they_went_live(remote: Orc, stub: Stub) -> None:
    tell(stub)
    release = {
        "id": "r", "number": 2, "is_live": True, "created_at": "2026-01-01T00:00:00Z", "commit": "", "commit_message": "",
        "went_live_at": "2026-01-01T00:00:00Z", "deployment": {"id": "d", "number": 7, "kind": "scale"},
    }  # fmt: skip
    never = {**release, "number": 1, "is_live": False, "went_live_at": None, "deployment": None}
    stub.json("GET /api/v1/services/s/releases", page(release, never))
    header, second, first = remote.ok("releases", "--service", "web").out.splitlines()
    assert re.split(" {2,}", header) == ["RELEASE", "MADE BY", "MADE", "WENT LIVE", "COMMIT", "MESSAGE"]
    assert re.split(" {2,}", second)[:3] == ["2", "live", "deployment 7 (scale)"]
    assert "never" not in second
    assert "never" in first


def test_systems_providers_that_cannot_be_used_are_named_with_the_remedy(remote: Orc, stub: Stub) -> None:
    missing = "The proxy “mine” is not installed. Install its package."
    away = "Docker does not answer."
    system = {
        "id": "local", "name": "local", "connector": "local", "engine": "docker", "proxy": "mine", "state": "unreachable",
        "reason": away, "problems": [missing], "since": "2026-01-01T00:00:00Z", "engine_version": "", "architecture": "",
        "cpus": None, "memory_bytes": None, "addresses": [], "disks": [],
    }  # fmt: skip
    unused = {"reason": "The builder “x” cannot be imported.", "remedy": "Uninstall it."}
    stub.json("GET /api/v1/systems", {"items": [system], "unused_providers": [unused]})
    stub.json("GET /api/v1/systems/local", system)
    said = remote.ok("systems", "list").err
    for sentence in (f"local: {missing}", f"local: {away}", "The builder “x” cannot be imported. Uninstall it."):
        assert sentence in said
    shown = remote.ok("systems", "show", "local").out
    assert re.search(f"^reason +{re.escape(away)}$", shown, re.MULTILINE)
    assert re.search(f"^problem +{re.escape(missing)}$", shown, re.MULTILINE)
