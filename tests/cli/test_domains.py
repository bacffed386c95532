"""`orc domains` says what a visitor finds, and `orc open` leads where something answers."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.cli.conftest import Orc, Stub


def route(hostname: str, condition: str, **given: object) -> dict[str, object]:
    plain = {
        "id": hostname, "hostname": hostname, "path_prefix": "/", "url": f"https://{hostname}/", "redirect_to": None,
        "condition": condition, "state": "live", "tls": "acme", "port": None, "problem": "", "next_try_at": None,
        "is_automatic": False,
    }  # fmt: skip
    return plain | given


@pytest.fixture
def names(stub: Stub) -> None:
    again = (datetime.now(UTC) + timedelta(minutes=20, seconds=30)).isoformat()
    stub.json("GET /api/v1/projects", {"items": [{"id": "p", "slug": "shop", "name": "shop"}], "next_cursor": None})
    service = {"id": "s", "slug": "web", "name": "web", "source": {"type": "image", "image": "x"}, "version": 1}
    stub.json("GET /api/v1/projects/p/services", {"items": [service], "next_cursor": None})
    routes = [
        route("broken.internal", "broken", state="broken", problem="No answer", next_try_at=again),
        route("www.example.org", "unreachable", problem="It has no address in the DNS.", next_try_at=again),
        route("new.example.org", "awaiting_certificate"),
        route("web-shop.localhost", "live", tls="internal", is_automatic=True),
    ]
    stub.json("GET /api/v1/services/s/routes", {"items": routes, "next_cursor": None})


@pytest.mark.usefixtures("names")
def test_the_state_is_what_a_visitor_finds(remote: Orc) -> None:
    shown = remote("domains", "list", "--project", "shop", "--service", "web")
    assert shown.code == 0, shown.err
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in shown.out.splitlines()}
    assert rows["https://broken.internal/"] == "broken acme public No answer. Tried again in 20 min."
    assert rows["https://www.example.org/"].startswith("does not lead here acme public It has no address in the DNS.")
    assert rows["https://new.example.org/"].startswith("waiting for a certificate")
    assert rows["https://web-shop.localhost/"].startswith("live internal")


@pytest.mark.usefixtures("names")
def test_what_answers_is_offered_first_and_what_leads_nowhere_not_at_all(remote: Orc) -> None:
    shown = remote("open", "--print", "--project", "shop", "--service", "web")
    assert shown.out.split() == ["https://web-shop.localhost/", "https://new.example.org/"]
