"""From a folder to a live site and back, through the command alone; real Docker, real proxy."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Orc, make_orc
from tests.cli.terminal import Terminal
from tests.conftest import Panel, copy_schema, make_panel, remove_all_of, until

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("cli-deploy")]
DOCKERFILE = """\
FROM scratch
COPY busybox /bin/busybox
COPY www /www
ENTRYPOINT ["/bin/busybox"]
CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]
"""


@pytest.fixture(scope="module")
def busy_panel(tmp_path_factory: pytest.TempPathFactory, schema: Path) -> Iterator[Panel]:
    """A panel with tasks, an engine and a proxy."""
    panel = copy_schema(schema, make_panel(tmp_path_factory.mktemp("busy") / "data"))
    panel.start()
    try:
        panel.wait_ready(120)
        yield panel
    finally:
        panel.stop()
        remove_all_of(panel)


@pytest.fixture
def site(tmp_path: Path, busy_panel: Panel) -> Orc:
    """In the folder of a small site with a Dockerfile."""
    orc = make_orc(tmp_path, ORC_DATA_DIR=str(busy_panel.data_dir))
    shutil.copy("/bin/busybox", orc.folder / "busybox")
    (orc.folder / "Dockerfile").write_text(DOCKERFILE)
    (orc.folder / "orca.yaml").write_text("name: web\nports:\n  - {name: http, port: 8080, public: true}\n")
    (orc.folder / ".gitignore").write_text("*.secret\n")
    write_page(orc, "version one")
    (orc.folder / "www/key.secret").write_text("do not send me")
    return orc


def write_page(orc: Orc, text: str) -> None:
    (orc.folder / "www").mkdir(exist_ok=True)
    (orc.folder / "www/index.html").write_text(text)


def page(panel: Panel, hostname: str, path: str = "/") -> str:
    return panel.site(hostname, path).text


def new_service(orc: Orc, project: str) -> str:
    """A service whose public port is known, so that it gets its hostname; that name."""
    orc.ok("projects", "create", project)
    orc.ok("services", "create", "web", "--project", project, "--port", "8080")
    orc.ok("link", "--project", project, "--service", "web")
    return f"web-{project}.localhost"


def test_the_whole_story(site: Orc, busy_panel: Panel) -> None:
    hostname = new_service(site, "story")

    first = site.ok("deploy")
    assert "✓ build image" in first.out
    assert re.search(r"✓ fetch source .* 5 files, \d\.\d MB\n", first.out)
    assert "Live after" in first.out
    assert hostname in first.out
    assert page(busy_panel, hostname) == "version one"
    assert busy_panel.site(hostname, "/key.secret").status_code == 404, "ignored files are not sent"

    urls = site.ok("open", "--print").out.split()
    assert [hostname in url for url in urls] == [True]
    assert site.ok("open", "--json").json == {"urls": urls}

    write_page(site, "version two")
    first, *chunks, last = site.ok("deploy", "--json").lines
    assert any(chunk["step"] == "build_image" for chunk in chunks)
    assert (first["number"], last["state"], last["number"], last["trigger"]) == (2, "succeeded", 2, "cli")
    assert page(busy_panel, hostname) == "version two"

    containers = site.ok("ps", "--json").json
    assert [(each["state"], each["release"]) for each in containers] == [("running", 2)]
    assert "running" in site.ok("ps").out
    assert "1 of 1 replicas" in site.ok("status").out
    assert [each["is_live"] for each in site.ok("releases", "--json").json["items"]] == [True, False]

    site.ok("rollback")
    assert page(busy_panel, hostname) == "version one"
    site.ok("rollback", "2")
    assert page(busy_panel, hostname) == "version two"
    assert site("rollback", "99").code == 5

    site.ok("restart")
    site.ok("stop")
    assert site.ok("ps", "--json").json == []
    assert busy_panel.site(hostname).status_code == 503
    site.ok("start")
    assert page(busy_panel, hostname) == "version two"

    site.ok("scale", "2")
    assert [each["state"] for each in site.ok("ps", "--json").json] == ["running", "running"]

    shown = site.ok("deployments", "show", "2").out
    assert "fetch source" in shown
    listed = site.ok("deployments", "--json").json["items"]
    assert [each["number"] for each in listed] == [8, 7, 6, 5, 4, 3, 2, 1]
    assert "COPY" in site.ok("logs", "--deployment", "2").out
    assert "COPY" in "".join(line["text"] for line in site.ok("logs", "--deployment", "2", "--json").lines)


def test_commands_run_inside_with_their_exit_code(site: Orc) -> None:
    new_service(site, "inside")
    assert site("run", "--", "echo").code == 5
    site.ok("env", "set", "GREETING=hello from the release")
    site.ok("env", "set", "--secret", "TOKEN", stdin="hush")
    site.ok("deploy")
    assert site.ok("run", "--", "sh", "-c", "echo $GREETING; echo $TOKEN").out == "hello from the release\nhush\n"
    assert site("run", "sh", "-c", "exit 42").code == 42
    *lines, end = site("run", "--json", "sh", "-c", "echo out; exit 3").lines
    assert [line["text"].strip() for line in lines] == ["out"]
    assert end == {"exit_code": 3}
    evil = site.ok("run", "--", "printf", "\\033]0;owned\\007a\\033[2Jb\\n").out
    assert evil == "ab\n"


def test_logs_of_the_replicas(site: Orc) -> None:
    script = "i=0; while [ $i -lt 3 ]; do echo line $i; i=$((i+1)); done; exec /bin/busybox httpd -f -p 8080 -h /www"
    new_service(site, "logs")
    site.ok("services", "edit", "--command", f"sh -c '{script}'")
    site.ok("deploy")
    assert site.ok("logs").out == "0 line 0\n0 line 1\n0 line 2\n"
    assert site.ok("logs", "-n", "1").out == "0 line 2\n"
    assert [line["text"].strip() for line in site.ok("logs", "--json", "-n", "2").lines] == ["line 1", "line 2"]
    assert site.ok("logs", "--replica", "0").out == site.ok("logs").out
    other = site("logs", "--replica", "7")
    assert (other.code, other.out, other.err) == (4, "", "error: there is no replica 7\nhint: There is: 0.\n")
    following = site.start("logs", "--follow", "--times")
    assert following.stdout is not None
    assert following.stdout.readline().endswith(" 0 line 0\n")
    following.terminate()
    following.communicate(timeout=20)
    assert "no replica is wanted" in site.ok("scale", "0").out
    assert "healthy after" not in site.ok("deployments", "show").out


def test_failure_is_told_and_leaves_what_was_live(site: Orc, busy_panel: Panel) -> None:
    hostname = new_service(site, "failing")
    site.ok("deploy")
    (site.folder / "Dockerfile").write_text(DOCKERFILE.replace("COPY www /www", "COPY nothing /www"))
    done = site("deploy")
    assert done.code == 1
    assert "✗ build image" in done.out
    assert done.err.splitlines()[-2].startswith("error: deployment 2 failed: ")
    assert done.err.splitlines()[-1].startswith("hint: ")
    assert page(busy_panel, hostname) == "version one"
    assert "failed" in site.ok("status").out


def test_first_deploy_makes_project_service_and_link(site: Orc) -> None:
    done = site.ok("deploy", "--project", "fresh", "--yes", "--no-follow", "--json")
    assert done.json["state"] in {"queued", "running"}
    link = json.loads((site.folder / ".orc/link.json").read_text())
    assert (link["project"], link["service"], link["server"]) == ("fresh", "web", "local")
    assert site.ok("deployments", "follow").code == 0
    again = site.ok("deploy", "--json").lines[-1]
    assert (again["service_id"], again["number"]) == (link["service_id"], 2)


def test_a_folder_of_files_becomes_a_static_service_that_logs_its_requests(tmp_path: Path, busy_panel: Panel) -> None:
    orc = make_orc(tmp_path, ORC_DATA_DIR=str(busy_panel.data_dir))
    (orc.folder / "index.html").write_text("plain files")
    done = orc.ok("deploy", "--yes", "--project", "plain", "--service", "site")
    assert re.search(r"✓ fetch source .* 1 file, 11 B\n", done.out)
    assert page(busy_panel, "site-plain.localhost", "/?from=test") == "plain files"
    assert "site (static)" in orc.ok("status").out
    asked = until(lambda: [line for line in orc.ok("logs").out.splitlines() if "from=test" in line], seconds=20)
    assert asked == ['0 {"size": 11, "status": 200, "asked": "GET /?from=test"}']
    assert all('"asked": ' in line for line in orc.ok("logs").out.splitlines())


def test_names_are_asked_at_a_terminal(site: Orc) -> None:
    with Terminal([sys.executable, "-m", "orca.cli", "deploy", "--no-follow"], site) as terminal:
        terminal.expect("Which project")
        terminal.type("asked\n")
        terminal.expect("What is the service called? [web]")
        terminal.type("\n")
        assert terminal.wait() == 0
    link = json.loads((site.folder / ".orc/link.json").read_text())
    assert (link["project"], link["service"]) == ("asked", "web")


def test_folder_by_argument_and_flags_as_scripts_use_them(site: Orc, tmp_path: Path) -> None:
    elsewhere = Orc(tmp_path, site.env)
    elsewhere.ok("deploy", str(site.folder), "--project", "examples", "--service", "hello", "--yes")
    listed = elsewhere.ok("services", "list", "--project", "examples", "--json").json["items"]
    assert [each["slug"] for each in listed] == ["hello"]
    elsewhere.ok("stop", "--project", "examples", "--service", "hello")


def test_image_that_does_not_exist(site: Orc) -> None:
    done = site("deploy", "--yes", "--image", "127.0.0.1:1/nothing:none", "--project", "images", "--service", "app")
    assert done.code == 1
    assert site("deploy", "--image", "Not An Image!", "--project", "images", "--service", "app").code == 5


def test_cancelled_deployment(site: Orc) -> None:
    new_service(site, "slow")
    site.ok(
        "services", "edit", "--from", "-", stdin='{"health": {"type": "http", "path": "/never", "start_period": 600}}'
    )
    site.ok("deploy", "--no-follow")
    until(lambda: site.ok("deployments", "--json").json["items"][0]["state"] == "running", seconds=60)
    site.ok("cancel")
    done = site("deployments", "follow")
    assert done.code == 1
    assert "cancelled" in done.err
    assert site("cancel").code == 4


def test_hostnames(site: Orc, busy_panel: Panel) -> None:
    new_service(site, "named")
    site.ok("deploy")
    made = site.ok("domains", "add", "www.example.org", "--tls", "off", "--json").json
    assert page(busy_panel, "www.example.org") == "version one"
    assert "www.example.org" in site.ok("domains").out
    assert "www.example.org" in site.ok("open", "--print").out.splitlines()[0], "chosen names come first"
    added = site.ok("domains", "add", "example.org", "--tls", "off", "--redirect-to", "http://www.example.org")
    assert "✗ dns" in added.out
    assert "example.org → " not in site.ok("open", "--print").out
    checked = site("domains", "check", "www.example.org")
    assert checked.code == 1, "that name does not lead here"
    assert "✗ dns" in checked.out
    assert "✗ dns" in site("domains", "retry", "www.example.org").out
    assert site("domains", "add", "www.example.org", "--tls", "off").code == 5
    assert site("domains", "add", "not a name").code == 5
    site.ok("domains", "edit", "www.example.org", "--maintenance", "--max-body-mb", "20", "--allow-ips", "10.0.0.0/8")
    site.ok(
        "domains", "edit", "www.example.org", "--protocol", "h2c", "--hsts-max-age", "31536000", "--hsts-subdomains",
        "--hsts-preload",
    )  # fmt: skip
    site.ok("domains", "edit", "www.example.org", "--user", "ada", stdin="correct horse")
    site.ok("domains", "edit", "www.example.org", "--user", "bob", stdin="battery staple")
    changed = site.ok(
        "domains", "edit", "www.example.org", "--no-maintenance", "--allow-ips", "all", "--remove-user", "bob",
        "--port", "0", "--json", "--protocol", "http", "--hsts-max-age", "off", "--no-hsts-preload",
    ).json  # fmt: skip
    options = changed["options"]
    assert [options[name] for name in ("maintenance", "max_body_mb", "allow_ips", "basic_auth")] == [
        False,
        20,
        [],
        ["ada"],
    ]
    assert busy_panel.site("www.example.org").status_code == 401
    assert busy_panel.site("www.example.org", auth=("ada", "correct horse")).text.strip() == "version one"
    assert site("domains", "edit", "www.example.org").code == 2
    assert site("domains", "edit", "www.example.org", "--max-body-mb", "-1").code == 5
    site.ok("domains", "remove", "example.org")
    site.ok("domains", "remove", made["id"])
    assert site("domains", "remove", "www.example.org").code == 4


def test_proxy_and_its_authority(site: Orc) -> None:
    assert "running" in site.ok("proxy").out
    assert site.ok("proxy", "ca").out.startswith("-----BEGIN CERTIFICATE-----\n")
