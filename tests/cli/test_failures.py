"""Exit codes that scripts can trust, and failures told in two lines."""

import json
import socket
import ssl
import subprocess
import threading
from http.server import HTTPServer
from pathlib import Path

import pytest
from tests.cli.conftest import Orc, Stub, StubHandler, make_orc

from orca.cli.failures import exit_code_of

PROBLEMS = [
    (401, "not-signed-in", 3), (403, "forbidden", 3), (403, "step-up-required", 3), (503, "not-claimed", 3),
    (404, "not-found", 4), (405, "method-not-allowed", 4), (409, "conflict", 5), (410, "gone", 5), (413, "too-much", 5),
    (415, "unsupported-media-type", 5), (421, "misdirected-request", 5), (422, "bad-input", 5), (429, "too-often", 6),
    (500, "internal", 1), (502, "provider-error", 1), (503, "provider-unavailable", 1),
]  # fmt: skip


@pytest.mark.parametrize(("status", "code", "expected"), PROBLEMS, ids=[code for _, code, _ in PROBLEMS])
def test_exit_codes_by_problem(status: int, code: str, expected: int) -> None:
    assert exit_code_of(status, {"code": code}) == expected


@pytest.mark.parametrize(("status", "expected"), [(404, 4), (500, 1), (502, 6), (503, 6), (504, 6), (400, 5), (408, 6)])
def test_exit_codes_without_a_problem(status: int, expected: int) -> None:
    assert exit_code_of(status, None) == expected


def test_problem_is_told_in_words(remote: Orc, stub: Stub) -> None:
    problem = {
        "status": 422, "code": "bad-input", "detail": "name: too long", "hint": "Use fewer letters.",
        "fields": {"name": "too long", "description": "too long as well"},
    }  # fmt: skip
    stub.json("POST /api/v1/projects", problem, 422, "application/problem+json")
    done = remote("projects", "create", "x" * 200)
    assert done.code == 5
    assert done.out == ""
    assert done.err == (
        "error: name: too long\n  name: too long\n  description: too long as well\nhint: Use fewer letters.\n"
    )
    asked = remote("projects", "create", "x" * 200, "--json")
    assert asked.code == 5
    assert asked.out == ""
    assert json.loads(asked.err) == problem


def test_own_failures_are_json_too(orc: Orc) -> None:
    done = orc("ps", "--json")
    assert done.code == 6
    assert json.loads(done.err)["exit_code"] == 6


def test_retry_after_is_told(remote: Orc, stub: Stub) -> None:
    stub.json(
        "GET /api/v1/me", {"code": "too-often", "detail": "too many", "retry_after": 7}, 429, "application/problem+json"
    )
    done = remote("whoami")
    assert (done.code, done.err) == (6, "error: too many\nhint: Try again in 7 s.\n")


@pytest.mark.parametrize(
    ("content", "media_type", "status", "code", "told"),
    [
        (b"<html>hello", "text/html", 200, 6, "not JSON"),
        (b"<html>bad gateway", "text/html", 502, 6, "answered 502"),
        (b"<html>nothing", "text/html", 404, 4, "not as Orca would"),
        (b"{broken", "application/problem+json", 409, 5, "answered 409"),
        (b"[" * 100_000, "application/json", 200, 6, "not JSON"),
        (b"[1]", "application/problem+json", 409, 5, "answered 409"),
        (b'{"surprise": 1}', "application/json", 200, 1, "not built for"),
    ],
)  # fmt: skip
def test_what_is_no_orca(
    remote: Orc, stub: Stub, content: bytes, media_type: str, status: int, code: int, told: str
) -> None:
    stub.on("GET /api/v1/me", lambda handler: handler.send(status, media_type, content))
    done = remote("whoami")
    assert done.code == code
    assert told in done.err


def test_redirects_are_not_followed_with_the_token(remote: Orc, stub: Stub) -> None:
    stub.on("GET /api/v1/me", lambda handler: handler.send(302, "text/plain", b"", Location=f"{stub.url}/elsewhere"))
    done = remote("whoami")
    assert done.code == 6
    assert "/elsewhere" in done.err
    assert len(stub.asked) == 1


def test_server_that_hangs_up_without_an_answer(remote: Orc, stub: Stub) -> None:
    stub.on("GET /api/v1/me", lambda handler: handler.connection.close())
    assert remote("whoami").code == 6


def test_nothing_listens(orc: Orc) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        done = orc("whoami", ORC_URL=f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert done.code == 6
    assert "Connection refused" in done.err


def test_unknown_host(orc: Orc) -> None:
    done = orc("whoami", ORC_URL="https://no-such-host.invalid")
    assert done.code == 6
    assert "the name of https://no-such-host.invalid is unknown" in done.err


def test_dead_and_missing_sockets(orc: Orc, tmp_path: Path) -> None:
    missing = orc("whoami")
    assert missing.code == 6
    assert "`orc serve`" in missing.err
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "orc.sock"))
    done = orc("whoami", ORC_DATA_DIR=str(tmp_path))
    assert done.code == 6
    assert "Orca does not run on this machine" in done.err
    assert orc("whoami", "--server", "local", ORC_DATA_DIR=str(tmp_path / "none")).code == 6


def test_path_of_a_socket_that_is_too_long(orc: Orc, tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    done = orc("whoami", "--server", "local", ORC_DATA_DIR=str(folder))
    assert done.code == 6
    assert "error: " in done.err


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Self-signed, for localhost; key and certificate in one file."""
    path = tmp_path / "pair.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", tmp_path / "key", "-out", tmp_path / "crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text((tmp_path / "key").read_text() + (tmp_path / "crt").read_text())
    return path


def test_certificates_are_checked_and_private_authorities_can_be_trusted(tmp_path: Path, certificate: Path) -> None:
    stub = Stub()
    stub.json("GET /api/v1/me", {"actor": "eve", "via": "token", "role": "", "permissions": []})
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (StubHandler,), {"stub": stub}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        orc = make_orc(tmp_path, ORC_URL=f"https://localhost:{server.server_address[1]}", ORC_TOKEN="secret-token")
        refused = orc("whoami")
        assert refused.code == 6
        assert "not trusted" in refused.err
        assert "SSL_CERT_FILE" in refused.err
        assert stub.asked == [], "the token never left"
        assert "eve" in orc.ok("whoami", SSL_CERT_FILE=str(certificate)).out
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()


def test_reader_that_goes_away_is_no_failure_to_talk_about(remote: Orc, stub: Stub) -> None:
    import sys

    def flood(handler: StubHandler) -> None:
        handler.begin_stream()
        for number in range(20_000):
            handler.event("log", {"replica": 0, "stream": "stdout", "text": f"line {number}", "at": None})
        handler.event("end", {"state": "ended"})

    stub.json("GET /api/v1/projects", {"items": [{"id": "p", "slug": "p", "name": "p"}], "next_cursor": None})
    stub.json(
        "GET /api/v1/projects/p/services", {"items": [{"id": "s", "slug": "s", "name": "s"}], "next_cursor": None}
    )
    stub.on("GET /api/v1/services/s/logs", flood)
    shell = f"set -o pipefail; '{sys.executable}' -m orca.cli logs --service s | head -n 1"
    done = subprocess.run(
        ["bash", "-c", shell],
        env=remote.env,
        cwd=remote.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 141
    assert done.stdout == "0 line 0\n"
    assert done.stderr == ""
