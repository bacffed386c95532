"""What may be killed: single processes, never a group, never process 1."""

import pytest

from orca.errors import RequestRefused
from orca.providers.engines.docker.execs import parse_processes, render_kill


def test_processes_are_named_one_by_one():
    assert render_kill([19234, 19240]) == ("kill", "-KILL", "19234", "19240")


@pytest.mark.parametrize("pids", [[], [1], [0], [-1], [-19234], [19234, 1], [19234, -1]])
def test_groups_and_the_first_process_are_refused(pids):
    with pytest.raises(RequestRefused):
        render_kill(pids)


def test_zombies_and_what_is_no_table_are_passed_over():
    table = " 19234 Ss\n19240 S+\n19241 Z\nusage: ps [-o]\n  PID USER\n12\n"
    assert parse_processes(table) == [19234, 19240]
