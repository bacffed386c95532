"""What should run and does not is brought back; what its owner stopped stays stopped; what has no owner is removed."""

import sqlite3

import pytest
from tests.conftest import until
from tests.faults.machine import Machine, web

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("machine"), pytest.mark.timeout(240)]

BACK_SECONDS = 60
SWEPT_SECONDS = 60


def test_a_service_left_stopped_is_started(computer: Machine) -> None:
    removed, rested = computer.make_site("removed"), computer.make_site("rested")
    for site in (removed, rested):
        site.go_live(web(site.name))
    assert rested.wait(rested.post(f"/api/v1/services/{rested.id}/stop")["id"])["state"] == "succeeded"
    [home] = computer.site.containers()
    computer.docker("stop", "--time", "1", home["name"])
    computer.docker("rm", "--force", removed.containers()[0]["name"])
    until(lambda: computer.answers("", computer.site), seconds=BACK_SECONDS, what="the stopped site answers again")
    until(lambda: computer.answers("removed", removed), seconds=BACK_SECONDS, what="the removed site answers again")
    assert [each["name"] for each in computer.site.containers()] == [home["name"]], "it is started where it stood"
    assert rested.containers() == []


def test_orphans_whose_end_is_on_record_are_swept_and_nothing_else(computer: Machine) -> None:
    before = computer.ask()
    computer.make_image("orphan:1")
    ours = f"orca.instance={computer.panel.instance}"
    lost, unknown = (f"orca-0000000{number}-0000-7000-8000-000000000000-0" for number in (0, 1))
    labels = {
        lost: (ours, f"orca.container={lost}"),
        "somebody": (ours,),
        "other": ("orca.instance=another", "orca.container=other"),
        unknown: (ours, f"orca.container={unknown}", "orca.deployment=00000001"),
    }
    for name, marks in labels.items():
        options = [option for mark in ("orca.deployment=00000000", *marks) for option in ("--label", mark)]
        computer.docker("run", "--detach", "--stop-signal", "KILL", "--name", name, *options, "orphan:1")
    computer.docker("volume", "create", "--label", ours, "precious")
    (computer.panel.data_dir / "work" / "00000000" / "tree").mkdir(parents=True)
    computer.panel.kill()  # what must be done is looked at right after a start
    with sqlite3.connect(computer.panel.data_dir / "orc.db") as database:
        database.execute("INSERT INTO tombstones (kind, object_id, at) VALUES ('deployment', '00000000', '2026-01-01')")
    database.close()
    computer.heal()
    until(lambda: lost not in computer.names(), seconds=SWEPT_SECONDS, what="the orphan is swept")
    assert {"somebody", "other", unknown} <= set(computer.names())
    assert "precious" in computer.docker("volume", "ls", "--quiet")
    assert not (computer.panel.data_dir / "work" / "00000000").exists()
    assert computer.ask() == before
    computer.docker("rm", "--force", "somebody", "other", unknown)
