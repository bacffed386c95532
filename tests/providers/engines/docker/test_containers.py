"""Containers on a real Docker: hardened, isolated from each other, and containers of other owners are left alone."""

import asyncio
import json
import secrets
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from orca.errors import RequestRefused
from orca.providers.engines.docker.observe import is_steady, read_steady
from orca.sdk.testing.containers import HostTrial
from orca.sdk.workloads import Mount

pytestmark = pytest.mark.docker

CAPABILITIES = sum(1 << number for number in (0, 1, 3, 5, 6, 7, 10))
"""CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID, NET_BIND_SERVICE."""


async def text(trial, container, *argv):
    result = await trial.host.exec(container.id, argv, deadline=20)
    assert result.exit_code == 0, result
    return result.text


async def test_hardening_holds_inside(trial):
    (container,) = await trial.make(trial.spec("web", memory_bytes=32 << 20, pids=50, cpus=0.5))
    status = dict(line.split(":", 1) for line in (await text(trial, container, "cat", "/proc/1/status")).splitlines())
    assert int(status["CapBnd"], 16) == CAPABILITIES
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"
    assert "docker-init" in await text(trial, container, "cat", "/proc/1/cmdline")


async def test_hardening_is_what_docker_was_told(trial, raw):
    (container,) = await trial.make(
        trial.spec("web", memory_bytes=32 << 20, pids=50, cpus=0.5, ports=(8080,), restart="on-failure")
    )
    facts = json.loads((await raw("GET", f"containers/{container.id}/json"))[1])
    host = facts["HostConfig"]
    assert (host["Memory"], host["PidsLimit"], host["NanoCpus"]) == (32 << 20, 50, 500_000_000)
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
    assert host["RestartPolicy"]["Name"] == "on-failure"
    assert not host["Privileged"]
    assert not host["AutoRemove"]
    assert not host["PortBindings"]
    assert "8080/tcp" in facts["NetworkSettings"]["Ports"]
    assert not any(facts["NetworkSettings"]["Ports"].values())
    assert facts["Config"]["StopTimeout"] == 1


async def test_values_arrive_byte_for_byte(trial):
    value = "a=b $HOME `id` 'x' \"y\" \\ # ü\nsecond line\t" + "z" * 60_000
    (container,) = await trial.make(trial.spec("web", env={"VALUE": value, "EMPTY": ""}))
    environment = (await trial.host.exec(container.id, ("cat", "/proc/1/environ"), deadline=20)).stdout
    assert f"VALUE={value}".encode() in environment.split(b"\0")
    assert b"EMPTY=" in environment.split(b"\0")


async def test_the_host_reaches_the_address_and_nothing_is_published(trial):
    (container,) = await trial.make(trial.spec("web", "nc", "-ll", "-p", "8080", "-e", "echo", "hello"))
    async with asyncio.timeout(20):
        while True:
            try:
                reader, writer = await asyncio.open_connection(container.address, 8080)
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
        assert await reader.read() == b"hello\n"
    writer.close()
    await writer.wait_closed()


async def test_projects_cannot_reach_each_other(trial, host, image):
    other = HostTrial(host, image)
    server = trial.spec("server", "nc", "-ll", "-p", "8080", "-e", "echo", "hello")
    try:
        (near, far) = (await trial.make(server, trial.spec("near")))[0], (await other.make(other.spec("far")))[0]
        near = next(each for each in await trial.inspect() if each.name.endswith("near"))
        address = next(each for each in await trial.inspect() if each.name.endswith("server")).address
        asked = ("nc", "-w", "3", address, "8080")
        inside = await trial.host.exec(near.id, asked, deadline=20)
        outside = await host.exec(far.id, asked, deadline=20)
        assert (inside.exit_code, inside.text) == (0, "hello")
        assert outside.exit_code != 0
    finally:
        await other.clean()


async def test_many_at_once_from_two_processes_get_different_addresses(trial, open_host, image):
    """Two engines know nothing of each other, as two workers do."""
    other = HostTrial(await open_host(), image, trial.id)
    await asyncio.gather(
        *(who.make(who.spec(f"{part}-{number}")) for number in range(4) for part, who in (("a", trial), ("b", other)))
    )
    containers = await trial.inspect()
    assert [container.state for container in containers] == ["running"] * 8
    assert len({container.address for container in containers}) == 8


async def test_an_address_that_somebody_took_is_given_up(trial, by_hand, image):
    spec = trial.spec("web")
    (container,) = await trial.make(spec)
    await trial.host.stop(container.id, grace=0)
    stranger = by_hand(
        "run", "--detach", "--init", "--network", trial.id, "--ip", container.address, image, "sleep", "600"
    )
    try:
        await trial.make(spec)
        moved = await trial.reach(spec, "running")
        assert moved.id == container.id
        assert IPv4Address(moved.address) > IPv4Address(container.address)
    finally:
        by_hand("rm", "--force", stranger)


async def test_what_people_attach_by_hand_gets_none_of_our_addresses(trial, by_hand, image):
    (container,) = await trial.make(trial.spec("web"))
    stranger = by_hand("run", "--detach", "--init", "--network", trial.id, image, "sleep", "600")
    try:
        (facts,) = json.loads(by_hand("inspect", stranger))
        address = facts["NetworkSettings"]["Networks"][trial.id]["IPAddress"]
        assert int(address.rpartition(".")[2]) < 10 <= int(container.address.rpartition(".")[2])
    finally:
        by_hand("rm", "--force", stranger)


async def test_a_foreign_container_of_the_same_name_stays(trial, by_hand, image):
    spec = trial.spec("web")
    stranger = by_hand("create", "--name", spec.name, image, "sleep", "600")
    try:
        for changes in (trial.host.plan([], [spec]), trial.host.plan([], [spec])[1:]):
            with pytest.raises(RequestRefused) as failure:
                await trial.host.apply(changes)
            assert failure.value.hint
        assert await trial.inspect() == []
        for verb in (trial.host.remove(stranger), trial.host.stop(stranger, grace=0)):
            with pytest.raises(RequestRefused):
                await verb
        with pytest.raises(RequestRefused):
            await trial.host.exec(stranger, ("true",), deadline=5)
        with pytest.raises(RequestRefused):
            await anext(trial.host.logs(stranger, tail=1, follow=False))
        assert json.loads(by_hand("inspect", stranger))[0]["State"]["Status"] == "created"
    finally:
        by_hand("rm", "--force", stranger)


async def test_another_of_ours_with_the_same_name_stays(trial):
    spec = trial.spec("web")
    await trial.make(spec)
    other = replace(spec, labels={**spec.labels, "orca.release": "2"})
    with pytest.raises(RequestRefused):
        await trial.host.apply(trial.host.plan([], [other]))


async def test_a_name_that_begins_somebody_s_id_is_a_name(trial, by_hand, image):
    stranger = by_hand("create", image, "sleep", "600")
    try:
        spec = replace(trial.spec("web"), name=stranger[:12])
        with pytest.raises(RequestRefused, match="no container"):
            await trial.host.apply(trial.host.plan([], [spec])[1:])
    finally:
        by_hand("rm", "--force", stranger)


async def test_an_image_of_ours_run_by_hand_is_not_ours(trial, instance, make_image, by_hand):
    """Containers inherit the labels of their image."""
    image = make_image(f"LABEL orca.instance={instance}", f"LABEL orca.trial={trial.id}", "LABEL orca.container=x")
    stranger = by_hand("create", image, "sleep", "600")
    try:
        assert await trial.inspect() == []
        with pytest.raises(RequestRefused):
            await trial.host.remove(stranger)
    finally:
        by_hand("rm", "--force", stranger)


async def test_labels_of_an_image_steer_nothing(host, make_image, by_hand):
    steering = (
        "orca.role",
        "traefik.enable",
        "Traefik.Enable",
        "ofelia.enabled",
        "com.centurylinklabs.watchtower.enable",
        "autoheal",
    )
    image = make_image(*(f"LABEL {key}=true" for key in steering), "LABEL maintainer=me")
    trial = HostTrial(host, image)
    try:
        (container,) = await trial.make(trial.spec("web"))
        assert not set(steering) & set(container.labels)
        assert by_hand("inspect", "--format", '{{index .Config.Labels "Traefik.Enable"}}', container.id) != "true"
        assert container.labels["maintainer"] == "me"
        assert await host.inspect({"orca.role": ""}) == []
        assert await host.inspect({"orca.role": "proxy"}) == []
    finally:
        await trial.clean()


async def test_another_instance_is_another_world(trial, open_host, instance):
    await trial.make(trial.spec("web"))
    neighbour = await open_host(instance=f"{instance}-2")
    (container,) = await trial.inspect()
    assert await neighbour.inspect({}) == []
    for verb in (neighbour.remove(container.id), neighbour.remove_network(trial.id)):
        with pytest.raises(RequestRefused):
            await verb
    assert (await trial.inspect())[0].state == "running"


async def test_foreign_volumes_and_networks_stay(trial, by_hand):
    name = f"foreign-{secrets.token_hex(4)}"
    by_hand("volume", "create", name)
    by_hand("network", "create", "--subnet", f"10.212.{secrets.randbelow(256)}.0/24", name)
    try:
        for verb in (trial.host.remove_volume(name), trial.host.remove_network(name)):
            with pytest.raises(RequestRefused):
                await verb
        for spec in (trial.spec("a", mounts=(Mount(name, "/data"),)), replace(trial.spec("b"), network=name)):
            with pytest.raises(RequestRefused):
                await trial.host.apply(trial.host.plan([], [spec]))
        assert await trial.inspect() == []
        assert name in by_hand("volume", "ls", "--quiet").split()
        assert name in by_hand("network", "ls", "--format", "{{.Name}}").split()
    finally:
        by_hand("network", "rm", name)
        by_hand("volume", "rm", name)


async def test_a_volume_keeps_what_is_in_it(trial):
    mount = Mount(f"{trial.id}-data", "/data")
    write = trial.spec("write", "sh", "-c", "echo kept > /data/file", mounts=(mount,))
    read = trial.spec("read", "cat", "/data/file", mounts=(replace(mount, read_only=True),))
    lines = []

    async def progress(line):
        lines.append(line)

    assert await trial.host.run_once(write, deadline=30, progress=progress) == 0
    (container,) = await trial.inspect()
    await trial.host.remove(container.id)
    assert await trial.host.run_once(read, deadline=30, progress=progress) == 0
    assert lines == ["kept"]


async def test_an_exhausted_pool_is_explained_and_leaves_nothing(trial, open_host, image, by_hand):
    pool = f"10.211.{secrets.randbelow(256)}.0/24"
    host = await open_host(address_pool=pool)
    first, second = HostTrial(host, image), HostTrial(host, image)
    try:
        (container,) = await first.make(first.spec("web"))
        assert container.address == pool.replace(".0/24", ".10")
        with pytest.raises(RequestRefused) as failure:
            await second.make(second.spec("web"))
        assert "pool" in failure.value.hint
        assert await second.inspect() == []
        assert second.id not in by_hand("network", "ls", "--format", "{{.Name}}").split()
    finally:
        await first.clean()
        await second.clean()


async def test_ranges_that_others_use_are_passed_over(open_host, image, by_hand):
    third = secrets.randbelow(64) * 4
    name = f"foreign-{secrets.token_hex(4)}"
    by_hand("network", "create", "--subnet", f"10.210.{third}.0/25", name)
    host = await open_host(address_pool=f"10.210.{third}.0/22")
    trial = HostTrial(host, image)
    try:
        (container,) = await trial.make(trial.spec("web"))
        assert container.address == f"10.210.{third + 1}.10"
    finally:
        await trial.clean()
        by_hand("network", "rm", name)


async def test_two_engines_make_one_network(trial, open_host, image, by_hand):
    others = [HostTrial(await open_host(), image, trial.id) for _ in range(3)]
    await asyncio.gather(*(who.make(who.spec(f"{number}")) for number, who in enumerate([trial, *others])))
    assert by_hand("network", "ls", "--format", "{{.Name}}").split().count(trial.id) == 1
    assert [container.state for container in await trial.inspect()] == ["running"] * 4


async def test_running_out_of_memory_is_seen(trial):
    spec = trial.spec("greedy", "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", memory_bytes=16 << 20, restart="no")
    await trial.make(spec)
    container = await trial.reach(spec, "exited")
    assert container.out_of_memory
    assert container.exit_code == 137


async def test_a_crash_loop_is_seen(trial):
    spec = trial.spec("looping", "sh", "-c", "sleep 0.1; exit 3", restart="always")
    await trial.make(spec)
    async with asyncio.timeout(30):
        while (container := (await trial.inspect())[0]).restarts < 2:  # noqa: ASYNC110 - the engine sets no event
            await asyncio.sleep(0.1)
    looping = await trial.reach(spec, "restarting")
    assert looping.exit_code == 3
    assert not looping.out_of_memory
    assert container.address == looping.address


async def test_a_survey_tells_what_inspection_tells(trial):
    await trial.make(trial.spec("web"), trial.spec("ended", "false", restart="no"))
    await trial.reach(trial.spec("ended"), "exited")
    inspected = await trial.inspect()
    surveyed = await trial.host.survey(trial.labels)
    assert sorted(surveyed, key=lambda each: each.name) == sorted(inspected, key=lambda each: each.name)
    assert await trial.host.survey({"orca.trial": "another"}) == []


async def test_an_entry_of_the_list_is_read_like_the_container(trial, raw):
    """As it will be once the container has run for a minute."""
    (container,) = await trial.make(trial.spec("web"))
    entry = next(each for each in json.loads((await raw("GET", "containers/json"))[1]) if each["Id"] == container.id)
    assert not is_steady(entry)
    assert is_steady({**entry, "Status": "Up About a minute"})
    assert read_steady(entry) == replace(container, started_at=None)


@pytest.mark.parametrize(
    ("status", "steady"),
    [
        ("Up Less than a second", False), ("Up 59 seconds", False), ("Up About a minute", True), ("Up 2 minutes", True),
        ("Up About an hour", True), ("Up 3 days (healthy)", True), ("Restarting (1) 2 minutes ago", False),
        ("Exited (0) 2 weeks ago", False), ("Up", False),
    ],
)  # fmt: skip
def test_what_counts_as_steady(status, steady):
    assert is_steady({"State": "running", "Status": status}) is steady
    assert not is_steady({"State": "paused", "Status": status})


async def test_stopping_gives_time_and_then_kills(trial):
    polite = trial.spec("polite", "sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.05; done")
    stubborn = trial.spec("stubborn", "sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
    for container in await trial.make(polite, stubborn):
        await asyncio.sleep(0.3)
        await trial.host.stop(container.id, grace=1)
    codes = {container.name: container.exit_code for container in await trial.inspect()}
    assert codes == {polite.name: 7, stubborn.name: 137}


async def test_a_paused_container_is_continued(trial, by_hand):
    spec = trial.spec("web")
    (container,) = await trial.make(spec)
    by_hand("pause", container.id)
    assert (await trial.inspect())[0].state == "paused"
    await trial.make(spec)
    assert (await trial.inspect())[0].state == "running"


async def test_a_command_that_is_missing_is_the_log_s_last_word(trial):
    spec = trial.spec("wrong", "no-such-program", restart="no")
    await trial.make(spec)
    container = await trial.reach(spec, "exited")
    assert container.exit_code == 127
    assert "no-such-program" in "".join(
        [line.text async for line in trial.host.logs(container.id, tail=5, follow=False)]
    )


async def test_impossible_limits_are_refused(trial):
    with pytest.raises(RequestRefused):
        await trial.make(trial.spec("huge", cpus=10_000))


async def test_health_of_the_image_is_reported(host, make_image):
    trial = HostTrial(host, make_image('HEALTHCHECK --interval=1s CMD ["true"]'))
    try:
        spec = trial.spec("web")
        (container,) = await trial.make(spec)
        assert container.health in {"starting", "healthy"}
        async with asyncio.timeout(20):
            while (await trial.inspect())[0].health != "healthy":  # noqa: ASYNC110 - the engine sets no event
                await asyncio.sleep(0.1)
    finally:
        await trial.clean()
