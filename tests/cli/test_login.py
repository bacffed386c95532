"""Signing in: the token is read without an argument, tried, and kept where only its owner reads it."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Orc, Stub
from tests.cli.terminal import Terminal
from tests.conftest import API_TOKEN, OWNER, Panel


def config(orc: Orc) -> Path:
    return Path(orc.env["XDG_CONFIG_HOME"]) / "orc/config.json"


@pytest.fixture
def claimed(quiet_panel: Panel) -> Panel:
    """A panel that has an owner."""
    token = quiet_panel.data_dir / "claim-token"
    if token.exists():
        with quiet_panel.client() as client:
            answer = client.post("/api/v1/claim", json={**OWNER, "token": token.read_text().strip()})
            assert answer.status_code == 201, answer.text
    return quiet_panel


def test_token_from_stdin_is_tried_and_kept_privately(orc: Orc, claimed: Panel) -> None:
    done = orc.ok("login", claimed.url, stdin=f"{API_TOKEN}\n")
    assert "Signed in" in done.out
    assert API_TOKEN not in done.out + done.err
    assert json.loads(config(orc).read_text())["servers"] == {claimed.url: {"token": API_TOKEN}}
    assert stat.S_IMODE(config(orc).stat().st_mode) == 0o600
    assert stat.S_IMODE(config(orc).parent.stat().st_mode) == 0o700
    assert [path.name for path in config(orc).parent.iterdir()] == ["config.json"]
    assert claimed.url in orc.ok("whoami").out
    assert orc.ok("logout").code == 0
    assert API_TOKEN not in config(orc).read_text()
    again = orc("logout")
    assert again.code == 4
    assert "not signed in" in again.err


def test_wrong_token_is_not_kept(orc: Orc, claimed: Panel) -> None:
    done = orc("login", claimed.url, stdin="orca_pat_wrong\n")
    assert done.code == 3
    assert not config(orc).exists()


@pytest.mark.parametrize("text", ["", "\n", "two words é", "with\x1bescape"])
def test_what_cannot_be_a_token(orc: Orc, claimed: Panel, text: str) -> None:
    done = orc("login", claimed.url, stdin=text)
    assert done.code == 2
    assert "no API token" in done.err


def test_token_typed_at_a_terminal_is_not_echoed(orc: Orc, claimed: Panel) -> None:
    with Terminal([sys.executable, "-m", "orca.cli", "login", claimed.url], orc) as terminal:
        terminal.expect("API token of")
        terminal.type(f"{API_TOKEN}\n")
        assert terminal.wait() == 0
    assert "Signed in" in terminal.seen
    assert API_TOKEN not in terminal.seen
    assert "****" not in terminal.seen


def test_no_argument_takes_a_token(orc: Orc, claimed: Panel) -> None:
    assert orc("login", claimed.url, API_TOKEN).code == 2
    assert orc("login", claimed.url, "--token", API_TOKEN).code == 2


def test_unencrypted_login_must_be_allowed(orc: Orc) -> None:
    done = orc("login", "http://10.255.255.1", stdin="t")
    assert done.code == 5
    assert "--allow-http" in done.err


def test_argument_vectors_of_children_hold_no_secrets(orc: Orc, stub: Stub) -> None:
    """While `orc` waits for an answer, its own argv is all that others see."""
    import threading

    seen: list[str] = []
    asked = threading.Event()

    def look(handler: object) -> None:
        seen.extend(path.read_text(errors="replace") for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
        asked.set()
        handler.send(200, "application/json", b'{"actor": "x"}')  # type: ignore[attr-defined]

    stub.on("GET /api/v1/me", look)
    secret = "orca_pat_this_is_secret"
    process = subprocess.run(
        [sys.executable, "-m", "orca.cli", "login", stub.url], env=orc.env, cwd=orc.folder, input=secret,
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert process.returncode == 0
    assert asked.is_set()
    assert any("orca.cli\0login" in line for line in seen)
    assert not any(secret in line for line in seen)
