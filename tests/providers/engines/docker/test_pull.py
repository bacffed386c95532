"""Pulls from a real registry with accounts, and from ones that are dead, silent or damaged."""

import asyncio
import base64
import contextlib
import hashlib
import json
import secrets
import shutil
import socket
import subprocess
import time
from contextlib import asynccontextmanager

import pytest

from orca.errors import CredentialsRejected, ProviderUnavailable, RequestRefused
from orca.sdk.containers import RegistryLogin

pytestmark = pytest.mark.docker

PASSWORD = "canary-right-password"
ACCOUNT = "orca:$2a$04$Dw/aY3.tJZ126lU3M2s98On9xOsqjPaM4FOHHL3PnsPHg./VXYkfm"
CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: "{address}"}}
auth: {{htpasswd: {{realm: orca-test, path: {folder}/accounts}}}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_port(port):
    until = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


@pytest.fixture
def registry(tmp_path):
    """The address of Debian's docker-registry, with one account and nothing in it."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    (tmp_path / "accounts").write_text(f"{ACCOUNT}\n")
    (tmp_path / "registry.yml").write_text(CONFIG.format(folder=tmp_path, address=address))
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(tmp_path / "registry.yml")], stderr=log, stdout=log)
    await_port(port)
    yield address
    process.terminate()
    process.wait(10)


@pytest.fixture
def login(registry):
    return RegistryLogin(registry, "orca", PASSWORD)


@pytest.fixture
async def pushed(registry, raw, make_image, by_hand):
    """An image in the registry that the engine does not have."""
    image = make_image('CMD ["true"]')
    repository = f"{registry}/team/app-{secrets.token_hex(4)}"
    credentials = base64.urlsafe_b64encode(json.dumps({"username": "orca", "password": PASSWORD}).encode()).decode()
    by_hand("tag", image, f"{repository}:1")
    status, said = await raw(
        "POST", f"images/{repository}/push", params={"tag": "1"}, headers={"X-Registry-Auth": credentials}
    )
    assert status == 200
    assert "errorDetail" not in said
    by_hand("rmi", "--force", image)
    yield f"{repository}:1"
    for reference in by_hand("images", "--quiet", "--no-trunc", repository).split():
        by_hand("rmi", "--force", reference)


class Listener:
    def __init__(self):
        self.lines = []

    async def __call__(self, line):
        self.lines.append(line)


async def ignore(_line):
    pass


@asynccontextmanager
async def serving(handle):
    """A registry of the test's own; its address. Connections that are still held are closed at the end."""
    handlers = {}

    async def accept(reader, writer):
        handlers[asyncio.current_task()] = writer
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await handle(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await asyncio.sleep(0.1)  # the engine's last connections may have been accepted and not begun
    for writer in handlers.values():
        writer.close()
    await asyncio.gather(*handlers)


async def test_an_image_is_pulled_and_its_digest_known(host, pushed, login):
    listener = Listener()
    image = await host.pull_image(pushed, login, listener)
    assert image.digest.startswith("sha256:")
    assert image.tags == (pushed,)
    assert any(image.digest in line for line in listener.lines)
    pinned = f"{pushed.removesuffix(':1')}@{image.digest}"
    found = await host.find_image(pinned)
    assert (found.id, found.digest) == (image.id, image.digest)
    assert await host.pull_image(pinned, login, ignore) == found
    assert await host.remove_image(pushed)
    assert not await host.remove_image(pushed)


@pytest.mark.parametrize("username", ["orca", "nobody"])
async def test_wrong_credentials_are_the_user_s_to_mend(host, pushed, registry, username):
    login = RegistryLogin(registry, username, "canary-wrong-password")
    with pytest.raises(CredentialsRejected) as failure:
        await host.pull_image(pushed, login, ignore)
    assert registry in failure.value.hint
    assert "canary" not in f"{failure.value.message} {failure.value.hint} {failure.value.details}"
    assert await host.find_image(pushed) is None


async def test_missing_credentials_are_too(host, pushed):
    with pytest.raises(CredentialsRejected, match="without credentials"):
        await host.pull_image(pushed, None, ignore)


async def test_credentials_of_another_registry_are_not_sent(host, pushed):
    with pytest.raises(RequestRefused, match="credentials are for"):
        await host.pull_image(pushed, RegistryLogin("registry.example.org", "orca", PASSWORD), ignore)


@pytest.mark.parametrize("change", [("app-", "no-such-app-"), (":1", ":2"), (":1", f"@sha256:{'0' * 64}")])
async def test_what_is_not_there_is_final(host, pushed, login, change):
    before, _, after = pushed.rpartition(change[0])
    with pytest.raises(RequestRefused) as failure:
        await host.pull_image(before + change[1] + after, login, ignore)
    assert failure.value.hint


@pytest.mark.parametrize("reference", ["App", "a b", "http://127.0.0.1/x", "--help"])
async def test_what_is_no_name_is_refused(host, reference):
    with pytest.raises(RequestRefused):
        await host.pull_image(reference, None, ignore)


async def test_a_dead_registry_may_come_back(host):
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(ProviderUnavailable) as failure:
        await host.pull_image(f"{address}/app:1", None, ignore)
    assert address in failure.value.hint


async def test_a_damaged_registry_is_explained(host, pushed, login, tmp_path):
    """The manifest is there, the layers are not: the failure comes in the middle of the stream."""
    blobs = [path for path in (tmp_path / "data").rglob("blobs/sha256/*/*") if (path / "data").stat().st_size > 1 << 16]
    assert blobs
    for blob in blobs:
        shutil.rmtree(blob)
    with pytest.raises((ProviderUnavailable, RequestRefused)) as failure:
        await host.pull_image(pushed, login, ignore)
    assert pushed in failure.value.message
    assert await host.find_image(pushed) is None


async def test_a_silent_registry_is_given_up(open_host):
    """Nothing ever answers, so the deadline on standstill ends it."""

    async def hold(reader, _writer):
        await reader.read()

    host = await open_host(pull_stall=2)
    begun = time.monotonic()
    async with serving(hold) as address:
        with pytest.raises(ProviderUnavailable, match="no progress for 2 seconds"):
            await host.pull_image(f"{address}/app:1", None, ignore)
    assert time.monotonic() - begun < 25


async def test_a_registry_that_falls_silent_is_given_up(open_host):
    """The manifest comes and half of a layer, and then nothing more."""
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [f"sha256:{'1' * 64}"]}}
    ).encode()
    digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    schema = "application/vnd.docker"
    layer = {
        "mediaType": f"{schema}.image.rootfs.diff.tar.gzip",
        "size": 1_000_000,
        "digest": f"sha256:{secrets.token_hex(32)}",
    }
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{schema}.distribution.manifest.v2+json",
            "config": {"mediaType": f"{schema}.container.image.v1+json", "size": len(config), "digest": digest},
            "layers": [layer],
        }
    ).encode()

    def respond(path):
        if "manifests" in path:
            return manifest, len(manifest)
        if digest in path:
            return config, len(config)
        if "blobs" in path:
            return bytes(500_000), 1_000_000
        return b"{}", 2

    async def serve(reader, writer):
        first = await reader.readexactly(1)
        if first == b"\x16":
            return  # Docker tries TLS first
        method, path, *_ = (first + await reader.readuntil(b"\r\n\r\n")).decode().split()
        body, length = respond(path)
        writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Type: {schema}.distribution.manifest.v2+json\r\n"
            f"Docker-Distribution-Api-Version: registry/2.0\r\nConnection: close\r\nContent-Length: {length}\r\n"
            f"Docker-Content-Digest: sha256:{hashlib.sha256(manifest).hexdigest()}\r\n\r\n".encode()
        )
        writer.write(b"" if method == "HEAD" else body)
        await writer.drain()
        if len(body) < length:
            await reader.read()

    host = await open_host(pull_stall=2)
    listener = Listener()
    async with serving(serve) as address:
        with pytest.raises(ProviderUnavailable, match="no progress for 2 seconds"):
            await host.pull_image(f"{address}/app:1", None, listener)
    assert any("Pulling from app" in line for line in listener.lines)


async def test_images_are_listed_by_label_and_only_ours(host, instance, make_image):
    ours = make_image(f"LABEL orca.instance={instance}", "LABEL orca.service=a", "EXPOSE 8080/tcp 53/udp 80")
    make_image("LABEL orca.instance=somebody-else", "LABEL orca.service=a")
    (found,) = await host.list_images({"orca.service": "a"})
    assert found.id == ours
    assert found.ports == (80, 8080)
    assert found.digest is None
    assert found.created_at.year >= 2026
    assert await host.list_images({"orca.service": "b"}) == []
    assert [image.id for image in await host.list_images({"orca.service": ""})] == [ours]


async def test_an_image_that_a_stopped_container_needs_stays(trial):
    spec = trial.spec("web", "true", restart="no")
    await trial.make(spec)
    await trial.reach(spec, "exited")
    assert await trial.host.remove_image(trial.image) is False
    assert await trial.host.find_image(trial.image)
