# ruff: noqa: S101 - assertions are what a test suite is made of
"""The conformance suite of connectors, and an in-memory connector for other tests.

A provider's author writes::

    class TestMyConnector(ConnectorConformance):
        @pytest.fixture
        async def connector(self):
            async with MyConnectorProvider().open(MyConfig(...)) as connector:
                yield connector

The system behind the fixture must have `true false echo cat env pwd sleep`, as every Unix has.
The suite needs pytest and pytest-asyncio in `auto` mode.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import ClassVar, Literal

import pytest
from pydantic import BaseModel

from orca.errors import DeadlineExceeded, ProviderUnavailable
from orca.sdk.connectors import (
    Command,
    CommandResult,
    Connector,
    OutputSink,
    SupportsAddresses,
    SupportsConnections,
    SupportsDiskUsage,
    SupportsSockets,
)

Emit = Callable[[Literal["stdout", "stderr"], bytes], Awaitable[None]]
Program = Callable[[Command, Emit], Awaitable[int]]
"""A program of the fake system: takes the command and a function that writes, and returns the exit code."""


@dataclass(frozen=True, slots=True)
class EchoAddresses:
    """Two addresses of the system: one where a server returns what it is sent, one where nothing listens."""

    open: tuple[str, int]
    closed: tuple[str, int]


_STOPPED_SOON = 8.0
"""Seconds within which a deadline or a cancellation must have ended a command, grace included."""


class ConnectorConformance:
    """Subclass it and define a `connector` fixture, and `listener` where its system is not this machine."""

    @pytest.fixture
    async def listener(self) -> AsyncIterator[EchoAddresses]:
        """A server on this machine, on a port of the loopback."""

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(1024):
                writer.write(data)
            writer.close()

        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            unused = await asyncio.start_server(echo, "127.0.0.1", 0)
            closed = unused.sockets[0].getsockname()[1]
            unused.close()
            yield EchoAddresses(("127.0.0.1", port), ("127.0.0.1", closed))

    async def test_exit_code_is_a_result(self, connector: Connector) -> None:
        """A non-zero exit is an answer, not an error."""
        assert (await connector.run(Command(("true",), deadline=30))).exit_code == 0
        assert (await connector.run(Command(("false",), deadline=30))).exit_code == 1

    async def test_arguments_arrive_as_they_are(self, connector: Connector) -> None:
        """Nothing between the caller and the program reads an argument."""
        hostile = "a b;c|d&e>f<g`h`$(i)${j}'k'\"l\"\\m\nn*o?~p%q"
        result = await connector.run(Command(("echo", hostile, "$HOME", ""), deadline=30))
        assert result.stdout.decode() == f"{hostile} $HOME \n"

    async def test_stdin_arrives_byte_for_byte(self, connector: Connector) -> None:
        """Secrets and scripts travel this way."""
        data = bytes(range(256)) * 4096
        result = await connector.run(Command(("cat",), deadline=60, stdin=data, output_limit=len(data)))
        assert result.stdout == data

    async def test_no_stdin_means_end_of_file(self, connector: Connector) -> None:
        """A program that asks for input gets none, rather than waiting for ever."""
        assert (await connector.run(Command(("cat",), deadline=30))).stdout == b""

    async def test_environment_is_the_given_one(self, connector: Connector, monkeypatch: pytest.MonkeyPatch) -> None:
        """Orca's own variables stay with Orca; values keep every character."""
        monkeypatch.setenv("ORC_CANARY", "must-not-travel")
        value = "a b'\"$x=y;"
        result = await connector.run(Command(("env",), deadline=30, env={"GIVEN": value}))
        lines = result.text.splitlines()
        assert f"GIVEN={value}" in lines
        assert not [line for line in lines if "ORC_CANARY" in line]
        assert {"PATH", "HOME", "LANG"} <= {line.partition("=")[0] for line in lines}

    async def test_working_directory(self, connector: Connector) -> None:
        """The program starts where it was told to."""
        assert (await connector.run(Command(("pwd",), deadline=30, cwd="/usr"))).text == "/usr"

    async def test_the_tail_is_kept_and_the_sink_gets_all(self, connector: Connector) -> None:
        """Memory is bounded at any volume; what is kept is the end, where the error is."""
        data = b"".join(b"line %07d\n" % number for number in range(40_000))
        received = bytearray()

        async def sink(stream: str, chunk: bytes) -> None:
            assert stream == "stdout"
            received.extend(chunk)

        result = await connector.run(Command(("cat",), deadline=60, stdin=data, output_limit=1000), sink)
        assert result.stdout == data[-1000:]
        assert bytes(received) == data

    async def test_a_failing_sink_stops_the_command(self, connector: Connector) -> None:
        """Output that cannot be stored must not go on being made."""

        async def sink(_stream: str, _chunk: bytes) -> None:
            raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            await connector.run(Command(("cat",), deadline=30, stdin=b"x"), sink)

    async def test_an_unknown_program_is_explained(self, connector: Connector) -> None:
        """It is the system that lacks something; the message has a next step."""
        with pytest.raises(ProviderUnavailable) as failure:
            await connector.run(Command(("orca-no-such-program",), deadline=30))
        assert failure.value.hint

    async def test_the_deadline_is_kept(self, connector: Connector) -> None:
        """Nothing runs longer than it may."""
        begun = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await connector.run(Command(("sleep", "600"), deadline=0.3))
        assert time.monotonic() - begun < _STOPPED_SOON

    async def test_cancelling_stops_the_command(self, connector: Connector) -> None:
        """The cancellation goes on only when the command has been stopped."""
        running = asyncio.ensure_future(connector.run(Command(("sleep", "600"), deadline=600)))
        await asyncio.sleep(0.3)
        running.cancel()
        begun = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert time.monotonic() - begun < _STOPPED_SOON

    async def test_commands_run_side_by_side(self, connector: Connector) -> None:
        """Output and exit codes of one never turn up at another."""
        commands = [Command(("echo", f"{number}"), deadline=60) for number in range(8)]
        results = await asyncio.gather(*(connector.run(command) for command in commands))
        assert [result.text for result in results] == [f"{number}" for number in range(8)]

    async def test_connections_are_opened_from_the_system(self, connector: Connector, listener: EchoAddresses) -> None:
        """Bytes travel both ways, the end is seen, and an address where nothing listens raises OSError."""
        if not isinstance(connector, SupportsConnections):
            pytest.skip("it opens no connections")
        reader, writer = await connector.open_connection(*listener.open)
        writer.write(b"there and back")
        await writer.drain()
        assert await reader.readexactly(14) == b"there and back"
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        with pytest.raises(ConnectionError):
            await connector.open_connection(*listener.closed)

    async def test_disks_are_those_of_the_system(self, connector: Connector) -> None:
        """The numbers are plausible, and a path that does not exist has none."""
        if not isinstance(connector, SupportsDiskUsage):
            pytest.skip("it measures no disks")
        usage = await connector.measure_disk("/")
        assert usage is not None
        assert 0 <= usage.free <= usage.total
        assert await connector.measure_disk("/orca-no-such-folder") is None

    async def test_addresses_are_those_of_the_system(self, connector: Connector) -> None:
        """Every one is an IP address."""
        if not isinstance(connector, SupportsAddresses):
            pytest.skip("it lists no addresses")
        found = await connector.list_addresses()
        assert found
        assert all(ip_address(address) for address in found)

    async def test_sockets_are_those_of_the_system(self, connector: Connector, listener: EchoAddresses) -> None:
        """A server and a connection to it are there, a port on which nothing listens is not."""
        if not (isinstance(connector, SupportsSockets) and isinstance(connector, SupportsConnections)):
            pytest.skip("it lists no sockets")
        _, writer = await connector.open_connection(*listener.open)
        found = await connector.list_sockets()
        writer.close()
        assert found is not None
        assert {socket.protocol for socket in found if socket.port == listener.open[1] and socket.is_listening} == {
            "tcp"
        }
        assert any(socket.is_connected for socket in found if socket.port == listener.open[1])
        assert not [socket for socket in found if socket.port == listener.closed[1] and socket.is_listening]


class FakeConnector:
    """An in-memory system. `commands` has all commands so far; `programs` adds to or replaces the built-in ones."""

    def __init__(self, programs: Mapping[str, Program] | None = None) -> None:
        self.commands: list[Command] = []
        self.programs: dict[str, Program] = {**_PROGRAMS, **(programs or {})}

    async def run(self, command: Command, on_output: OutputSink | None = None) -> CommandResult:
        """Look the program up by the last part of its path and let it write."""
        self.commands.append(command)
        program = self.programs.get(command.argv[0].rpartition("/")[2])
        if program is None:
            raise ProviderUnavailable(f"There is no program {command.argv[0]}.", hint="Add it to the fake's programs.")
        written = {"stdout": bytearray(), "stderr": bytearray()}

        async def emit(stream: Literal["stdout", "stderr"], data: bytes) -> None:
            written[stream] += data
            if on_output:
                await on_output(stream, data)

        try:
            async with asyncio.timeout(command.deadline):
                code = await program(command, emit)
        except TimeoutError:
            raise DeadlineExceeded(f"{command.argv[0]} did not finish within {command.deadline:g} seconds.") from None
        tails = (bytes(data[max(0, len(data) - command.output_limit) :]) for data in written.values())
        return CommandResult(code, *tails)


class FakeConnectorConfig(BaseModel):
    """A fake system needs no address."""


class FakeConnectorProvider:
    """Opens fake systems; every `open` returns the same one, so that a test can inspect it."""

    name: ClassVar[str] = "fake"
    Config: ClassVar[type[BaseModel]] = FakeConnectorConfig

    def __init__(self, connector: FakeConnector | None = None) -> None:
        self.connector = connector or FakeConnector()

    @asynccontextmanager
    async def open(self, config: BaseModel) -> AsyncIterator[FakeConnector]:
        """Return the fake; the configuration is ignored."""
        del config
        yield self.connector


def answering(text: str = "", *, exit_code: int = 0, stderr: str = "") -> Program:
    """Return a program that always writes the same output."""

    async def program(_command: Command, emit: Emit) -> int:
        if text:
            await emit("stdout", text.encode())
        if stderr:
            await emit("stderr", stderr.encode())
        return exit_code

    return program


async def _echo(command: Command, emit: Emit) -> int:
    await emit("stdout", " ".join(command.argv[1:]).encode() + b"\n")
    return 0


async def _cat(command: Command, emit: Emit) -> int:
    if command.stdin:
        await emit("stdout", command.stdin)
    return 0


async def _env(command: Command, emit: Emit) -> int:
    variables = {"PATH": "/usr/bin:/bin", "HOME": "/root", "LANG": "C.UTF-8", **command.env}
    await emit("stdout", "".join(f"{name}={value}\n" for name, value in variables.items()).encode())
    return 0


async def _pwd(command: Command, emit: Emit) -> int:
    await emit("stdout", f"{command.cwd or '/'}\n".encode())
    return 0


async def _sleep(command: Command, _emit: Emit) -> int:
    await asyncio.sleep(float(command.argv[1]))
    return 0


_PROGRAMS: Mapping[str, Program] = {
    "true": answering(),
    "false": answering(exit_code=1),
    "echo": _echo,
    "cat": _cat,
    "env": _env,
    "pwd": _pwd,
    "sleep": _sleep,
}
