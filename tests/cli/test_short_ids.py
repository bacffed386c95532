"""Ids: short in tables on a terminal, whole in pipes and in JSON, and accepted by their beginning."""

import io

import pytest
from tests.cli.conftest import Orc, Stub

from orca.cli.output import Screen, show_id

ONE, TWO = "019b2c1e-7d10-7e5a-a2b4-6a5f0c1d2e3f", "019b2c1e-7d10-7e5a-a2b5-000000000000"
OTHER = "22222222-7d10-7e5a-a2b5-000000000000"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def column(stream: io.StringIO, *ids: str) -> list[str]:
    Screen(stream, {"NO_COLOR": "1"}).table(["ID"], [[show_id(each)] for each in ids])
    return stream.getvalue().split()[1:]


@pytest.mark.parametrize(
    ("ids", "shown"),
    [
        ([], []), ([ONE], ["019b2c1e"]), ([ONE, OTHER], ["019b2c1e", "22222222"]), ([ONE, ONE], ["019b2c1e"] * 2),
        ([ONE, TWO], [ONE[:23], TWO[:23]]), (["local", "a"], ["local", "a"]),
    ],
)  # fmt: skip
def test_ids_are_as_short_as_they_differ_and_whole_in_pipes(ids: list[str], shown: list[str]) -> None:
    assert column(Terminal(), *ids) == shown
    assert column(io.StringIO(), *ids) == ids


@pytest.fixture
def hooks(remote: Orc, stub: Stub) -> Orc:
    rows = [
        {"id": each, "name": each[:2], "type": "x", "provider": "github", "branch": "main", "watch_paths": [],
         "any_repository": False, "url": "u", "last_push": None, "created_at": "2026-01-01T00:00:00Z"}
        for each in (ONE, TWO, OTHER)
    ]  # fmt: skip
    service = {"id": "s", "slug": "web", "name": "web", "project": "shop", "project_id": "p", "status": {}}
    stub.json("GET /api/v1/services", {"items": [service], "next_cursor": None})
    for path in ("services/s/hooks", "webhooks", f"webhooks/{OTHER}/deliveries", "tokens", "services/s/deployments"):
        stub.json(f"GET /api/v1/{path}", {"items": rows, "next_cursor": None})
    for row in rows:
        stub.json(f"GET /api/v1/services/s/hooks/{row['id']}", row)
    stub.json(f"POST /api/v1/webhooks/{OTHER}/deliveries/{ONE}/redeliver", {})
    stub.json(f"DELETE /api/v1/tokens/{OTHER}", None)
    return remote


def test_the_beginning_of_an_id_is_enough(hooks: Orc, stub: Stub) -> None:
    assert hooks.ok("hooks", "show", "22222222", "-s", "web", "--json").json["id"] == OTHER
    assert hooks.ok("hooks", "show", TWO[:23], "-s", "web", "--json").json["id"] == TWO
    hooks.ok("webhooks", "redeliver", "22222222", ONE[:23])
    hooks.ok("tokens", "revoke", "22222222-7d")
    asked = len(stub.asked)
    hooks.ok("hooks", "show", ONE, "-s", "web")
    assert [each.path for each in stub.asked[asked:] if "hooks" in each.path] == [f"/api/v1/services/s/hooks/{ONE}"]


def test_beginnings_of_several_ids_and_of_none_are_told(hooks: Orc) -> None:
    done = hooks("hooks", "show", "019b2c1e", "-s", "web")
    assert (done.code, done.err.splitlines()) == (2, [
        "error: several push hooks begin with 019b2c1e", f"hint: Use more of the id: {ONE}, {TWO}.",
    ])  # fmt: skip
    done = hooks("webhooks", "rotate", "33333333")
    assert (done.code, done.err.splitlines()[1]) == (4, "hint: `orc webhooks list` shows what there is.")
    assert hooks("webhooks", "rotate", "2222").code == 4, "too short to be an id"
