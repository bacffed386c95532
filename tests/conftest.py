"""Real parts for every test: databases, the application in this process, the panel as a process of its own."""

import asyncio
import gc
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
import structlog
from fastapi import FastAPI
from structlog.dev import ConsoleRenderer, plain_traceback
from tests.forks import Process, start_module

from orca.kit.crypto import SecretBox, load_key
from orca.settings import Settings

# Without the local variables of every frame: drawing those takes seconds for one crash.
structlog.configure(processors=[ConsoleRenderer(colors=False, exception_formatter=plain_traceback)])

gc.disable()  # until all tests are collected: what collecting makes stays, and looking through it takes a third of the time

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell that runs the tests in its background wants that
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Making examples takes as long as the other workers of this machine let it.
hypothesis.settings.register_profile("orca", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("orca")

pytest_plugins = ["tests.sampling"]

ROOT = Path(__file__).parents[1]
OWNER = {"email": "owner@example.org", "name": "Owner", "password": "a-good-long-passphrase"}
API_TOKEN = "tests-tests-tests-tests-tests-tests-tests"
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients that ask over plain HTTP: without it each of them reads all certificates of the machine, which takes 20 ms
of a core, and tests that wait make twenty clients a second."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker drives the browser: its tests look at the clock, and each Chromium takes a core for itself."""
    walks = [item for item in items if item.get_closest_marker("browser")]
    for item in walks:
        item.add_marker(pytest.mark.xdist_group("browser"))
    if walks:
        from playwright.sync_api import expect

        expect.set_options(timeout=20_000)  # a panel on busy cores answers late; what must be quick says so itself


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition, *, seconds: float = 30, every: float = 0.05, what: str = "the condition"):
    """Poll until something is truthy; the deadline is the test's failure."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(every)
    raise AssertionError(f"{what} did not come true within {seconds:g} s")


# ── databases ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server of this test run: base URL without a database name."""
    binaries = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    folder = Path(tempfile.mkdtemp(prefix="orca-postgres-"))
    account = pwd.getpwnam("postgres")
    os.chown(folder, account.pw_uid, account.pw_gid)
    port = free_port()
    as_postgres = {"user": account.pw_uid, "group": account.pw_gid, "cwd": "/", "check": True, "capture_output": True}
    subprocess.run([binaries / "initdb", "-D", folder / "data", "-A", "trust", "-U", "orc"], **as_postgres)
    options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off -c max_connections=200"
    log = folder / "log"
    subprocess.run([binaries / "pg_ctl", "-D", folder / "data", "-o", options, "-l", log, "-w", "start"], **as_postgres)
    yield f"postgresql://orc@127.0.0.1:{port}"
    subprocess.run([binaries / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop"], **as_postgres)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest, postgres_server: str) -> Iterator[str]:
    """A database of this test: a copy where it wants a claimed instance or tables, else an empty one."""
    import psycopg

    made = next((seed for wish, seed in POSTGRES_SEEDS.items() if wish in request.fixturenames), None)
    template = request.getfixturevalue(made) if made else "template1"
    name = f"t{os.getpid()}_{time.monotonic_ns()}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield f"{postgres_server}/{name}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


POSTGRES_SEEDS = {"app": "claimed_postgres", "db": "tables_postgres"}
"""What a test asks for -> the fixture with the name of the database to copy."""


@pytest.fixture(scope="session")
def claimed_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a claimed instance on SQLite: copied by each test, which is quicker than migrating."""
    folder = tmp_path_factory.mktemp("claimed") / "data"
    _run_elsewhere(_make_claimed(make_settings(folder)))
    return folder


@pytest.fixture(scope="session")
def claimed_postgres(claimed_data: Path, postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database for the key and the id of `claimed_data`."""
    import psycopg

    folder = tmp_path_factory.mktemp("claimed-postgres") / "data"
    folder.mkdir(mode=0o700)
    shutil.copy(claimed_data / "secret.key", folder)
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE claimed")
    _run_elsewhere(_make_claimed(make_settings(folder, database_url=f"{postgres_server}/claimed")))
    return "claimed"


@pytest.fixture(scope="session")
def tables_postgres(postgres_server: str) -> str:
    """A database with all tables and no rows."""
    import psycopg

    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE tables")
    _make_tables(f"{postgres_server}/tables".replace("postgresql:", "postgresql+psycopg:"))
    return "tables"


@pytest.fixture(scope="session")
def tables_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with all tables and no rows."""
    path = tmp_path_factory.mktemp("tables") / "orc.db"
    _make_tables(f"sqlite:///{path}")
    return path


def _make_tables(url: str) -> None:
    from sqlalchemy import create_engine

    from orca.db import Base
    from orca.features import load_features

    load_features()
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    engine.dispose()


async def _make_claimed(settings: Settings) -> None:
    async with running_app(settings) as running:
        await claim(running)


def _run_elsewhere(work: Coroutine[Any, Any, None]) -> None:
    """In a thread, so that the loop of the tests is left alone."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result(60)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str | None:
    """None for SQLite in the data directory, or a PostgreSQL URL: the same test on both."""
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else None


# ── the application in this process ──────────────────────────────────────────────────────────────────────────────


def make_settings(data_dir: Path, **overrides: object) -> Settings:
    """Settings of a test: own data directory, own ports, loopback only, no tasks unless asked."""
    values: dict[str, object] = {
        "port": free_port(),
        "worker": False,
        "data": {"dir": data_dir},
        "auth": {"token": API_TOKEN},
        "log": {"level": "warning", "format": "text"},
        "logs": {"stored": False},
        "proxy": {"mode": "process", "http_port": free_port(), "https_port": free_port(), "bind": ("127.0.0.1",)},
    }
    return Settings(**{**values, **overrides})


@asynccontextmanager
async def running_app(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application with its lifespan; no server, no worker."""
    from orca.app import create_app

    app = create_app(settings)
    try:
        async with app.router.lifespan_context(app):
            yield app
    finally:
        stop_proxy(settings.data_dir / "proxy")


@asynccontextmanager
async def client_of(app: FastAPI, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("127.0.0.1", 50000))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
        yield client


@pytest.fixture
async def app(tmp_path: Path, claimed_data: Path) -> AsyncIterator[FastAPI]:
    """A claimed instance on SQLite (see `client`)."""
    copy_claimed(claimed_data, tmp_path / "data", None)
    async with running_app(make_settings(tmp_path / "data")) as running:
        yield running


def copy_claimed(source: Path, data_dir: Path, database_url: str | None) -> None:
    """A data directory that is claimed; with PostgreSQL only its key, for the database is a copy of its own."""
    if database_url is None:
        shutil.copytree(source, data_dir)
    else:
        data_dir.mkdir(mode=0o700)
        shutil.copy(source / "secret.key", data_dir)


async def claim(app: FastAPI) -> None:
    """Make the first owner."""
    token = (app.state.settings.data_dir / "claim-token").read_text().strip()
    async with client_of(app) as client:
        answer = await client.post("/api/v1/claim", json={**OWNER, "token": token})
        assert answer.status_code in {200, 201}, answer.text


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Calls the API as the instance's administrator."""
    async with client_of(app, Authorization=f"Bearer {API_TOKEN}") as http:
        yield http


@pytest.fixture
async def anonymous(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Calls the API without signing in."""
    async with client_of(app) as http:
        yield http


# ── the panel as a process ───────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Panel:
    """`orc serve` of this test: with worker, Docker and an embedded proxy of its own."""

    data_dir: Path
    port: int
    http_port: int
    https_port: int
    env: dict[str, str] = field(default_factory=dict)
    process: Process | None = None
    python: str = sys.executable
    real: bool = False
    """Start Python anew, for a test of the start itself or of what a process holds."""
    arguments: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def log(self) -> str:
        return (self.data_dir / "server.log").read_text()

    @property
    def instance(self) -> str:
        box = SecretBox(load_key(self.data_dir / "secret.key"))
        return box.sign("instance").replace("-", "").replace("_", "").lower()[:8]

    def start(self, **env: str) -> None:
        with (self.data_dir / "server.log").open("ab") as log:
            self.process = start_module(
                "orca.server.serve", *self.arguments, env={**self.env, **env}, output=log, python=self.python,
                real=self.real,
            )  # fmt: skip

    def wait_ready(self, seconds: float = 40) -> None:
        def ready() -> bool:
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(f"the panel ended with {self.process.returncode}:\n{self.log[-4000:]}")
            try:
                return httpx.get(f"{self.url}/api/health", timeout=2, verify=NO_TLS).status_code == 200
            except httpx.HTTPError:
                return False

        until(ready, seconds=seconds, what="the panel is ready")

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.kill()
                raise

    def client(self, **kwargs: object) -> httpx.Client:
        """As the local user, through the private socket."""
        transport = httpx.HTTPTransport(uds=str(self.data_dir / "orc.sock"), verify=NO_TLS)
        return httpx.Client(transport=transport, base_url="http://localhost", timeout=30, **kwargs)

    def site(self, hostname: str, path: str = "/", **kwargs: object) -> httpx.Response:
        """Ask the proxy for a hostname over plain HTTP."""
        url = f"http://127.0.0.1:{self.http_port}{path}"
        return httpx.get(url, headers={"Host": hostname}, timeout=10, verify=NO_TLS, **kwargs)


def make_panel(data_dir: Path, **env: str) -> Panel:
    data_dir.mkdir(parents=True, exist_ok=True)
    panel = Panel(data_dir, free_port(), free_port(), free_port())
    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith("ORC_") and key != "DATABASE_URL"
    }
    panel.env = {
        **inherited, "ORC_DATA_DIR": str(data_dir), "ORC_PORT": str(panel.port), "ORC_LOG_FORMAT": "text",
        "ORC_PROXY_MODE": "process", "ORC_PROXY_BIND": "127.0.0.1", "ORC_PROXY_HTTP_PORT": str(panel.http_port),
        "ORC_PROXY_HTTPS_PORT": str(panel.https_port), "ORC_AUTH_TOKEN": API_TOKEN, **env,
    }  # fmt: skip
    return panel


def remove_all_of(panel: Panel) -> None:
    """Everything this panel made on the shared engine, by its own label; and its proxy process."""
    docker = docker_client()
    mine = f"label=orca.instance={panel.instance}"
    for kind, listing in (
        ("container", ["ps", "-aq"]),
        ("volume", ["volume", "ls", "-q"]),
        ("network", ["network", "ls", "-q"]),
    ):
        ids = subprocess.run(
            [docker, *listing, "--filter", mine], capture_output=True, text=True, check=True
        ).stdout.split()
        force = ["-f"] if kind != "network" else []
        for each in ids:  # one by one: Docker 20.10 locks up for good when many containers end at once
            subprocess.run([docker, kind, "rm", *force, each], capture_output=True, check=False)
    images = subprocess.run([docker, "images", "-q", "--filter", mine], capture_output=True, text=True, check=True)
    if images.stdout.split():
        subprocess.run([docker, "rmi", "-f", *set(images.stdout.split())], capture_output=True, check=False)
    stop_proxy(panel.data_dir / "proxy")


def stop_proxy(folder: Path) -> None:
    """End the embedded proxy that outlived its panel, by the process id it wrote."""
    import psutil

    if not folder.exists():
        return
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in argument for argument in process.info["cmdline"] or []):
            process.kill()
            process.wait(5)


def docker_client() -> str:
    for candidate in ("/usr/bin/docker", shutil.which("docker") or ""):
        if candidate and Path(candidate).exists():
            return candidate
    raise AssertionError("no docker client: run scripts/test, which installs one")


@pytest.fixture(scope="session")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file as the migrations leave it, for panels of tests that are not about the first start."""
    from orca.migrations import upgrade

    folder = tmp_path_factory.mktemp("schema")
    upgrade(make_settings(folder).database)
    return folder / "orc.db"


def copy_schema(schema: Path, panel: Panel) -> Panel:
    """Spare a new panel the process that migrates."""
    shutil.copy(schema, panel.data_dir)
    return panel


@pytest.fixture
def panel(tmp_path: Path, schema: Path) -> Iterator[Panel]:
    """A running panel, not claimed; its command socket works without."""
    with running_panel(copy_schema(schema, make_panel(tmp_path / "panel"))) as made:
        yield made


@contextmanager
def running_panel(made: Panel) -> Iterator[Panel]:
    """Start a panel; at the end it is stopped, and all that it made is removed."""
    made.start()
    try:
        made.wait_ready()
        yield made
    finally:
        made.stop()
        remove_all_of(made)
