"""The way back in: only on the machine, with a password that no process list ever shows."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.cli.conftest import Orc
from tests.cli.terminal import Terminal
from tests.conftest import NO_TLS, OWNER, Panel

pytestmark = pytest.mark.slow

NEW = "another-good-passphrase"


@pytest.fixture
def owned(quiet_panel: Panel) -> Iterator[Panel]:
    """A panel that has an owner, whose password is put back afterwards."""
    token = quiet_panel.data_dir / "claim-token"
    if token.exists():
        with quiet_panel.client() as client:
            assert client.post("/api/v1/claim", json={**OWNER, "token": token.read_text().strip()}).status_code == 201
    yield quiet_panel
    transport = httpx.HTTPTransport(uds=str(quiet_panel.data_dir / "orc.sock"), verify=NO_TLS)
    with httpx.Client(transport=transport, base_url="http://localhost") as client:
        body = {"password": OWNER["password"]}
        assert client.post("/api/v1/users/reset-password", json=body).status_code == 200


def signs_in(panel: Panel, password: str) -> bool:
    with panel.client() as client:
        body = {"email": OWNER["email"], "password": password}
        return client.post("/api/v1/session", json=body).status_code == 201


def test_a_piped_password_replaces_the_forgotten_one(local: Orc, owned: Panel) -> None:
    done = local.ok("account", "reset-password", "--json", stdin=f"{NEW}\n")
    assert json.loads(done.out)["email"] == OWNER["email"]
    assert NEW not in done.out + done.err
    assert signs_in(owned, NEW)
    assert not signs_in(owned, OWNER["password"])


def test_a_typed_password_is_asked_for_twice(local: Orc, owned: Panel) -> None:
    command = [sys.executable, "-m", "orca.cli", "account", "reset-password", OWNER["email"]]
    for second, code in (("something else", 2), (NEW, 0)):
        with Terminal(command, local) as terminal:
            terminal.expect("New password")
            terminal.type(f"{NEW}\n")
            terminal.expect("The same again")
            terminal.type(f"{second}\n")
            assert terminal.wait() == code
        assert NEW not in terminal.seen
    assert signs_in(owned, NEW)


def test_what_cannot_work_says_why(local: Orc, owned: Panel, tmp_path: Path) -> None:
    weak = local("account", "reset-password", stdin="short\n")
    assert weak.code == 5
    assert "12 characters" in weak.err
    unknown = local("account", "reset-password", "nobody@example.org", stdin=f"{NEW}\n")
    assert unknown.code == 4
    assert OWNER["email"] in unknown.err
    elsewhere = local("account", "reset-password", stdin=NEW, ORC_DATA_DIR=str(tmp_path / "nothing"))
    assert "ORC_DATA_DIR" in elsewhere.err
    assert elsewhere.code == 6
    assert signs_in(owned, OWNER["password"])
