"""What may be killed: single processes, never a group, never process 1."""

import pytest

from orca.errors import RequestRefused
from orca.providers.engines.docker.execs import Execs, parse_processes, render_kill
from orca.sdk.connectors import CommandResult


def test_processes_are_named_one_by_one():
    assert render_kill([19234, 19240]) == ("kill", "-KILL", "19234", "19240")


@pytest.mark.parametrize("pids", [[], [1], [0], [-1], [-19234], [19234, 1], [19234, -1]])
def test_groups_and_the_first_process_are_refused(pids):
    with pytest.raises(RequestRefused):
        render_kill(pids)


def test_zombies_and_what_is_no_table_are_passed_over():
    table = " 19234 Ss\n19240 S+\n19241 Z\nusage: ps [-o]\n  PID USER\n12\n"
    assert parse_processes(table) == [19234, 19240]


class Ended:
    """An engine that says of every exec that it has ended."""

    async def get(self, _doing, _path):
        return {"Running": False, "Pid": 19234, "ExitCode": 0}


class Machine:
    """A machine on which the id of that exec is one of another process of the same container."""

    def __init__(self, session):
        self.session, self.ran = session, []

    async def run(self, command):
        self.ran.append(command.argv[0])
        return CommandResult(0, self.session if command.argv[0] == "ps" else b"0::/docker/0123456789ab", b"")


@pytest.mark.parametrize("session", [b"", b"19234 Ss\n19240 S\n"])
async def test_a_process_that_has_the_id_of_an_ended_one_is_left_alone(session):
    machine = Machine(session)
    assert await Execs(Ended(), machine).kill("exec", "0123456789ab")
    assert "kill" not in machine.ran


async def test_what_an_ended_process_left_in_its_session_is_killed():
    machine = Machine(b"19240 S\n")
    assert not await Execs(Ended(), machine).kill("exec", "0123456789ab")  # it is still listed
    assert "kill" in machine.ran
