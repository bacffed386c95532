"""An engine that does not answer is unknown, never gone."""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import pytest

import orca
from orca.errors import ProviderUnavailable
from orca.sdk.engines import EngineUnreachable

pytestmark = pytest.mark.docker


async def ignore(_line):
    pass


def every_observation(host):
    return [
        host.info(),
        host.inspect({}),
        host.find_image("hello:1"),
        host.list_images({}),
        host.list_volumes({}),
        host.remove("0123456789ab"),
        host.stop("0123456789ab", grace=1),
        host.remove_network("orca-net"),
        host.remove_volume("orca-data"),
        host.remove_image("hello:1"),
        host.exec("0123456789ab", ("true",), deadline=1),
        host.stats("0123456789ab"),
        host.pull_image("127.0.0.1:9/a", None, ignore),
        anext(host.logs("0123456789ab", tail=1, follow=True)),
    ]


async def test_no_socket_at_all(open_host, scratch):
    host = await open_host(host=f"unix://{scratch}/docker.sock")
    for call in every_observation(host):
        with pytest.raises(ProviderUnavailable) as failure:
            await call
        assert "systemctl start docker" in failure.value.hint


async def test_a_socket_nobody_listens_on(open_host, scratch):
    server = await asyncio.start_unix_server(lambda _r, w: w.close(), scratch / "docker.sock")
    server.close()
    await server.wait_closed()
    host = await open_host(host=f"unix://{scratch}/docker.sock")
    with pytest.raises(ProviderUnavailable) as failure:
        await host.inspect({})
    assert "systemctl start docker" in failure.value.hint


@pytest.fixture
async def silent_daemon(scratch):
    """Accepts and never answers."""
    writers = []

    async def hold(_reader, writer):
        writers.append(writer)

    server = await asyncio.start_unix_server(hold, scratch / "docker.sock")
    yield f"unix://{scratch}/docker.sock"
    server.close()
    for writer in writers:
        writer.close()


async def test_a_daemon_that_hangs_holds_nobody_up(open_host, silent_daemon):
    """Many calls at once share the wait."""
    host = await open_host(host=silent_daemon)
    begun = time.monotonic()
    failures = await asyncio.gather(*every_observation(host), return_exceptions=True)
    assert time.monotonic() - begun < 14
    assert {type(failure) for failure in failures} == {EngineUnreachable}
    assert all("did not answer" in failure.message and failure.hint for failure in failures)


async def test_closing_does_not_wait_for_a_daemon_that_hangs(open_host, silent_daemon, instance):
    from orca.providers.connectors.local import LocalConnector
    from orca.providers.engines.docker import DockerHostProvider

    provider = DockerHostProvider()
    config = provider.Config(instance=instance, host=silent_daemon)
    async with asyncio.timeout(5), provider.open(config, LocalConnector()) as host:
        call = asyncio.ensure_future(host.inspect({}))
        await asyncio.sleep(0.2)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


def answer(body, status="200 OK"):
    data = json.dumps(body).encode()
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    ).encode() + data


@pytest.fixture
async def scripted_daemon(scratch):
    """Answers by path, `/version` well."""
    answers = {"/version": answer({"ApiVersion": "1.41", "MinAPIVersion": "1.12"})}

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode().partition("?")[0]
        writer.write(answers.get(path, answers.get("*", b"")))
        writer.close()

    server = await asyncio.start_unix_server(serve, scratch / "docker.sock")
    yield f"unix://{scratch}/docker.sock", answers
    server.close()


async def test_a_daemon_that_is_too_old_or_too_new_is_explained(open_host, scripted_daemon):
    socket, answers = scripted_daemon
    for newest, oldest, hint in (("1.30", "1.12", "Upgrade Docker"), ("1.99", "1.90", "Upgrade Orca")):
        answers["/version"] = answer({"ApiVersion": newest, "MinAPIVersion": oldest})
        host = await open_host(host=socket)
        with pytest.raises(ProviderUnavailable) as failure:
            await host.inspect({})
        assert hint in failure.value.hint


async def test_many_images_are_looked_at_a_few_at_a_time(open_host, scratch):
    """Five hundred connections in one instant are more than some daemons take."""
    listed = [{"Id": f"sha256:{number:064x}"} for number in range(100)]
    facts = {"RepoTags": ["a:1"], "RepoDigests": [], "Size": 1, "Created": "2026-11-21T02:57:42Z", "Config": {}}
    open_now, most = 0, 0

    async def serve(reader, writer):
        nonlocal open_now, most
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode().partition("?")[0]
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0.02)
        open_now -= 1
        if path == "/version":
            writer.write(answer({"ApiVersion": "1.41", "MinAPIVersion": "1.12"}))
        elif path.endswith("/images/json"):
            writer.write(answer(listed))
        else:
            writer.write(answer(facts | {"Id": path.split("/")[3]}))
        writer.close()

    server = await asyncio.start_unix_server(serve, scratch / "docker.sock", backlog=500)
    host = await open_host(host=f"unix://{scratch}/docker.sock")
    assert [image.id for image in await host.list_images({})] == [each["Id"] for each in listed]
    assert most <= 16
    server.close()


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[{",
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        answer({"message": "database is locked"}, "500 Internal Server Error"),
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[{",
        answer({"unknown": "form"}, "500 Internal Server Error"),
        b"SSH-2.0-OpenSSH\r\n",
    ],
)
async def test_broken_answers_are_unknown_too(open_host, scripted_daemon, wire):
    socket, answers = scripted_daemon
    answers["*"] = wire
    host = await open_host(host=socket)
    for call in (host.inspect({}), host.find_image("hello:1")):
        with pytest.raises(ProviderUnavailable) as failure:
            await call
        assert failure.value.hint
    answers["/version"] = wire
    host = await open_host(host=socket)
    for call in (host.inspect({}), host.info()):
        with pytest.raises(ProviderUnavailable) as failure:
            await call
        assert failure.value.hint


ORDINARY_USER = """
import asyncio, os, sys
import anyio._backends._asyncio, httpcore  # while the files can be read
from orca.errors import ProviderUnavailable
from orca.sdk.engines import EngineUnreachable
from orca.providers.engines.docker.connection import DockerConnection

async def main():
    connection = DockerConnection(sys.argv[1])
    if os.geteuid() == 0:
        os.setuid(65534)
    try:
        await connection.get("list volumes", "volumes")
    except ProviderUnavailable as failure:
        print(failure.hint)
    await connection.close()

asyncio.run(main())
"""


async def test_a_user_who_may_not_is_told_how(scratch):
    server = await asyncio.start_unix_server(lambda _r, w: w.close(), scratch / "docker.sock")
    (scratch / "docker.sock").chmod(0)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", ORDINARY_USER, f"unix://{scratch}/docker.sock"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(orca.__file__).parents[1])},
    )
    said, _ = await process.communicate()
    server.close()
    assert b"group `docker`" in said
