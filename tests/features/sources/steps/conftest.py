"""Real Git servers: git's own HTTP backend behind a small TLS server, and a real sshd."""

import base64
import datetime as dt
import getpass
import ipaddress
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from orca.features.sources.rules import GitRef, RepoUrl
from orca.features.sources.steps.checkout_git import Checkout, GitCheckout, checkout_git
from orca.providers.connectors.local import LocalConnector
from orca.sdk.connectors import Command

TOKEN = "canary-token-7c1f"


class Repository:
    """A bare repository with a working copy to commit from."""

    def __init__(self, bare: Path) -> None:
        self.bare = bare
        self.work = bare.with_suffix(".work")
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(bare)], check=True)
        subprocess.run(["git", "init", "-q", "-b", "main", str(self.work)], check=True)

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        author = [
            "-c",
            "user.name=Ada Lovelace",
            "-c",
            "user.email=ada@example.org",
            "-c",
            "protocol.file.allow=always",
            "-c",
            "core.hooksPath=/dev/null",  # git-lfs puts its own hook there, where it is installed
        ]
        command = ["git", "-C", str(self.work), *author, *arguments]
        return subprocess.run(command, check=True, capture_output=True, input=stdin).stdout.decode().strip()

    def commit(self, files: dict[str, str], message: str = "First") -> str:
        for name, text in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.push()

    def push(self, *refs: str) -> str:
        self.git("push", "-q", "--force", str(self.bare), *(refs or ("HEAD:refs/heads/main",)))
        return self.git("rev-parse", "HEAD")


@dataclass
class GitServer:
    """`requests` are (path, Authorization) pairs as they arrived."""

    root: Path
    port: int
    certificate_authority: str | None = None
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    redirect_to: str = ""
    dumb: dict[str, tuple[int, list[tuple[str, str]], bytes]] = field(default_factory=dict)
    """What is served below `/dumb` as plain files: path -> answer."""
    stall: threading.Event = field(default_factory=threading.Event)

    @property
    def host(self) -> str:
        """As a credential has it."""
        return f"127.0.0.1:{self.port}"

    def url(self, path: str) -> str:
        return f"{'https' if self.certificate_authority else 'http'}://{self.host}{path}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    git: GitServer

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        return

    def _answer(self) -> None:
        body = self._body()
        self.git.requests.append((self.path, self.headers.get("Authorization")))
        path = self.path.partition("?")[0]
        if path.startswith("/moved/"):
            self._send(302, [("Location", self.git.redirect_to + self.path.removeprefix("/moved"))], b"")
        elif path.startswith("/late/") and self.command == "POST":
            self._send(307, [("Location", self.git.redirect_to + self.path.removeprefix("/late"))], b"")
        elif path.startswith("/late/"):
            self.path = self.path.removeprefix("/late")
            self._backend(body)
        elif path.startswith("/dumb/"):
            self._send(*self.git.dumb.get(path.removeprefix("/dumb"), (404, [], b"")))
        elif path.startswith("/stalled/"):
            self.git.stall.wait(30)
        elif path.startswith("/private/") and not self._is_allowed():
            self._send(401, [("WWW-Authenticate", 'Basic realm="git"')], b"")
        elif path.startswith("/broken/"):
            self._send(503, [], b"")
        elif path.startswith("/page/"):
            self._send(200, [("Content-Type", "text/html")], b"<p>not git</p>")
        else:
            self._backend(body)

    def _is_allowed(self) -> bool:
        return (
            self.headers.get("Authorization")
            == "Basic " + base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
        )

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            pieces = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _backend(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        env = {
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.git.root), "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command, "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
        }  # fmt: skip
        result = subprocess.run(["git", "http-backend"], env=env, input=body, capture_output=True, check=True).stdout
        head, _, content = result.partition(b"\r\n\r\n")
        headers = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n")]
        status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
        self._send(status, [pair for pair in headers if pair[0] != "Status"], content)

    def _send(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients that go away in the middle are what some tests are about."""


def _serve(root: Path, tls: tuple[Path, Path, str] | None) -> Iterator[GitServer]:
    server = _Server(("127.0.0.1", 0), _Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls[0], tls[1])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    git = GitServer(root, server.server_address[1], tls[2] if tls else None)
    server.RequestHandlerClass = type("Handler", (_Handler,), {"git": git})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield git
    git.stall.set()
    server.shutdown()
    server.server_close()
    thread.join()


def _certificate(
    name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
    )
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    home = tmp_path_factory.mktemp("tls")
    authority = _certificate("Test CA", None)
    certificate, key = _certificate("127.0.0.1", authority)
    (home / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (home / "key.pem").write_bytes(pem)
    return home / "cert.pem", home / "key.pem", authority[0].public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture
def repositories(tmp_path: Path) -> Path:
    root = tmp_path / "repositories"
    root.mkdir()
    return root


@pytest.fixture
def make_repository(repositories: Path) -> Callable[[str], Repository]:
    def make(name: str) -> Repository:
        path = repositories / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return Repository(path)

    return make


@pytest.fixture
def server(repositories: Path, tls_files: tuple[Path, Path, str]) -> Iterator[GitServer]:
    yield from _serve(repositories, tls_files)


@pytest.fixture
def elsewhere(repositories: Path, tls_files: tuple[Path, Path, str]) -> Iterator[GitServer]:
    """Another host, which is just as trusted by TLS and has the same repositories."""
    yield from _serve(repositories, tls_files)


@pytest.fixture
def other_server(repositories: Path) -> Iterator[GitServer]:
    yield from _serve(repositories, None)


@dataclass
class SshServer:
    port: int
    known_hosts: str
    private_key: str
    root: Path
    authorized_keys: Path

    def allow(self, public_key: str) -> None:
        """Let the holder of one more key in."""
        with self.authorized_keys.open("a") as file:
            file.write(f"{public_key}\n")

    @property
    def host(self) -> str:
        """As a credential has it."""
        return f"127.0.0.1:{self.port}"

    def url(self, name: str) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{self.root}/{name}"

    @property
    def fingerprint(self) -> str:
        """As ssh-keygen shows it."""
        listed = subprocess.run(
            ["ssh-keygen", "-lf", "-"], check=True, capture_output=True, input=self.known_hosts.encode()
        )
        return listed.stdout.decode().split()[1]


def make_key(path: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)], check=True)
    return path.read_text()


@pytest.fixture
def other_key(tmp_path: Path) -> tuple[str, str]:
    """A key that the Git server does not know: its private half, and `type base64` of its public half."""
    private = make_key(tmp_path / "other")
    return private, " ".join((tmp_path / "other.pub").read_text().split()[:2])


@pytest.fixture
def ssh_server(repositories: Path, tmp_path: Path) -> Iterator[SshServer]:
    home = tmp_path / "sshd"
    home.mkdir()
    make_key(home / "host")
    private = make_key(home / "user")
    (home / "authorized_keys").write_text((home / "user.pub").read_text())
    Path("/run/sshd").mkdir(exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = [
        f"Port={port}", "ListenAddress=127.0.0.1", f"HostKey={home / 'host'}", f"AuthorizedKeysFile={home / 'authorized_keys'}",
        "StrictModes=no", "UsePAM=no", "PermitRootLogin=prohibit-password", "PasswordAuthentication=no", f"PidFile={home / 'pid'}",
        "MaxStartups=100:30:200", "LogLevel=ERROR", "SetEnv=GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=*",
    ]  # fmt: skip
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"])
    assert sshd, "openssh-server is needed"
    process = subprocess.Popen([sshd, "-D", "-e", "-f", "/dev/null", *(f"-o{option}" for option in options)])
    _wait_for(port)
    kind, body = (home / "host.pub").read_text().split()[:2]
    yield SshServer(port, f"[127.0.0.1]:{port} {kind} {body}\n", private, repositories, home / "authorized_keys")
    process.terminate()
    process.wait(10)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on {port}")


@pytest.fixture
def commands() -> list[Command]:
    return []


@pytest.fixture
def connector(commands: list[Command]) -> LocalConnector:
    return LocalConnector(commands.append)


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def fetch(connector: LocalConnector, tmp_path: Path, lines: list[str]) -> Callable[..., Any]:
    async def log(line: str) -> None:
        lines.append(line)

    async def fetch(url: str, ref: str = "main", **options: Any) -> Checkout:
        request = GitCheckout(
            url=RepoUrl.parse(url, allow_http=True),
            ref=GitRef.parse(ref),
            into=options.pop("into", tmp_path / "work" / "tree"),
            **{"private_networks": True, **options},
        )
        request.into.parent.mkdir(exist_ok=True)
        return await checkout_git(connector, request, log)

    return fetch
