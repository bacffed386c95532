"""The three tiers, by tables."""

from dataclasses import replace

import pytest

from orca.errors import RequestRefused
from orca.providers.engines.docker.render import _CAPABILITIES
from orca.sdk.privileges import PLAIN_CAPABILITIES, Demands, assess, check_privileges
from orca.sdk.workloads import Attachment, Device, Privilege, PublishedPort, Ulimit, Workload

WEB = Workload("web", "sha256:1", "net", {})


@pytest.mark.parametrize(
    "demands",
    [
        Demands(),
        Demands(capabilities=("CHOWN", "cap_net_bind_service")),
        Demands(namespaces={"network": "service:vpn", "ipc": "private"}),
        Demands(ulimits=("nofile", "memlock")),
        Demands(security_options=("no-new-privileges:true",)),
    ],
)
def test_assess_plain_needs_nothing(demands: Demands) -> None:
    assert assess(demands).tier == "plain"


@pytest.mark.parametrize(
    ("demands", "grant"),
    [
        (Demands(published=(PublishedPort(51820, 51820, "udp"),)), Privilege("host.port", "udp/51820")),
        (Demands(capabilities=("CAP_NET_ADMIN",)), Privilege("capability", "NET_ADMIN")),
        (Demands(capabilities=("setpcap",)), Privilege("capability", "SETPCAP")),
        (Demands(devices=("/dev/dri/../dri/renderD128",)), Privilege("device", "/dev/dri/renderD128")),
        (Demands(gpu=True), Privilege("gpu")),
        (Demands(sysctls=("net.core.somaxconn",)), Privilege("sysctl", "net.core.somaxconn")),
        (Demands(namespaces={"network": "host"}), Privilege("host.network")),
        (Demands(host_paths=("/srv/media/",)), Privilege("host.path", "/srv/media")),
        (Demands(host_paths=("/etc/localtime",)), Privilege("host.path", "/etc/localtime")),
        (Demands(host_paths=("/var/run/docker.sock",)), Privilege("host.engine_socket", "/var/run/docker.sock")),
    ],
)
def test_assess_beyond_plain_names_the_grant(demands: Demands, grant: Privilege) -> None:
    found = assess(demands, private_paths=["/root/.orc"])
    assert (found.tier, found.grants) == ("grant", (grant,))


@pytest.mark.parametrize(
    "demands",
    [
        Demands(privileged=True),
        *(Demands(namespaces={name: "host"}) for name in ("pid", "ipc", "uts", "userns", "cgroup")),  # type: ignore[dict-item]
        Demands(namespaces={"network": "container:other"}),
        *(Demands(capabilities=(name,)) for name in ("SYS_ADMIN", "sys_module", "CAP_SYS_RAWIO", "SYS_PTRACE", "ALL", "NEW")),
        *(Demands(security_options=(text,)) for text in ("seccomp=unconfined", "apparmor:unconfined", "label:disable")),
        *(
            Demands(host_paths=(path,))
            for path in (
                "/", "//", "/etc", "/etc/shadow", "/root", "/proc", "/sys/fs", "/dev", "/var", "/var/lib", "/run", "/srv/../etc",
                "/var/lib/docker/volumes", "/home/orca/.orc", "/home/orca", "relative",
            )
        ),
        *(Demands(devices=(path,)) for path in ("/dev/sda", "/dev/mem", "/dev/nvme0n1", "/dev/mmcblk0p1", "/dev/sg3", "/dev/disk/by-id/x",
          "/dev/char/1:1", "/dev/cpu/0/msr", "/dev/fd/3", "/dev/dri\0", "/dev/root", "/dev", "/etc/passwd", "/dev/../etc/passwd")),
        *(Demands(sysctls=(name,)) for name in ("kernel.panic", "vm.overcommit_memory", "fs.file-max", "kernel.core_pattern")),
        Demands(ulimits=("rtprio",)),
    ],
)  # fmt: skip
def test_assess_root_on_the_machine_is_refused(demands: Demands) -> None:
    found = assess(demands, private_paths=["/home/orca/.orc"])
    assert (found.tier, len(found.refused)) == ("refused", 1)


def test_assess_one_refusal_decides() -> None:
    found = assess(Demands(privileged=True, gpu=True))
    assert (found.tier, found.grants) == ("refused", (Privilege("gpu"),))


def test_check_privileges_granted_passes_and_every_other_value_is_refused() -> None:
    wanted = replace(
        WEB, cap_add=("NET_ADMIN",), published=(PublishedPort(53, 53, "udp"),), devices=(Device("/dev/dri"),)
    )
    grants = (Privilege("capability", "NET_ADMIN"), Privilege("host.port", "udp/53"), Privilege("device", "/dev/dri"))
    check_privileges(replace(wanted, grants=grants))
    for missing in range(len(grants)):
        with pytest.raises(RequestRefused):
            check_privileges(replace(wanted, grants=grants[:missing] + grants[missing + 1 :]))
    with pytest.raises(RequestRefused):
        check_privileges(replace(WEB, published=(PublishedPort(53, 53, "tcp"),), grants=grants))


def test_check_privileges_refused_is_refused_with_any_grant() -> None:
    for program in (
        replace(WEB, cap_add=("SYS_ADMIN",), grants=(Privilege("capability", "SYS_ADMIN"),)),
        replace(WEB, ulimits=(Ulimit("rtprio", 1, 1),)),
    ):
        with pytest.raises(RequestRefused):
            check_privileges(program)


def test_plain_capabilities_are_those_of_the_docker_engine() -> None:
    assert set(_CAPABILITIES) == PLAIN_CAPABILITIES


@pytest.mark.parametrize(
    ("network", "is_own"), [("net", True), ("net-back", True), ("network", False), ("net2", False), ("other", False)]
)
def test_check_privileges_networks_that_are_not_its_own_need_a_grant(network: str, is_own: bool) -> None:
    workload = replace(WEB, attachments=(Attachment(network),))
    if is_own:
        check_privileges(workload)
    else:
        with pytest.raises(RequestRefused):
            check_privileges(workload)
        check_privileges(replace(workload, grants=(Privilege("network", network),)))
