"""Volumes belong to the user that runs; what is in one is given away only on a wish."""

import asyncio
import tarfile
from dataclasses import replace

import pytest
from tests.cancelling import CancelledAt

from orca.providers.engines.docker.ownership import ProcessIdentity, VolumeContents, choose_owner, find_closed, identify
from orca.sdk.containers import SupportsVolumeOwners
from orca.sdk.workloads import Mount, VolumeOwner

USERS = "root:x:0:0:root:/root:/bin/sh\napp:x:1001:1002::/home/app:\nbroken\nodd:x:x:y:::\n"
GROUPS = "root:x:0:\nweb:x:33:other,app\nstaff:x:50:\nbroken\n"


def entry(name: str, uid: int, gid: int, mode: int, kind: bytes = tarfile.DIRTYPE) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.uid, made.gid, made.mode, made.type = uid, gid, mode, kind
    return made


@pytest.mark.parametrize(
    ("user", "identity"),
    [
        ("app", ProcessIdentity(1001, 1002, frozenset({33}))), ("1001", ProcessIdentity(1001, 1002, frozenset({33}))),
        ("app:staff", ProcessIdentity(1001, 50)), ("app:7", ProcessIdentity(1001, 7)), ("10001:10001", ProcessIdentity(10001, 10001)),
        ("10001", ProcessIdentity(10001, 0)), ("missing", ProcessIdentity(0, 0)), ("odd", ProcessIdentity(0, 0)),
    ],
)  # fmt: skip
def test_a_user_is_read_as_the_engine_reads_it(user: str, identity: ProcessIdentity) -> None:
    assert identify(user, USERS, GROUPS) == identity


@pytest.mark.parametrize(
    ("mount", "folder", "wanted"),
    [
        (Mount("v", "/data"), (0, 0, 0o755), (1001, 1002, 0o755)),
        (Mount("v", "/data"), (999, 999, 0o700), (999, 999, 0o700)),
        (Mount("v", "/data", owner="5:6", mode=0o2770), (999, 999, 0o700), (5, 6, 0o2770)),
        (Mount("v", "/data", owner="5"), (0, 0, 0o755), (5, 5, 0o755)),
    ],
)  # fmt: skip
def test_an_empty_volume_gets_an_owner(
    mount: Mount, folder: tuple[int, int, int], wanted: tuple[int, int, int]
) -> None:
    assert choose_owner(mount, entry("data", *folder), ProcessIdentity(1001, 1002)) == wanted


@pytest.mark.parametrize(
    ("folder", "inside", "place"),
    [
        ((1001, 0, 0o755), [], ""), ((0, 0, 0o755), [], "/data"), ((0, 1002, 0o775), [], ""), ((0, 33, 0o775), [], ""),
        ((0, 0, 0o777), [], ""), ((0, 1002, 0o760), [], "/data"),
        ((1001, 0, 0o755), [entry("data/a.db", 0, 0, 0o644, tarfile.REGTYPE)], "/data/a.db"),
        ((1001, 0, 0o755), [entry("data/a.db", 0, 0, 0o666, tarfile.REGTYPE)], ""),
        ((1001, 0, 0o755), [entry("data/own", 1001, 0, 0o444, tarfile.REGTYPE)], ""),
        ((1001, 0, 0o755), [entry("data/lost+found", 0, 0, 0o700)], ""),
        ((1001, 0, 0o755), [entry("data/deep/x", 0, 0, 0o600, tarfile.REGTYPE)], ""),
    ],
)  # fmt: skip
def test_what_is_closed_is_found(folder: tuple[int, int, int], inside: list[tarfile.TarInfo], place: str) -> None:
    seen = VolumeContents("/data", entry("data", *folder), tuple(inside))
    assert find_closed(seen, ProcessIdentity(1001, 1002, frozenset({33}))) == place


@pytest.mark.docker
@pytest.mark.parametrize(
    ("user", "mount", "shown"),
    [
        ("10001:10001", {}, "10001:10001 755"),
        ("", {}, "0:0 755"),
        ("10001:10001", {"owner": "33:34", "mode": 0o2770}, "33:34 2770"),
    ],
    ids=["of the user", "of root", "named"],
)
async def test_a_fresh_volume_belongs_to_the_user_that_runs(trial, user, mount, shown):
    """Before: every fresh volume was root's, and SQLite could not open its file."""
    place = "/var/lib/deep/data"
    spec = trial.spec("a", "stat", "-c", "%u:%g %a", place, user=user)
    lines = await run(trial, spec, (Mount(f"{spec.name}-v", place, **mount),))
    assert lines == [shown]


@pytest.mark.docker
async def test_data_stays_whose_it_is_until_somebody_wishes_otherwise(trial):
    spec = trial.spec("a", "touch", "/data/file")
    mounts = (Mount(f"{spec.name}-v", "/data"),)
    assert await run(trial, spec, mounts) == []
    host = trial.host
    assert isinstance(host, SupportsVolumeOwners)
    user = trial.spec("b", "sleep", "100", user="10001", mounts=mounts)
    container = next(each for each in await trial.make(user) if each.name == user.name)
    (finding,) = await host.find_unwritable(container.id)
    assert (finding.place, finding.uid, finding.gid) == ("/data", 10001, 0)

    owned = (Mount(f"{spec.name}-v", "/data", owner="10001:7"),)
    helper = trial.spec("c", mounts=owned)
    former = await host.find_owner(helper)
    assert former == VolumeOwner("0:0", 0o755, "0:0")
    told: list[str] = []

    async def before() -> None:
        told.append("before")

    assert await host.own_volume(helper, before=before, deadline=30, progress=quiet)
    assert not await host.own_volume(helper, before=before, deadline=30, progress=quiet)
    assert told == ["before"]
    assert await host.find_unwritable(container.id) == []
    shown = await run(trial, trial.spec("d", "stat", "-c", "%u:%g", "/data", "/data/file"), owned)
    assert shown == ["10001:7", "10001:7"]

    await host.restore_owner(helper, VolumeOwner("8:9", 0o700, "5:6"), deadline=30, progress=quiet)
    shown = await run(trial, trial.spec("e", "stat", "-c", "%u:%g %a", "/data", "/data/file"), mounts)
    assert shown == ["8:9 700", "5:6 644"]

    await host.restore_owner(helper, VolumeOwner("0:0", 0o755, ""), deadline=30, progress=quiet)
    shown = await run(trial, trial.spec("f", "stat", "-c", "%u:%g %a", "/data", "/data/file"), mounts)
    assert shown == ["0:0 755", "5:6 644"]


async def quiet(_line: str) -> None:
    return None


async def run(trial, spec, mounts):

    lines: list[str] = []

    async def keep(line: str) -> None:
        lines.append(line)

    assert await trial.host.run_once(replace(spec, mounts=mounts), deadline=30, progress=keep) == 0, lines
    return lines


@pytest.mark.docker
async def test_a_creation_cancelled_at_any_wait_is_finished_before_the_start(trial):
    """A container that was there, but not made ready, was started as it was: it could not write to its volume."""
    is_cancelled, point = True, 0
    while is_cancelled:
        point += 4
        mounts = (Mount(f"{trial.id}-v{point}", "/data"),)
        spec = trial.spec(f"c{point}", "sleep", "100", user="10001:10001", mounts=mounts)
        creating = trial.host.apply(trial.host.plan([], [spec])[:1])
        (outcome,) = await asyncio.gather(CancelledAt(creating, point), return_exceptions=True)
        is_cancelled = isinstance(outcome, asyncio.CancelledError)
        current = [each for each in await trial.inspect() if each.name == spec.name]
        await trial.host.apply(trial.host.plan(current, [spec]))
        (container,) = [each for each in await trial.inspect() if each.name == spec.name]
        assert await trial.host.find_unwritable(container.id) == [], point
        await trial.host.remove(container.id)
    assert point > 5
