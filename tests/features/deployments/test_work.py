"""What steps work with."""

from pathlib import Path
from typing import Any

import pytest
from tests.features.deployments.bench import Bench

from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.deployments.models import Deployment
from orca.features.deployments.steps.work import DeploymentRows, load_facts, workload_of
from orca.sdk.trees import UnsafePath
from orca.sdk.workloads import Tmpfs, Ulimit

NOTHING: Any = None


def facts(subdirectory: str) -> DeploymentRows:
    row = Deployment(source={"type": "git", "subdirectory": subdirectory}, config={})
    return DeploymentRows(row, NOTHING, None, None, {})


def test_a_subdirectory_is_found(tmp_path: Path) -> None:
    (tmp_path / "apps" / "web").mkdir(parents=True)
    work: Any = type("W", (), {"tree": tmp_path})()
    assert facts("apps/web").source_folder(work) == tmp_path / "apps" / "web"
    assert facts("").source_folder(work) == tmp_path


def test_a_link_out_of_the_tree_is_refused(tmp_path: Path) -> None:
    (tmp_path / "apps").symlink_to("/etc")
    work: Any = type("W", (), {"tree": tmp_path})()
    with pytest.raises(UnsafePath):
        facts("apps/ssl").source_folder(work)


async def test_workload_of_service_with_runtime_options_has_them(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.edit(
        service,
        runtime={
            "working_directory": "/srv", "hostname": "db-1", "read_only": True, "tmpfs": {"/cache": 64}, "shm_mb": 256,
            "ulimits": {"nofile": 65536}, "stop_signal": "SIGINT", "init": False, "extra_hosts": {"up": "192.0.2.7"},
            "cap_drop": ["CHOWN"],
        },
    )  # fmt: skip
    await bench.resources.tasks.start(bench.resources)
    ended = await bench.end_of(await bench.ask(service, DeploymentRequest()))
    assert ended.state == "succeeded", ended.reason
    workload = workload_of(await load_facts(bench.resources, ended.id), bench.resources)
    assert (workload.name, workload.replicas) == (f"orca-{ended.id}", 1)
    assert (workload.working_directory, workload.hostname, workload.stop_signal) == ("/srv", "db-1", "SIGINT")
    assert (workload.read_only, workload.init, workload.shm_bytes) == (True, False, 256 << 20)
    assert workload.tmpfs == (Tmpfs("/cache", 64 << 20),)
    assert workload.ulimits == (Ulimit("nofile", 65536, 65536),)
    assert (workload.extra_hosts, workload.cap_drop) == ((("up", "192.0.2.7"),), ("CHOWN",))
