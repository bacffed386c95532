"""Privileges on their way to containers: frozen with the release, refused once taken back, and never missed by what runs."""

from pathlib import Path

import pytest
from tests.features.deployments.bench import Bench
from tests.features.deployments.test_frozen import Imager, send

from orca.errors import OrcaError
from orca.events import Origin, origin
from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.deployments.models import Deployment
from orca.features.deployments.service_status import read_status
from orca.features.deployments.steps.work import load_facts, workload_of
from orca.features.services.actions import OwnPlaces, set_privileges
from orca.features.services.errors import NotGranted
from orca.features.services.models import Service
from orca.sdk.workloads import Device, Privilege
from orca.web.guard import Scope

pytestmark = pytest.mark.slow
HELD = ("capability:NET_ADMIN", "device:/dev/net/tun", "sysctl:net.core.somaxconn")
WISH = {"cap_add": ["NET_ADMIN"], "devices": ["/dev/net/tun"], "sysctls": {"net.core.somaxconn": "77"}}


async def grant(bench: Bench, service: Service, *privileges: str) -> None:
    async with bench.resources.db.write() as session:
        await set_privileges(session, Scope(service.team_id), service.id, privileges, OwnPlaces())


async def deploy(bench: Bench, service: Service, **request: object) -> Deployment:
    return await bench.end_of(await bench.ask(service, DeploymentRequest(**request)))  # type: ignore[arg-type]


async def refusal(bench: Bench, service: Service, **request: object) -> str:
    with pytest.raises(NotGranted) as refused:
        await bench.ask(service, DeploymentRequest(**request))  # type: ignore[arg-type]
    assert "orc services grant" in refused.value.hint
    return refused.value.message


@pytest.fixture
async def service(bench: Bench) -> Service:
    """It runs with its privileges, which a member deployed."""
    made = await bench.make_service()
    await grant(bench, made, *HELD)
    await bench.edit(made, runtime=WISH)
    await bench.resources.tasks.start(bench.resources)
    token = origin.set(Origin("member", "session", permissions=frozenset({"service.deploy"})))
    try:
        ended = await deploy(bench, made)
    finally:
        origin.reset(token)
    assert ended.state == "succeeded", ended.reason
    return made


async def test_granted_wishes_are_in_the_workload_and_frozen(bench: Bench, service: Service) -> None:
    ended = await deploy(bench, service)
    found = workload_of(await load_facts(bench.resources, ended.id), bench.resources)
    assert (found.cap_add, found.sysctls) == (("NET_ADMIN",), {"net.core.somaxconn": "77"})
    assert found.devices == (Device("/dev/net/tun", permissions="rw"),)
    assert set(found.grants) == {
        Privilege("capability", "NET_ADMIN"), Privilege("device", "/dev/net/tun"), Privilege("sysctl", "net.core.somaxconn"),
    }  # fmt: skip
    assert ended.config["privileges"] == sorted(HELD)


async def test_grant_that_is_not_used_is_not_in_the_workload(bench: Bench, service: Service) -> None:
    await bench.edit(service, runtime={"cap_add": ["NET_ADMIN"]})
    ended = await deploy(bench, service)
    found = workload_of(await load_facts(bench.resources, ended.id), bench.resources)
    assert found.grants == (Privilege("capability", "NET_ADMIN"),)


async def test_taking_a_grant_back_refuses_whatever_starts_containers_anew_and_breaks_nothing_that_runs(
    bench: Bench, service: Service
) -> None:
    await bench.edit(service, runtime={})
    await deploy(bench, service)
    await bench.edit(service, runtime=WISH)
    await deploy(bench, service)
    before = [each.id for each in await bench.containers(service) if each.state == "running"]
    await grant(bench, service)
    assert "capability:NET_ADMIN" in await refusal(bench, service)
    async with bench.resources.db.read() as session:
        status = await read_status(session, bench.resources, await session.get_one(Service, service.id))
    assert status.pending == tuple(f"{each} not granted" for each in HELD)
    await refusal(bench, service, kind="restart", trigger="page")
    await refusal(bench, service, kind="scale", replicas=2)
    await refusal(bench, service, kind="rollback", release=1)
    assert [each.id for each in await bench.containers(service) if each.state == "running"] == before
    kept = await deploy(bench, service, kind="restart", trigger="system")
    assert kept.state == "succeeded", kept.reason
    assert [each.state for each in await bench.containers(service)] == ["running"]
    back = await deploy(bench, service, kind="rollback", release=2)
    assert back.state == "succeeded", back.reason


async def test_a_service_without_its_grant_is_scaled_down_and_stopped(bench: Bench, service: Service) -> None:
    await deploy(bench, service, kind="scale", replicas=2)
    await grant(bench, service)
    less = await deploy(bench, service, kind="scale", replicas=1)
    assert (less.state, less.reason) == ("succeeded", "")
    stopped = await deploy(bench, service, kind="stop")
    assert stopped.state == "succeeded", stopped.reason
    await refusal(bench, service, kind="start", trigger="page")


async def test_a_grant_that_is_taken_back_while_a_rollback_waits_ends_the_rollback(
    bench: Bench, service: Service
) -> None:
    await bench.edit(service, runtime={})
    begun, go_on = await bench.hold_pulls()
    plain = await bench.ask(service, DeploymentRequest())
    await begun.wait()
    back = await bench.ask(service, DeploymentRequest(kind="rollback", release=1))
    await grant(bench, service)
    go_on.set()
    assert (await bench.end_of(plain)).state == "succeeded"
    ended = await bench.end_of(back)
    assert (ended.state, ended.code) == ("failed", "not-granted")
    assert [each.state for each in await bench.containers(service)] == ["running"]


@pytest.mark.parametrize(
    ("wish", "state"), [("[NET_ADMIN]", "succeeded"), ("[NET_RAW]", "failed"), ("[SYS_ADMIN]", "failed")]
)
async def test_wishes_of_orca_yaml_are_bound_by_the_grant(bench: Bench, wish: str, state: str) -> None:
    service, _ = await bench.make_service(), Imager(bench)
    await grant(bench, service, "capability:NET_ADMIN")
    text = f"ports: [{{port: 4000, public: true}}]\nhealth: {{type: none}}\nruntime: {{cap_add: {wish}}}\n"
    await send(bench, service, {"Dockerfile": "FROM scratch\n", "orca.yaml": text})
    await bench.resources.tasks.start(bench.resources)
    ended = await deploy(bench, service)
    assert ended.state == state, ended.reason
    if state == "failed":
        assert ended.code == "not-granted"
        assert await bench.containers(service) == []


async def test_engine_refuses_a_workload_that_came_past_every_check(bench: Bench, service: Service) -> None:
    async with bench.resources.db.write() as session:
        row = await session.get_one(Service, service.id)
        row.runtime, row.privileges = {"cap_add": ["SYS_ADMIN"]}, ["capability:SYS_ADMIN"]
    with pytest.raises(OrcaError, match="take over the machine"):
        await bench.ask(service, DeploymentRequest())


async def test_a_granted_folder_is_refused_once_it_holds_the_data_of_orca(bench: Bench, service: Service) -> None:
    folder = str(bench.resources.settings.data_dir.resolve().parent)
    await grant(bench, service, f"host.path:{folder}")  # asked before the data was there
    await bench.edit(service, runtime={"host_folders": {"/data": folder}})
    ended = await deploy(bench, service)
    assert (ended.state, ended.code) == ("failed", "not-granted")
    assert "Orca's own" in ended.reason


async def test_services_that_share_a_folder_of_the_machine_are_told_unless_both_only_read(
    bench: Bench, service: Service, tmp_path: Path
) -> None:
    folder, inner = tmp_path / "media", tmp_path / "media" / "films"
    inner.mkdir(parents=True)
    other = await bench.make_service("reader")
    await grant(bench, service, f"host.path:{folder}")
    await grant(bench, other, f"host.path:{inner}")
    await bench.edit(other, runtime={"host_folders": {"/films": f"{inner}:ro"}})
    await bench.edit(service, runtime={"host_folders": {"/media": f"{folder}:ro"}})
    assert (await deploy(bench, service)).warnings == []
    await bench.edit(service, runtime={"host_folders": {"/media": str(folder)}})
    [warning] = (await deploy(bench, service)).warnings
    assert warning.startswith(f"reader has files in {folder} of the machine too")
