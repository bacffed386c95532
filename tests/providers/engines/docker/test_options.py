"""What images ask for beside command and variables, as the process itself sees it on a real Docker."""

import json
import socket
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from orca.errors import ProviderError, ProviderUnavailable, RequestRefused
from orca.sdk.testing.containers import HostTrial
from orca.sdk.testing.trials import ignore
from orca.sdk.workloads import (
    SECRET,
    Attachment,
    Device,
    File,
    HealthCommand,
    HostFolder,
    Mount,
    Privilege,
    PublishedPort,
    Tmpfs,
    Ulimit,
)

pytestmark = pytest.mark.docker


async def say(trial: HostTrial, name: str, *argv: str) -> str:
    """What a command writes inside the container."""
    (found,) = [each for each in await trial.inspect() if each.name == f"{trial.id}-{name}"]
    return (await trial.host.exec(found.id, argv, deadline=30)).text.strip()


async def test_container_options_the_process_sees_them(trial: HostTrial, by_hand) -> None:
    await trial.make(
        trial.spec(
            "web", working_directory="/tmp", hostname="db-1", tmpfs=(Tmpfs("/cache", 1 << 20, 0o700),), shm_bytes=8 << 20,
            ulimits=(Ulimit("nofile", 4321, 5432),), read_only=True, stop_signal="SIGINT", init=False,
            extra_hosts=(("upstream", "192.0.2.7"),), memory_bytes=64 << 20, reserved_memory_bytes=32 << 20,
            reserved_cpus=0.5, cap_drop=("CAP_CHOWN", "KILL"), platform="linux/amd64",
        )
    )  # fmt: skip
    assert await say(trial, "web", "cat", "/proc/sys/kernel/hostname") == "db-1"
    assert await say(trial, "web", "sh", "-c", "ulimit -n") == "4321"
    assert await say(trial, "web", "sh", "-c", "pwd") == "/tmp"
    assert await say(trial, "web", "sh", "-c", "echo x > /file || echo refused") == "refused"
    mounts = await say(trial, "web", "cat", "/proc/mounts")
    assert "tmpfs /cache tmpfs rw,nosuid,nodev,noexec" in mounts
    assert "size=1024k,mode=700" in mounts
    assert "size=8192k" in next(line for line in mounts.splitlines() if " /dev/shm " in line)
    assert "192.0.2.7\tupstream" in await say(trial, "web", "cat", "/etc/hosts")
    facts = json.loads(by_hand("inspect", f"{trial.id}-web"))[0]
    assert facts["Config"]["StopSignal"] == "SIGINT"
    assert facts["HostConfig"]["Init"] is False
    assert facts["HostConfig"]["MemoryReservation"] == 32 << 20
    assert facts["HostConfig"]["CpuShares"] == 512
    assert not {"CHOWN", "KILL", "CAP_CHOWN", "CAP_KILL"} & set(facts["HostConfig"]["CapAdd"])


async def test_container_no_options_has_the_defaults(trial: HostTrial, by_hand) -> None:
    await trial.make(trial.spec("web"))
    facts = json.loads(by_hand("inspect", f"{trial.id}-web"))[0]["HostConfig"]
    assert not any(facts.get(name) for name in ("ReadonlyRootfs", "PortBindings", "Devices", "Tmpfs"))


async def test_container_files_are_there_before_the_start_and_belong_to_its_user(trial: HostTrial, by_hand) -> None:
    secret = File("/run/secrets/key", b"hush \x00 hush", SECRET)
    plain = File("/etc/app/deep/app.conf", b"listen 80\n")
    await trial.make(trial.spec("web", "sh", "-c", "cat /run/secrets/key /etc/app/deep/app.conf; sleep 600",
                                user="1000:50", files=(secret, plain)))  # fmt: skip
    assert await say(trial, "web", "stat", "-c", "%a %u:%g", "/run/secrets/key") == "400 1000:50"
    assert await say(trial, "web", "stat", "-c", "%a %u:%g", "/etc/app/deep/app.conf") == "444 1000:50"
    (container,) = await trial.inspect()
    lines = [line.text async for line in trial.host.logs(container.id, tail=None, follow=False)]
    assert "hush" in "".join(lines)
    assert "listen 80" in "".join(lines)
    assert "hush" not in by_hand("inspect", container.id)
    assert "hush" not in repr(trial.spec("web", files=(secret,)))


async def test_container_files_behind_links_of_the_image_or_a_volume_stay_inside(trial: HostTrial) -> None:
    """A volume with a link to the root of the machine, as a hostile process may leave it."""
    mount, canary = Mount(f"{trial.id}-data", "/data"), f"orca-canary-{trial.id}"
    planted = trial.spec("first", "sh", "-c", "ln -s /etc /data/abs; ln -s ../../../../etc /data/up; sleep 600",
                         mounts=(mount,))  # fmt: skip
    await trial.make(planted)
    await trial.reach(planted, "running")
    assert await say(trial, "first", "sh", "-c", "until [ -L /data/up ]; do :; done; echo linked") == "linked"
    for link in ("abs", "up"):
        file = File(f"/data/{link}/{canary}", b"1")
        with suppress(RequestRefused, ProviderUnavailable):
            await trial.make(trial.spec(link, mounts=(mount,), files=(file,)))
    assert not Path("/etc", canary).exists()
    assert await say(trial, "first", "sh", "-c", f"ls /etc | grep -c {canary}") == "0"


async def test_container_file_in_place_of_one_of_the_image_replaces_it_for_this_container_only(
    trial: HostTrial,
) -> None:
    await trial.make(trial.spec("web", files=(File("/etc/passwd", b"me:x:0:0::/:/bin/sh\n"),)), trial.spec("other"))
    assert await say(trial, "web", "cat", "/etc/passwd") == "me:x:0:0::/:/bin/sh"
    assert "me:x:0:0" not in await say(trial, "other", "sh", "-c", "cat /etc/passwd || true")


async def test_container_that_was_created_only_gets_its_files_at_the_next_start(trial: HostTrial) -> None:
    """The process may have died between the creation and the files."""
    bare, whole = (
        trial.spec("web"),
        trial.spec("web", files=(File("/key", b"1"),), attachments=(Attachment(f"{trial.id}-b"),)),
    )
    create = trial.host.plan([], [bare])[0]
    await trial.host.apply([create])
    await trial.make(whole)
    assert await say(trial, "web", "cat", "/key") == "1"
    (container,) = await trial.inspect()
    await trial.host.remove(container.id)
    await trial.host.remove_network(f"{trial.id}-b")


async def test_container_read_only_root_has_its_files_at_their_paths(trial: HostTrial, by_hand) -> None:
    mount, secret = Mount(f"{trial.id}-data", "/data"), File("/run/secrets/key", b"hush", SECRET)
    files = (secret, File("/etc/app/deep/app.conf", b"listen 80"), File("/unique", b"mine"), File("/data/key", b"1"))
    spec = trial.spec("web", read_only=True, mounts=(mount,), files=files, user="1000:50")
    (container,) = await trial.make(spec)
    for restarted in (False, True):
        if restarted:
            await trial.host.stop(container.id, grace=0)
            await trial.host.start(spec.name)
        read = "cat /run/secrets/key /etc/app/deep/app.conf /unique /data/key"
        assert await say(trial, "web", "sh", "-c", read) == "hushlisten 80mine1"
    assert await say(trial, "web", "stat", "-c", "%a %u:%g", secret.path) == "400 1000:50"
    assert await say(trial, "web", "stat", "-c", "%u:%g", "/data") == "1000:50"
    refused = "(echo x > /etc/app/deep/app.conf) || (echo x > /new) || cat /.orca-files/0 || printf refused"
    assert (await say(trial, "web", "sh", "-c", refused)).endswith("refused")
    assert "hush" not in by_hand("inspect", container.id)
    assert await trial.host.list_volumes(trial.labels) == [mount.volume]
    assert f"{spec.name}-files" in by_hand("volume", "ls", "--quiet")
    assert (
        await trial.host.run_once(
            replace(spec, name=f"{trial.id}-once", command=("stat", secret.path)), deadline=60, progress=ignore
        )
        == 0
    )
    for container in await trial.inspect():
        await trial.host.remove(container.id)
    assert trial.id not in by_hand("volume", "ls", "--quiet").replace(mount.volume, "")


async def test_container_read_only_root_interrupted_attempt_is_finished_and_leaves_nothing(
    trial: HostTrial, by_hand
) -> None:
    spec = trial.spec("web", read_only=True, files=(File("/key", b"1"),))
    left = by_hand("create", "--name", f"{spec.name}-files", trial.image, "true")
    with pytest.raises(RequestRefused):  # a container of this name that is not Orca's
        await trial.make(spec)
    by_hand("rm", left)
    await trial.make(spec)
    assert await say(trial, "web", "cat", "/key") == "1"
    (container,) = await trial.inspect()
    await trial.host.remove(container.id)
    with pytest.raises(RequestRefused):
        await trial.make(replace(spec, image=f"sha256:{'0' * 64}"))
    with pytest.raises(RequestRefused):  # known only when the container is created
        await trial.make(replace(spec, memory_bytes=1 << 10))
    assert trial.id not in by_hand("volume", "ls", "--quiet") + by_hand("ps", "--all", "--format", "{{.Names}}")


async def test_container_in_several_networks_is_found_by_its_names_also_after_a_restart(trial: HostTrial) -> None:
    other = f"{trial.id}-b"
    server = trial.spec("web", "sh", "-c", "while echo hi | nc -l -p 80; do :; done", aliases=("web",),
                        attachments=(Attachment(other, ("front", "www")),))  # fmt: skip
    inner, outer = trial.spec("in"), replace(trial.spec("out"), network=other)
    await trial.make(server, inner, outer)
    for restarted in (False, True):
        if restarted:
            found = {each.name: each for each in await trial.inspect()}[server.name]
            await trial.host.stop(found.id, grace=0)
            await trial.host.start(server.name)
        assert await say(trial, "in", "nc", "-w", "5", "web", "80") == "hi"
        assert await say(trial, "out", "nc", "-w", "5", "www", "80") == "hi"
        assert await say(trial, "out", "sh", "-c", "nc -w 2 web 80 || echo unknown") == "unknown"
    with pytest.raises(RequestRefused):
        await trial.host.remove_network(other)
    for container in await trial.inspect():
        await trial.host.remove(container.id)
    await trial.host.remove_network(other)


async def test_container_health_is_asked_by_the_engine(trial: HostTrial) -> None:
    check = HealthCommand(("false",), interval=1, timeout=1, retries=1)
    await trial.make(trial.spec("web", health=check))
    seen = await trial.reach(trial.spec("web"), "running")
    assert seen.health_test == ("false",)
    for _ in range(100):
        (seen,) = await trial.inspect()
        if seen.health == "unhealthy":
            return
        await trial.host.exec(seen.id, ("sleep", "0.2"), deadline=10)
    pytest.fail(f"it is {seen.health}")


async def test_container_with_grants_gets_what_was_granted(trial: HostTrial, by_hand) -> None:
    grants = (
        Privilege("capability", "NET_RAW"), Privilege("sysctl", "net.core.somaxconn"), Privilege("device", "/dev/null"),
        Privilege("host.port", "udp/47111"),
    )  # fmt: skip
    await trial.make(
        trial.spec(
            "web", cap_add=("NET_RAW",), sysctls={"net.core.somaxconn": "77"}, devices=(Device("/dev/null", "/dev/mine"),),
            published=(PublishedPort(53, 47111, "udp", "127.0.0.1"),), grants=grants,
        )
    )  # fmt: skip
    assert await say(trial, "web", "cat", "/proc/sys/net/core/somaxconn") == "77"
    assert await say(trial, "web", "sh", "-c", "echo x > /dev/mine && echo ok") == "ok"
    facts = json.loads(by_hand("inspect", f"{trial.id}-web"))[0]
    assert "NET_RAW" in facts["HostConfig"]["CapAdd"] or "CAP_NET_RAW" in facts["HostConfig"]["CapAdd"]
    assert facts["HostConfig"]["PortBindings"] == {"53/udp": [{"HostIp": "127.0.0.1", "HostPort": "47111"}]}


async def test_container_has_granted_folders_of_the_machine_and_no_links_out_of_them(
    trial: HostTrial, scratch: Path
) -> None:
    folder, link = scratch / "media", scratch / "link"
    folder.mkdir()
    (folder / "film").write_text("1")
    link.symlink_to("/etc")

    async def make(name: str, source: Path, **options: object) -> None:
        grants = (Privilege("host.path", str(source)),)
        await trial.make(trial.spec(name, host_folders=(HostFolder(str(source), "/media", **options),), grants=grants))

    await make("web", folder)
    await make("reader", folder, read_only=True)
    assert await say(trial, "web", "sh", "-c", "cat /media/film; echo 2 > /media/new") == "1"
    assert (folder / "new").read_text() == "2\n"
    assert await say(trial, "reader", "sh", "-c", "echo 3 > /media/new || echo refused") == "refused"
    for wrong in (link, link / "ssh", scratch / "missing", Path(f"{folder}/../link")):
        with pytest.raises(RequestRefused):
            await make("wrong", wrong)
    inside = trial.spec(
        "file", host_folders=(HostFolder(str(folder), "/media"),), grants=(Privilege("host.path", str(folder)),),
        files=(File("/media/planted", b"1"),),
    )  # fmt: skip
    with pytest.raises(RequestRefused):
        await trial.make(inside)
    assert not (folder / "planted").exists()
    assert len(await trial.inspect()) == 2


async def test_container_on_the_network_of_the_machine_has_its_loopback_and_needs_a_grant(trial: HostTrial) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = ("sh", "-c", f"echo hi > /tmp/index.html; exec /bin/busybox httpd -f -h /tmp -p 127.0.0.1:{port}")
    options = {"host_network": True, "grants": (Privilege("host.network"),)}
    with pytest.raises(RequestRefused, match="not granted"):
        await trial.make(trial.spec("web", *serve, host_network=True))
    with pytest.raises(RequestRefused, match="other networks"):
        await trial.make(trial.spec("web", *serve, attachments=(Attachment(f"{trial.id}-back"),), **options))
    (seen,) = await trial.make(trial.spec("web", *serve, **options))
    assert (seen.state, seen.address) == ("running", "127.0.0.1")
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.makefile("rb").read().endswith(b"hi\n")
    assert await trial.host.find_listeners(seen.id) is None  # they would be those of the whole machine


async def test_container_published_port_is_reached_on_the_machine_and_taken_for_a_second(trial: HostTrial) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "published": (PublishedPort(80, port, "tcp", "127.0.0.1"),), "grants": (Privilege("host.port", f"tcp/{port}"),)
    }  # fmt: skip
    serve = ("sh", "-c", "while echo hi | nc -l -p 80; do :; done")
    await trial.make(trial.spec("web", *serve, **options))
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        assert connection.recv(10) == b"hi\n"
    with pytest.raises(ProviderError):
        await trial.make(trial.spec("second", *serve, **options))
