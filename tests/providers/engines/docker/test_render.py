"""What the engine is told to create: hardened, whatever the specification says."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from orca.errors import RequestRefused
from orca.providers.engines.docker.labels import container_labels, matches, visible_labels
from orca.providers.engines.docker.render import render_container, render_network
from orca.sdk.containers import ContainerSpec
from orca.sdk.workloads import Mount


def render(**options):
    spec = ContainerSpec(name="web", image="sha256:1", network="net", labels={}, **options)
    return render_container(spec, labels={"orca.instance": "x"}, address=IPv4Address("10.213.0.10"), init=True)


def test_a_whole_container():
    body = render(
        env={"KEY": "va=l'u\"e\n$x"},
        command=("serve", "--port", "80"),
        mounts=(Mount("data", "/data"), Mount("conf", "/etc/conf", read_only=True)),
        cpus=0.5,
        memory_bytes=64 << 20,
        pids=100,
        restart="on-failure",
        stop_grace=2.5,
        ports=(80,),
    )
    assert body == {
        "Image": "sha256:1",
        "Labels": {"orca.instance": "x"},
        "Env": ["KEY=va=l'u\"e\n$x"],
        "Cmd": ["serve", "--port", "80"],
        "ExposedPorts": {"80/tcp": {}},
        "StopTimeout": 3,
        "HostConfig": {
            "NetworkMode": "net",
            "RestartPolicy": {"Name": "on-failure"},
            "AutoRemove": False,
            "Init": True,
            "Privileged": False,
            "CapDrop": ["ALL"],
            "CapAdd": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "NET_BIND_SERVICE", "KILL"],
            "SecurityOpt": ["no-new-privileges"],
            "PidsLimit": 100,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
            "Mounts": [
                {"Type": "volume", "Source": "data", "Target": "/data", "ReadOnly": False},
                {"Type": "volume", "Source": "conf", "Target": "/etc/conf", "ReadOnly": True},
            ],
            "Memory": 64 << 20,
            "MemorySwap": 64 << 20,
            "NanoCpus": 500_000_000,
        },
        "NetworkingConfig": {"EndpointsConfig": {"net": {"IPAMConfig": {"IPv4Address": "10.213.0.10"}}}},
    }


def test_without_a_command_the_image_s_own_stays():
    assert "Cmd" not in render()


@pytest.mark.parametrize("path", ["", "data", "/a/../../etc", "../x"])
def test_mount_paths_are_absolute(path):
    with pytest.raises(RequestRefused):
        render(mounts=(Mount("data", path),))


@pytest.mark.parametrize("name", ["", "A=B", "A\0"])
def test_variables_need_names(name):
    with pytest.raises(RequestRefused) as failure:
        render(env={name: "canary"})
    assert "canary" not in str(failure.value)


def test_a_network_leaves_little_to_docker():
    body = render_network("net", {"orca.instance": "x"}, IPv4Network("10.213.7.0/24"))
    assert body["IPAM"]["Config"] == [{"Subnet": "10.213.7.0/24", "IPRange": "10.213.7.0/29", "Gateway": "10.213.7.1"}]


STEERING = (
    "traefik.enable", "TRAEFIK.HTTP.ROUTERS.X.RULE", "caddy_0", "ofelia.job-exec.x.schedule", "com.centurylinklabs.watchtower.enable",
    "com.github.nginx-proxy.nginx", "io.portainer.accesscontrol.public", "diun.enable", "autoheal", "docker-volume-backup.stop-during-backup",
    "swarm.cronjob.enable", "homepage.href", "glance.url", "coolify.managed", "dokploy.x", "Org.opencontainers.image.x", "of.next.year", "x",
)  # fmt: skip


def test_labels_of_an_image_steer_nothing():
    labels = container_labels(
        "mine",
        "web",
        {"orca.service": "s"},
        {"orca.service": "other", "orca.role": "proxy", "maintainer": "me", "org.opencontainers.image.title": "web"}
        | dict.fromkeys(STEERING, "true"),
    )
    assert visible_labels(labels) == {"orca.service": "s", "orca.instance": "mine", "orca.container": "web"}
    assert set(STEERING) <= set(labels)
    assert "true" not in labels.values()
    assert {"maintainer", "org.opencontainers.image.title"}.isdisjoint(labels)


@pytest.mark.parametrize("key", [*STEERING, "com.docker.compose.project", "containerd.io/x", "maintainer"])
def test_steering_labels_cannot_be_asked_for(key):
    with pytest.raises(RequestRefused):
        container_labels("mine", "web", {key: "x"}, {})


@pytest.mark.parametrize(
    ("wanted", "answer"),
    [({}, True), ({"a": "1"}, True), ({"a": ""}, True), ({"a": "2"}, False), ({"b": ""}, False)],
)
def test_labels_match(wanted, answer):
    assert matches({"a": "1"}, wanted) is answer
