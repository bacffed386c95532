"""Flags for what some images need of their containers, and for a health check by command, against a real panel."""

from tests.cli.conftest import Orc
from tests.cli.test_commands import linked, project

__all__ = ["linked", "project"]
RUNTIME = {
    "working_directory": "/srv", "hostname": "db-1", "read_only": True, "tmpfs": {"/cache": 64, "/tmp": 8}, "shm_mb": 256,
    "ulimits": {"nofile": 65536, "memlock": -1}, "stop_signal": "SIGINT", "init": False,
    "extra_hosts": {"upstream.example": "192.0.2.7"}, "cap_drop": ["CHOWN"], "networks": {"back": ["db", "cache"], "front": []},
}  # fmt: skip


def test_container_options_are_set_by_flags_shown_and_cleared(linked: Orc) -> None:
    flags = (
        "--working-directory", "/srv", "--hostname", "db-1", "--read-only", "--tmpfs", "/cache=64", "--tmpfs", "/tmp=8",
        "--shm", "256", "--ulimit", "nofile=65536", "--ulimit", "memlock=-1", "--stop-signal", "SIGINT", "--no-init",
        "--extra-host", "upstream.example=192.0.2.7", "--cap-drop", "cap_chown",
        "--network", "back=db cache", "--network", "front",
    )  # fmt: skip
    made = linked.ok("services", "edit", *flags, "--json").json
    assert {name: value for name, value in made["runtime"].items() if name in RUNTIME} == RUNTIME
    shown = linked.ok("services", "show").out
    for part in (
        "networks back=db cache, front",
        "tmpfs /cache=64, /tmp=8",
        "ulimits nofile=65536, memlock=-1",
        "read only yes",
        "init no",
    ):
        assert part in shown
    less = linked.ok("services", "edit", "--tmpfs", "", "--no-read-only", "--init", "--json").json
    assert less["runtime"] == {**made["runtime"], "tmpfs": {}, "read_only": False, "init": True}
    assert linked("services", "edit", "--ulimit", "nofile").code == 2
    assert linked("services", "edit", "--ulimit", "nofile=many").code == 2
    beyond = linked("services", "edit", "--publish", "53:53/udp", "--host-folder", "/media=/srv/media:ro")
    assert "orc services grant host.port:udp/53 --service" in beyond.err
    refused = linked("services", "edit", "--ulimit", "rtprio=1")
    assert (refused.code, "rtprio" in refused.err) == (5, True)


def test_health_command_is_set_by_a_flag_and_leaves_with_its_type(linked: Orc) -> None:
    made = linked.ok(
        "services", "edit", "--health-command", "pg_isready -U 'my app'", "--health-timeout", "3", "--json"
    )
    assert (made.json["health"]["type"], made.json["health"]["timeout"]) == ("command", 3)
    assert made.json["health"]["command"] == ["pg_isready", "-U", "my app"]
    assert "command: pg_isready -U my app" in linked.ok("services", "show").out
    after = linked.ok("services", "edit", "--health-type", "http", "--json").json
    assert (after["health"]["type"], after["health"]["command"]) == ("http", [])
    assert linked("services", "edit", "--health-type", "tcp", "--health-command", "true").code == 2
    assert linked("services", "edit", "--health-type", "command").code == 5


def test_files_are_set_kept_and_removed_by_flags_and_shown_without_their_text(linked: Orc) -> None:
    (linked.folder / "app.conf").write_text("listen 80\n")
    made = linked.ok(
        "services", "edit", "--file", "/etc/app.conf=app.conf", "--secret-file", "/run/secrets/key=KEY", "--json"
    ).json["runtime"]["files"]
    assert made["/etc/app.conf"] == {"content": "listen 80\n", "secret": None, "mode": ""}
    assert made["/run/secrets/key"] == {"content": None, "secret": "KEY", "mode": ""}
    shown = linked.ok("services", "show").out
    assert "files /etc/app.conf /run/secrets/key" in shown
    assert "listen 80" not in shown
    (linked.folder / "other.conf").write_text("x")
    left = linked.ok(
        "services", "edit", "--file", "/etc/other.conf=other.conf", "--remove-file", "/etc/app.conf", "--json"
    ).json["runtime"]["files"]
    assert sorted(left) == ["/etc/other.conf", "/run/secrets/key"]
    (linked.folder / "binary").write_bytes(b"\xff\xfe")
    for flags, code in (
        (("--file", "/etc/a=nothing-there"), 5), (("--file", "/etc/a=binary"), 5), (("--file", "/etc/a"), 2),
        (("--remove-file", "/etc/a"), 2), (("--file", "/proc/a=other.conf"), 5), (("--secret-file", "/a=1KEY"), 5),
    ):  # fmt: skip
        assert linked("services", "edit", *flags).code == code, flags


def test_privileges_are_granted_used_and_taken_back(linked: Orc) -> None:
    refused = linked("services", "edit", "--cap-add", "net_admin", "--device", "/dev/net/tun")
    assert refused.code == 5
    assert "orc services grant capability:NET_ADMIN --service web" in refused.err
    granted = linked.ok("services", "grant", "capability:NET_ADMIN", "device:/dev/net/tun").out
    assert "capability:NET_ADMIN: web may change interfaces" in granted
    made = linked.ok("services", "edit", "--cap-add", "net_admin", "--device", "/dev/net/tun", "--json").json["runtime"]
    assert (made["cap_add"], made["devices"]) == (["NET_ADMIN"], ["/dev/net/tun"])
    assert "capability:NET_ADMIN, device:/dev/net/tun" in linked.ok("services", "show").out
    assert (
        linked.ok("services", "revoke", "capability:NET_ADMIN", "--json").json[0]["privilege"] == "device:/dev/net/tun"
    )
    assert linked.ok("services", "revoke", "device:/dev/net/tun").out == "web has no privileges any more.\n"
    absent = linked("services", "revoke", "capability:NET_ADMIN")
    assert (absent.code, "has no privilege" in absent.err) == (4, True)
    for text in ("capability:SYS_ADMIN", "privileged", "device:/dev/sda"):
        assert linked("services", "grant", text).code == 5, text
