"""A real Docker, an image of busybox, and engines whose every trace is removed again."""

import io
import secrets
import subprocess
import tarfile
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from tests.conftest import NO_TLS

pytest.register_assert_rewrite("orca.sdk.testing.containers", "orca.sdk.testing.engines")

from orca.providers.connectors.local import LocalConnector  # noqa: E402 - after the line above
from orca.providers.engines.docker import DockerEngine, DockerHostProvider  # noqa: E402
from orca.sdk.testing.containers import HostTrial  # noqa: E402

SOCKET = "/var/run/docker.sock"
APPLETS = (
    "cat",
    "chown",
    "dd",
    "echo",
    "false",
    "head",
    "kill",
    "nc",
    "printf",
    "rm",
    "sh",
    "sleep",
    "stat",
    "touch",
    "tr",
    "true",
)


def busybox_tree() -> bytes:
    """A root file system with one static binary and names for its applets; a layer that no other image has."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add("/bin/busybox", "bin/busybox")
        for applet in APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        unique = tarfile.TarInfo("unique")
        unique.size = 1 << 17
        archive.addfile(unique, io.BytesIO(secrets.token_bytes(unique.size)))
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        archive.addfile(folder)
    return buffer.getvalue()


def import_image(*changes: str) -> str:
    """Make an image of busybox; its id."""
    options = [option for change in changes for option in ("--change", change)]
    made = subprocess.run(
        ["docker", "import", *options, "-"], input=busybox_tree(), capture_output=True, check=True, timeout=60
    )
    return made.stdout.decode().strip()


def docker(*arguments: str, check: bool = True) -> str:
    """The command line client, for what a person would do by hand."""
    return subprocess.run(
        ["docker", *arguments], capture_output=True, check=check, text=True, timeout=60
    ).stdout.strip()


@pytest.fixture(scope="session")
def by_hand():
    """What a person does with the command line client."""
    return docker


@pytest.fixture
def make_image():
    """Makes images with their own settings (`LABEL a=b`, `CMD …`), and removes them."""
    made = []

    def make(*changes):
        made.append(import_image(*changes))
        return made[-1]

    yield make
    for each in made:
        docker("rmi", "--force", each, check=False)


@pytest.fixture
async def trial(host, image):
    trial = HostTrial(host, image)
    yield trial
    await trial.clean()


@pytest.fixture(scope="session")
def image():
    made = import_image("EXPOSE 8080/tcp 53/udp 80")
    yield made
    docker("rmi", "--force", made)


@pytest.fixture
async def raw():
    """The Engine API without Orca."""
    transport = httpx.AsyncHTTPTransport(uds=SOCKET, verify=NO_TLS)
    async with httpx.AsyncClient(base_url="http://docker", transport=transport, timeout=60) as session:

        async def call(method, path, **options):
            response = await session.request(method, f"/v1.41/{path}", **options)
            return response.status_code, response.text

        yield call


@pytest.fixture
def instance():
    """An instance of the test's own; what it leaves behind is removed."""
    name = f"test-{secrets.token_hex(4)}"
    yield name
    label = f"label=orca.instance={name}"
    for kind, command in (("container", "rm --force"), ("network", "rm"), ("volume", "rm"), ("image", "rm --force")):
        every = ["--all"] if kind == "container" else []
        ids = docker(kind, "ls", *every, "--quiet", "--filter", label).split()
        if ids:
            docker(kind, *command.split(), *sorted(set(ids)))


@pytest.fixture
async def open_host(instance):
    """Opens hosts; several of one instance, or one with other settings."""
    async with AsyncExitStack() as opened:

        async def open_one(connector=None, **settings):
            provider = DockerHostProvider()
            config = provider.Config(**{"instance": instance, **settings})
            return await opened.enter_async_context(provider.open(config, connector or LocalConnector()))

        yield open_one


@pytest.fixture
async def host(open_host):
    return await open_host()


@pytest.fixture
def scratch(tmp_path_factory) -> Path:
    """A short path, for sockets have room for a hundred characters only."""
    return tmp_path_factory.mktemp("s")


@pytest.fixture
def engine(host):
    return DockerEngine(host)
