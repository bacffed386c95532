"""Lists at a terminal: arrow keys, numbers, typing; nothing is asked without a terminal."""

import sys
from collections.abc import Iterator

import pytest
from tests.cli.conftest import Orc, Stub
from tests.cli.terminal import Terminal

DOWN, UP = "\x1b[B", "\x1b[A"


@pytest.fixture
def shops(remote: Orc, stub: Stub) -> Orc:
    """A server with three services in two projects."""
    rows = [
        {"id": f"id-{slug}", "project_id": project, "project": project, "slug": slug, "name": slug, "status": {}}
        for project, slug in (("shop", "web"), ("shop", "worker"), ("blog", "pages"))
    ]
    stub.json("GET /api/v1/services", {"items": rows, "next_cursor": None})
    stub.json("GET /api/v1/projects", {"items": [{"id": "shop", "slug": "shop", "name": "Shop"}], "next_cursor": None})
    stub.json("GET /api/v1/projects/shop/services", {"items": rows[:2], "next_cursor": None})
    for row in rows:
        stub.json(f"GET /api/v1/services/{row['id']}/containers", [{
            "replica": 0, "release": 1, "state": "running", "started_at": None, "restarts": 0, "name": f"c-{row['slug']}",
            "out_of_memory": False, "exit_code": None,
        }])  # fmt: skip
    return remote


@pytest.fixture
def ps(shops: Orc) -> Iterator[Terminal]:
    with Terminal([sys.executable, "-m", "orca.cli", "ps"], shops) as terminal:
        terminal.expect("Which service?")
        terminal.expect("shop/worker")
        yield terminal


@pytest.mark.parametrize(
    ("keys", "picked"),
    [
        ("\n", "pages"), (f"{DOWN}\n", "web"), (f"{DOWN}{DOWN}{DOWN}{UP}\n", "worker"), ("3\n", "worker"),
        ("sho\x15WEB\n", "web"), ("xx\x7f\x7fwork\n", "worker"),
    ],
)  # fmt: skip
def test_a_service_that_is_not_chosen_is_picked(ps: Terminal, keys: str, picked: str) -> None:
    ps.type(keys)
    assert ps.wait() == 0
    assert f"c-{picked}" in ps.seen


@pytest.mark.parametrize("keys", ["\x03", "\x1b", "\x04"])
def test_leaving_the_list_changes_nothing_and_mends_the_terminal(ps: Terminal, keys: str) -> None:
    ps.type(keys)
    assert ps.wait() == 130


def test_a_terminal_without_cursor_movement_asks_for_the_number(shops: Orc) -> None:
    argv = ["env", "TERM=dumb", sys.executable, "-m", "orca.cli", "ps"]
    with Terminal(argv, shops) as terminal:
        terminal.expect("Its number:")
        terminal.type("2\n")
        assert terminal.wait() == 0
    assert "c-web" in terminal.seen
    with Terminal(argv, shops) as terminal:
        terminal.expect("Its number:")
        terminal.type("99\n")
        assert terminal.wait() == 2


def test_nothing_is_asked_without_a_terminal(shops: Orc) -> None:
    done = shops("ps")
    assert (done.code, done.err.splitlines()[0]) == (2, "error: no service is chosen")


def test_names_that_are_nearly_right_are_suggested(shops: Orc) -> None:
    done = shops("ps", "wroker")
    assert (done.code, done.err) == (4, "error: there is no service wroker\nhint: Did you mean `worker`?\n")
    assert shops("ps", "nothing-like-it").err.endswith("hint: `orc services list` shows what there is.\n")
    assert "c-web" in shops.ok("ps", "shop/web").out
