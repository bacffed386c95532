"""What the command says about services that do not run as they should; each answer is one that the API gives."""

import re
from typing import Any

import pytest
from tests.cli.conftest import Orc, Stub


def page(*items: Any) -> dict[str, Any]:
    return {"items": list(items), "next_cursor": None}


def tell(
    stub: Stub, *, wanted: str = "running", newest: str | None = "succeeded", running: int | None = 2, kind: str = "web"
) -> None:
    """One project with one service of two replicas. `running` None: Docker is away."""
    service = {
        "id": "s", "project_id": "p", "slug": "web", "name": "web", "kind": kind, "desired_state": wanted, "replicas": 2,
        "source": {"type": "directory"}, "updated_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    stub.json("GET /api/v1/projects", page({"id": "p", "slug": "shop", "name": "shop"}))
    stub.json("GET /api/v1/projects/p/services", page(service))
    made = [] if newest is None else [{"id": "d", "number": 3, "state": newest, "created_at": "2026-01-01T00:00:00Z"}]
    stub.json("GET /api/v1/services/s/deployments", page(*made))
    away = {"status": 503, "code": "engine-unavailable", "detail": "Docker does not answer", "hint": ""}
    if running is None:
        stub.json("GET /api/v1/services/s/containers", away, 503, "application/problem+json")
    else:
        stub.json("GET /api/v1/services/s/containers", [{"state": "running"}] * running)


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ({}, "running"),
        ({"running": 1}, "1 of 2 run"),
        ({"newest": None}, "not deployed"),
        ({"wanted": "stopped", "running": 0}, "stopped"),
        ({"wanted": "stopped", "newest": "running", "running": 0}, "deploying"),
        ({"newest": "queued", "running": 0}, "deploying"),
        ({"newest": "failed", "running": 0}, "failed"),
        ({"newest": "failed"}, "running"),
        ({"running": 0}, "nothing runs"),
        ({"running": None}, "unknown"),
    ],
)
def test_services_are_listed_as_they_are(remote: Orc, stub: Stub, facts: dict[str, Any], state: str) -> None:
    tell(stub, **facts)
    header, line = remote.ok("services", "list").out.splitlines()
    assert header.split() == ["PROJECT", "SERVICE", "KIND", "STATE", "SOURCE", "CHANGED"]
    assert re.split(" {2,}", line)[3] == state


def test_what_was_never_deployed_should_be_nothing_yet(local: Orc, request: pytest.FixtureRequest) -> None:
    name = request.node.name[:40]
    local.ok("projects", "create", name)
    local.ok("services", "create", "idle", "--project", name)
    slug = local.ok("services", "show", "idle", "--project", name, "--json").json["slug"]
    assert "not deployed" in local.ok("services", "list", "--project", name).out
    assert re.search(r"^state +not deployed$", local.ok("services", "show", "-s", slug, "-p", name).out, re.MULTILINE)
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
