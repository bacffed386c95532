"""The control group of a build, in both versions of the kernel's interface."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.cancelling import CancelledAt

from orca.errors import ProviderUnavailable
from orca.kit import cancellation, threads
from orca.providers.builders.buildkit import limits
from orca.providers.builders.buildkit.limits import (
    BuildLimits,
    ControlGroup,
    is_marked,
    limited,
    read_pids,
    render_limits,
)

LIMITS = BuildLimits(cpus=1.5, memory_bytes=256 << 20, reserve_bytes=0)


async def measure() -> int | None:
    return shutil.disk_usage("/").free


def test_limits_are_written_as_each_kernel_interface_wants_them() -> None:
    assert dict(render_limits(LIMITS, unified=True)) == {
        "memory.max": "268435456", "memory.swap.max": "0", "memory.oom.group": "0", "cpu.max": "150000 100000", "pids.max": "4096",
    }  # fmt: skip
    assert dict(render_limits(LIMITS, unified=False)) == {
        "memory.limit_in_bytes": "268435456", "memory.memsw.limit_in_bytes": "268435456",
        "cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "150000", "pids.max": "4096",
    }  # fmt: skip
    assert ("cpu.max", "1000 100000") in render_limits(BuildLimits(0.0, 1, 0), unified=True)


@pytest.mark.parametrize(
    ("env", "ours"),
    [
        (["PATH=/", "NO_PROXY=orca-build-1"], True),
        (["no_proxy=a.example,orca-build-1"], True),
        (["NO_PROXY=evil", "NO_PROXY=orca-build-1"], True),
        (["NO_PROXY=orca-build-12"], False),
        (["OTHER=orca-build-1"], False),
        ([], False),
    ],
)
def test_containers_are_recognised_by_their_marker(env: list[str], ours: bool) -> None:
    assert is_marked(json.dumps({"process": {"env": env}}).encode(), "orca-build-1") is ours


def test_a_half_written_specification_is_no_answer() -> None:
    with pytest.raises(json.JSONDecodeError):
        is_marked(b'{"process": {', "orca-build-1")
    assert not is_marked(b"{}", "orca-build-1")


def test_the_unified_hierarchy_is_used_where_there_is_one(tmp_path: Path) -> None:
    """The layout of version 2, on plain files: this bench's kernel mounts version 1."""
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    (tmp_path / "cgroup.subtree_control").write_text("")
    scope = tmp_path / "system.slice" / "docker-abc123.scope"
    scope.mkdir(parents=True)
    group_folder = tmp_path / "orca" / "build-1"
    group_folder.mkdir(parents=True)
    for name in ("memory.max", "cpu.max", "pids.max", "memory.events"):
        (group_folder / name).write_text("")
    group = ControlGroup.create("build-1", LIMITS, tmp_path)
    assert group is not None
    assert (group_folder / "memory.max").read_text() == "268435456"
    assert (group_folder / "cpu.max").read_text() == "150000 100000"
    assert not (group_folder / "memory.swap.max").exists()
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"
    assert group.find_folders("abc123") == [scope]
    group.adopt(4711)
    assert (group_folder / "cgroup.procs").read_text() == "4711"
    assert not group.out_of_memory()
    (group_folder / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    assert group.out_of_memory()


def test_where_no_group_can_be_made_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert ControlGroup.create("build-1", LIMITS, tmp_path / "file") is None


def test_a_real_group_counts_kills_and_is_removed_with_all_in_it() -> None:
    name = f"build-test-{os.getpid()}"
    group = ControlGroup.create(name, BuildLimits(1.0, 32 << 20, 0))
    assert group is not None
    hog = subprocess.Popen(["/bin/sh", "-c", "read go; exec tail /dev/zero"], stdin=subprocess.PIPE)
    sleeper = subprocess.Popen(["sleep", "100"])
    group.adopt(hog.pid)
    group.adopt(sleeper.pid)
    assert sleeper.pid in read_pids(group.folders[0])
    assert not group.out_of_memory()
    hog.communicate(b"go\n", timeout=30)
    assert hog.returncode == -signal.SIGKILL
    assert group.out_of_memory()
    for _ in range(100):
        if group.remove():
            break
        sleeper.poll()
        time.sleep(0.05)
    assert sleeper.wait(5) == -signal.SIGKILL
    assert not any(folder.exists() for folder in group.folders)


async def test_a_disk_below_its_reserve_is_noticed(tmp_path: Path) -> None:
    for folder in (tmp_path / "not" / "there", None):
        limits = BuildLimits(1.0, 64 << 20, 1 << 60)
        async with limited(f"test-{os.getpid()}", folder, limits, measure) as watch:
            assert not watch.enforced
            async with asyncio.timeout(5):
                await watch.disk_full.wait()


async def test_engine_on_another_machine_is_in_no_control_group_of_this_one() -> None:
    name = f"elsewhere-{os.getpid()}"
    async with limited(name, None, BuildLimits(1.0, 64 << 20, 0), measure) as watch:
        assert not watch.enforced
        assert not list(Path("/sys/fs/cgroup").glob(f"**/build-{name}"))
    assert not watch.disk_full.is_set()


async def test_system_that_is_away_for_a_moment_ends_no_build() -> None:
    answers = iter([ProviderUnavailable("It does not answer."), None])

    async def ask() -> int | None:
        answer = next(answers, 0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with limited("away", None, BuildLimits(1.0, 64 << 20, 1), ask) as watch:
        async with asyncio.timeout(10):
            await watch.disk_full.wait()


# Runs as a user who may look into nothing of root's, so it reads the modules from standard input.
AS_NOBODY = """
import shutil

async def measure():
    return shutil.disk_usage("/").free


async def look():
    reserve = shutil.disk_usage("/").total * 2
    async with limited("nobodys", Path(FOLDER) / "buildkit", BuildLimits(1.0, 1 << 30, reserve), measure) as watch:
        await asyncio.wait_for(watch.disk_full.wait(), 10)
    print(watch.enforced, watch.out_of_memory)


asyncio.run(look())
"""


def test_without_root_the_disk_is_still_watched_and_nobody_claims_more(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)  # as /var/lib/docker
    sources = [Path(module.__file__).read_text() for module in (cancellation, threads, limits)]
    modules = re.sub(r"^from orca\..*\n", "", "\n".join(sources), flags=re.MULTILINE)
    program = "ProviderUnavailable = OSError\n" + modules + AS_NOBODY.replace("FOLDER", repr(str(tmp_path)))
    done = subprocess.run(
        ["/usr/bin/python3", "-"], input=program, user=65534, group=65534, extra_groups=[], cwd="/",
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("False False\n", "")


async def test_limited_cancelled_at_any_wait_leaves_no_group(tmp_path: Path) -> None:
    """Nothing else would remove it, or end what runs in it."""
    name = f"test-{os.getpid()}"

    async def build() -> None:
        async with limited(name, tmp_path, BuildLimits(1.0, 64 << 20, 0), measure):
            await asyncio.sleep(0.01)

    is_cancelled, point = True, 0
    while is_cancelled:
        point += 1
        (outcome,) = await asyncio.gather(CancelledAt(build(), point), return_exceptions=True)
        is_cancelled = isinstance(outcome, asyncio.CancelledError)
        root = Path("/sys/fs/cgroup")
        assert [*root.glob(f"orca/build-{name}"), *root.glob(f"*/orca/build-{name}")] == [], point
    assert outcome is None
    assert point > 4
