"""Commands inside a running container.

The Engine API can start a process in a container but not stop one, and closing the connection leaves it running.
So the process is killed from outside, by its process id on the host, through the connector to that host, after its
cgroup has confirmed that the id still belongs to the container. Where Orca may not do that (another user, another
machine's ids), the container's own programs are used from inside. Each exec is a session leader; its whole session is
killed.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

from orca.errors import DeadlineExceeded, OrcaError, RequestRefused
from orca.kit.cancellation import shield_until_done
from orca.kit.tail import Tail
from orca.providers.engines.docker.connection import QUICK, ApiRequest, DockerConnection
from orca.providers.engines.docker.frames import FrameDecoder
from orca.sdk.connectors import Command, CommandResult, Connector

_OUTPUT_LIMIT = 1 << 20
_POLL = 0.05
_ROUNDS = 3
_PATIENCE = 2.0
"""Seconds to wait for a process to appear, to be killed, or to be gone."""
_NAMESPACED_PID = re.compile(r"^NSpid:.*?(\d+)$", re.MULTILINE)


class Execs:
    """Runs commands inside containers of one engine."""

    def __init__(self, connection: DockerConnection, connector: Connector) -> None:
        self._connection = connection
        self._connector = connector

    async def run(self, container_id: str, argv: Sequence[str], deadline: float) -> CommandResult:
        """Run a command; return its exit code and the last MiB of each stream."""
        if not argv:
            raise RequestRefused("A command needs a program.")
        exec_id = await self.prepare(container_id, {"Cmd": list(argv)})
        timer = asyncio.timeout(deadline)
        try:
            async with timer:
                return await self._collect(exec_id)
        except TimeoutError:
            if not timer.expired():
                raise
            gone = await shield_until_done(self.kill(exec_id, container_id))
            raise DeadlineExceeded(
                f"{argv[0]} did not finish within {deadline:g} seconds"
                + (" and was killed." if gone else ", and could not be killed."),
                hint="Give it more time." if gone else "It may still run; restart the container to be sure.",
            ) from None
        except asyncio.CancelledError:
            await shield_until_done(self.kill(exec_id, container_id))
            raise

    async def prepare(self, container_id: str, options: Mapping[str, Any]) -> str:
        """Create an exec and return its id. Its process does not run yet."""
        body = {"AttachStdout": True, "AttachStderr": True, **options}
        created = await self._connection.post(
            "run a command in a container", f"containers/{container_id}/exec", body=body, deadline=QUICK
        )
        return str(created["Id"])

    async def _collect(self, exec_id: str) -> CommandResult:
        tails = {"stdout": Tail(_OUTPUT_LIMIT), "stderr": Tail(_OUTPUT_LIMIT)}
        decoder = FrameDecoder()
        request = ApiRequest("POST", f"exec/{exec_id}/start", body={"Detach": False, "Tty": False})
        async with self._connection.stream("run a command in a container", request) as response:
            async for chunk in response.aiter_raw():
                for stream, data in decoder.feed(chunk):
                    tails[stream].add(data)
        return CommandResult(await self.wait(exec_id), tails["stdout"].bytes(), tails["stderr"].bytes())

    async def wait(self, exec_id: str) -> int:
        """Return the exit code of a process whose output has ended."""
        while (facts := await self._inspect(exec_id))["Running"]:  # noqa: ASYNC110 - the engine sets no event
            await asyncio.sleep(_POLL)
        return int(facts["ExitCode"] or 0)

    async def _inspect(self, exec_id: str) -> dict[str, Any]:
        facts: dict[str, Any] = await self._connection.get("look at a command in a container", f"exec/{exec_id}/json")
        return facts

    async def kill(self, exec_id: str, container_id: str) -> bool:
        """Kill the process and its session, or what it left of it. True only when all of them are certainly gone."""
        try:
            leader = await self._find_pid(exec_id)
            if leader is None:
                return True
            for _ in range(_ROUNDS):  # a killed process may have started another one just before
                members = await self._list_session(exec_id, leader, container_id)
                if not members:
                    break
                if not await self._kill_from_outside(members):
                    await self._kill_from_inside(members, container_id)
            return await self._is_gone(exec_id) and not await self._list_session(exec_id, leader, container_id)
        except (OrcaError, TimeoutError):
            return False  # the caller gets the deadline's error, not this one

    async def _list_session(self, exec_id: str, leader: int, container_id: str) -> list[int]:
        """Return the living processes of a session by host id, only those that are certainly in the container."""
        is_running = (await self._inspect(exec_id))["Running"]
        listed = await self._connector.run(
            Command(("ps", "-o", "pid=", "-o", "stat=", "-s", f"{leader}"), deadline=_PATIENCE)
        )
        pids = set(parse_processes(listed.text))
        if is_running:
            pids.add(leader)
        elif leader in pids:  # another process, with a session of its own: no id is reused while its session is there
            return []
        places = await asyncio.gather(*(self._read_proc("cgroup", pid) for pid in pids))
        return sorted(pid for pid, place in zip(pids, places, strict=True) if container_id in place)

    async def _kill_from_outside(self, pids: Sequence[int]) -> bool:
        return (await self._connector.run(Command(render_kill(pids), deadline=_PATIENCE))).exit_code == 0

    async def _kill_from_inside(self, pids: Sequence[int], container_id: str) -> None:
        inner = [int(number) for number in _NAMESPACED_PID.findall(await self._read_proc("status", *pids))]
        if not inner:  # they have ended meanwhile
            return
        exec_id = await self.prepare(container_id, {"User": "0", "Cmd": list(render_kill(inner))})
        async with asyncio.timeout(_PATIENCE):
            await self._collect(exec_id)

    async def _find_pid(self, exec_id: str) -> int | None:
        """Return the process id on the host; None when it never ran. Waits, since it may be about to start."""
        for _ in range(round(_PATIENCE / _POLL)):
            facts = await self._inspect(exec_id)
            if facts["Pid"]:
                return int(facts["Pid"])
            await asyncio.sleep(_POLL)
        return None

    async def _read_proc(self, name: str, *pids: int) -> str:
        files = (f"/proc/{pid}/{name}" for pid in pids)
        return (await self._connector.run(Command(("cat", *files), deadline=_PATIENCE))).text

    async def _is_gone(self, exec_id: str) -> bool:
        for _ in range(round(_PATIENCE / _POLL)):
            if not (await self._inspect(exec_id))["Running"]:
                return True
            await asyncio.sleep(_POLL)
        return False


def parse_processes(table: str) -> list[int]:
    """Return the ids in lines like `19234 Ss`, without zombies."""
    rows = (line.split() for line in table.splitlines())
    return [int(row[0]) for row in rows if len(row) == len(("pid", "state")) and row[0].isdigit() and row[1][0] != "Z"]


def render_kill(pids: Sequence[int]) -> tuple[str, ...]:
    """Return a command that kills processes one by one, never as a group.

    Debian's `kill` reads `-KILL -19234` as `-1`, which ends every process of the machine.
    """
    if not pids or min(pids) <= 1:
        raise RequestRefused("Groups of processes and process 1 are never killed.")
    return ("kill", "-KILL", *(f"{pid}" for pid in pids))
