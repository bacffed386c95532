"""Nouns and verbs against a real panel, as a script would use them. What needs a running container is elsewhere."""

import json
import sqlite3
import subprocess
import sys

import pytest
from tests.cli.conftest import Orc, Stub
from tests.cli.terminal import Terminal
from tests.conftest import Panel

from orca import __version__
from orca.kit.ids import new_id


@pytest.fixture
def project(local: Orc, request: pytest.FixtureRequest) -> str:
    """A project of this test, with one service `web`; its slug."""
    made = local.ok("projects", "create", f"P {new_id()[-12:]} {request.node.name}"[:60], "--json").json
    local.ok("services", "create", "web", "--project", made["id"], "--port", "8080")
    return str(made["slug"])


@pytest.fixture
def linked(local: Orc, project: str) -> Orc:
    """In a folder that belongs to the service."""
    local.ok("link", "--project", project, "--service", "web")
    return local


def test_whoami_and_version(local: Orc) -> None:
    me = local.ok("whoami", "--json").json
    assert me["via"] == "socket"
    assert "service.deploy" in local.ok("whoami").out


def test_projects_are_made_listed_and_deleted(local: Orc) -> None:
    made = local.ok("projects", "create", "Böök Shop", "--description", "sells books", "--json").json
    assert made["name"] == "Böök Shop"
    assert any(each["id"] == made["id"] for each in local.ok("projects", "--json").json["items"])
    assert "sells books" in local.ok("projects").out
    asked = local("projects", "delete", made["slug"])
    assert (asked.code, asked.out) == (2, "")
    assert f"--confirm {made['slug']}" in asked.err
    assert local("projects", "delete", made["slug"], "--confirm", "another").code == 2
    local.ok("projects", "delete", "Böök Shop", "--confirm", "Böök Shop")
    assert local("projects", "delete", made["slug"], "--confirm", made["slug"]).code == 4


def test_environments_are_made_used_and_deleted(local: Orc, project: str) -> None:
    chosen = ("--project", project)
    told = local.ok("environments", "create", "Staging", *chosen).out
    assert f"orc services create NAME --project {project} --environment staging" in told
    assert [each["slug"] for each in local.ok("environments", *chosen, "--json").json] == ["production", "staging"]
    assert "staging" in local.ok("environments", "list", *chosen).out
    made = local.ok("services", "create", "web", *chosen, "--environment", "Staging", "--json").json
    assert made["slug"] == "web-staging"
    mistyped = local("services", "create", "api", *chosen, "--environment", "stagin")
    assert (mistyped.code, "Did you mean `staging`?" in mistyped.err) == (4, True)
    delete = ("environments", "delete", "staging", *chosen, "--confirm", "staging")
    assert local("environments", "delete", "staging", *chosen).code == 2
    assert (
        local(*delete).code,
        local("environments", "delete", "production", *chosen, "--confirm", "production").code,
    ) == (5, 5)
    local.ok("services", "delete", "web-staging", *chosen, "--confirm", "web-staging")
    assert local.ok(*delete).out == "Deleted the environment staging.\n"
    assert len(local.ok("environments", *chosen, "--json").json) == 1


def test_a_second_project_of_a_name_is_told_and_chosen_by_its_slug(local: Orc) -> None:
    local.ok("projects", "create", "Twin")
    second = local("projects", "create", "Twin")
    assert (second.code, "with the name “Twin” (slug twin)" in second.err) == (5, True)
    assert local.ok("projects", "create", "Twin", "--slug", "twin-2").out == "Made the project twin-2.\n"
    refused = local("deploy", "--project", "Twin", "--yes", "--no-follow")
    assert (refused.code, refused.err.splitlines()[0]) == (2, "error: several projects are called Twin")
    for slug in ("twin-2", "twin"):
        local.ok("projects", "delete", slug, "--confirm", slug)


def test_deleting_asks_for_the_name_at_a_terminal(local: Orc) -> None:
    local.ok("projects", "create", "doomed")
    argv = [sys.executable, "-m", "orca.cli", "projects", "delete", "doomed"]
    with Terminal(argv, local) as terminal:
        terminal.expect("Type doomed to go on:")
        terminal.type("doom\n")
        assert terminal.wait() == 2
    with Terminal(argv, local) as terminal:
        terminal.expect("Type doomed to go on:")
        terminal.type("doomed\n")
        assert terminal.wait() == 0
    assert "Deleted the project doomed" in terminal.seen


def test_project_with_services_is_kept(local: Orc, project: str) -> None:
    done = local("projects", "delete", project, "--confirm", project)
    assert done.code == 5
    assert "web" in done.err


def test_lists_of_many_pages_are_whole(local: Orc, project: str) -> None:
    for number in range(3):
        local.ok("services", "create", f"s{number}", "--project", project)
    listed = local.ok("services", "list", "--project", project, "--json").json
    assert {each["slug"] for each in listed["items"]} == {"web", "s0", "s1", "s2"}
    assert listed["next_cursor"] is None


def test_services_are_made_with_all_that_flags_say(local: Orc, project: str) -> None:
    made = local.ok(
        "services", "create", "api", "--project", project, "--git", "https://github.com/acme/api", "--branch", "main",
        "--subdirectory", "backend", "--port", "8000", "--port", "9100/private", "--command", "python -m api 'two words'",
        "--release-command", "python manage.py migrate", "--replicas", "2", "--cpus", "0.5", "--memory", "256",
        "--health-path", "/healthz", "--dockerfile", "deploy/Dockerfile", "--restart", "always", "--stop-grace", "20",
        "--json",
    ).json  # fmt: skip
    assert made["source"]["repository"] == "https://github.com/acme/api"
    assert (made["source"]["branch"], made["source"]["subdirectory"]) == ("main", "backend")
    assert [(port["port"], port["public"]) for port in made["ports"]] == [(8000, True), (9100, False)]
    assert made["command"] == ["python", "-m", "api", "two words"]
    assert made["release_command"] == ["python", "manage.py", "migrate"]
    assert (made["replicas"], made["resources"]) == (2, {"cpus": 0.5, "memory_mb": 256})
    assert (made["health"]["path"], made["build"]["dockerfile"]) == ("/healthz", "deploy/Dockerfile")
    shown = local.ok("services", "show", "api", "--project", project).out
    assert "https://github.com/acme/api (main)" in shown


def test_edits_change_what_they_name_and_nothing_else(linked: Orc) -> None:
    before = linked.ok("services", "edit", "--memory", "256", "--health-path", "/a", "--json").json
    after = linked.ok("services", "edit", "web", "--cpus", "2", "--health-type", "tcp", "--name", "Web!", "--json").json
    assert after["resources"] == {"cpus": 2, "memory_mb": 256}
    assert after["health"] == {**before["health"], "type": "tcp"}
    assert after["name"] == "Web!"
    assert after["ports"] == before["ports"]
    assert linked("services", "edit").code == 2
    (linked.folder / "change.json").write_text(json.dumps({"replicas": 3, "build": {"target": "prod"}}))
    assert linked.ok("services", "edit", "--from", "change.json", "--json").json["build"]["target"] == "prod"
    assert linked.ok("services", "edit", "--from", "-", "--json", stdin='{"replicas": 4}').json["replicas"] == 4
    assert linked("services", "edit", "--from", "-", stdin="[1]").code == 5
    assert linked("services", "edit", "--from", "-", stdin='{"unknown": 1}').code == 5
    assert linked("services", "edit", "--branch", "main").code == 2


def test_services_are_deleted_by_name(local: Orc, project: str) -> None:
    assert local("services", "delete", "web", "--project", project, "--confirm", "wrong").code == 2
    local.ok("services", "edit", "web", "--project", project, "--name", "The Web")
    local.ok("services", "delete", "web", "--project", project, "--confirm", "The Web")
    assert local("services", "show", "web", "--project", project).code == 4


def test_names_that_mean_several_things_are_told(local: Orc, project: str) -> None:
    other = local.ok("projects", "create", f"two {project}", "--json").json["slug"]
    local.ok("services", "create", "web", "--project", other)
    done = local("services", "show", "web")
    assert done.code == 2
    assert other in done.err
    assert "--project" in done.err
    assert local("ps", "--service", "nothing-of-that-name").code == 4
    assert local("ps", "--project", "nothing-of-that-name", "--service", "web").code == 4


def test_nothing_chosen_is_told(local: Orc) -> None:
    for command in (["ps"], ["logs"], ["env"], ["deployments"], ["scale", "1"], ["open"], ["domains"]):
        done = local(*command)
        assert done.code == 2, command
        assert "--service NAME" in done.err
    assert local("volumes").code == 2
    (local.folder / "orca.yaml").write_text("name: web\n")
    assert local("ps").code == 2, "the name alone could mean the service of another project"


def test_name_in_orca_yaml_counts_inside_a_project(local: Orc, project: str) -> None:
    (local.folder / "orca.yaml").write_text("name: web\n")
    assert local.ok("services", "show", "--project", project, "--json").json["slug"] == "web"
    (local.folder / "orca.yaml").write_text("name: [broken\n")
    done = local("services", "show", "--project", project)
    assert done.code == 5
    assert "line" in done.err


def test_links_are_written_shown_ignored_by_git_and_removed(local: Orc, project: str) -> None:
    assert local("link").code == 2
    made = local.ok("link", "--project", project, "--service", "web", "--json").json
    assert json.loads((local.folder / ".orc/link.json").read_text()) == made
    assert f"{project}/web on local" in local.ok("link").out
    git = ["git", "-C", str(local.folder)]
    subprocess.run([*git, "init", "-q"], check=True)
    assert subprocess.run([*git, "status", "--short"], check=True, capture_output=True).stdout == b""
    assert local.ok("services", "show", "--json").json["id"] == made["service_id"]
    local.ok("link", "--remove")
    assert local("link", "--remove").code == 4
    assert local("services", "show").code == 2


def test_links_that_a_repository_planted_are_not_written_through(local: Orc, project: str) -> None:
    precious = local.folder.parent / "precious"
    precious.write_text("mine")
    (local.folder / ".orc").mkdir()
    for name in (".gitignore", "link.json"):
        (local.folder / ".orc" / name).symlink_to(precious)
    assert local("ps").code == 1, "what the link leads to is no link of ours"
    (local.folder / ".orc/link.json").unlink()
    local.ok("link", "--project", project, "--service", "web")
    (local.folder / "orca.yaml").symlink_to(local.folder.parent / "planted")
    (local.folder / "index.html").write_text("")
    local.ok("init")
    assert precious.read_text() == "mine"
    assert not (local.folder.parent / "planted").exists()
    assert (local.folder / "orca.yaml").is_file()
    local.ok("link", "--remove")
    (local.folder / ".orc").rename(local.folder.parent / "elsewhere")
    (local.folder / ".orc").symlink_to(local.folder.parent / "elsewhere")
    refused = local("link", "--project", project, "--service", "web")
    assert refused.code == 1
    assert "symbolic link" in refused.err


def test_link_to_a_service_that_is_gone(linked: Orc, project: str) -> None:
    linked.ok("services", "delete", "--confirm", "web")
    done = linked("services", "show")
    assert done.code == 4
    assert "orc link --remove" in done.err


def test_variables_are_set_listed_imported_and_removed(linked: Orc) -> None:
    done = linked.ok("env", "set", "A=1", "B=x=y", "EMPTY=", "AT=@/etc/passwd")
    assert done.out == "Set A, B, EMPTY, AT. They take effect with the next deployment.\n"
    listed = {each["key"]: each["value"] for each in linked.ok("env", "--json").json}
    assert listed == {"A": "1", "B": "x=y", "EMPTY": "", "AT": "@/etc/passwd"}
    (linked.folder / ".env").write_text("export C='two words'\n# no\nA=2\n")
    linked.ok("env", "import", ".env", "--build")
    assert {each["key"] for each in linked.ok("env", "list", "--json").json if each["is_build_time"]} == {"A", "C"}
    removed = linked.ok("env", "unset", "A", "B", "NEVER_THERE")
    assert removed.out == "Removed A, B. They take effect with the next deployment.\n"
    assert removed.err == "There was no variable NEVER_THERE.\n"
    absent = linked("env", "unset", "A", "B")
    assert (absent.code, absent.out, absent.err.splitlines()[0]) == (4, "", "error: there is no variable A, B")
    assert {each["key"] for each in linked.ok("env", "--json").json} == {"AT", "C", "EMPTY"}
    assert "two words" in linked.ok("env").out
    for arguments, code in (
        (["set", "NOVALUE"], 2),
        (["set", "1X=1"], 5),
        (["import", "@none"], 5),
        (["import", "-"], 5),
    ):
        assert linked("env", *arguments).code == code, arguments
    assert linked("env", "import", "-", stdin="A=1\nbroken line").err.startswith("error: -, line 2: ")


def test_every_mistake_in_variables_is_told_at_its_place(linked: Orc) -> None:
    told = linked("env", "import", "-", stdin="A=1\n1X=secret\nnonsense\n")
    assert told.code == 5
    assert told.err == (
        "error: - has 2 mistakes:\n  line 2: a name cannot begin with a digit\n  line 3: KEY=value is expected\n"
        "hint: Nothing was changed.\n"
    )
    assert len(json.loads(linked("env", "import", "-", "--json", stdin="1X\nnonsense").err)["problems"]) == 2
    one = linked("env", "set", "A=1", "1A=2").err
    assert one.startswith("error: 1A: ")
    assert "variables." not in one
    two = linked("env", "set", "1A=2", "B C=3").err.splitlines()
    assert [line.partition(":")[0].strip() for line in two[1:3]] == ["1A", "B C"]
    assert linked.ok("env", "--json").json == []


def test_no_secret_is_stored_where_none_was_given(linked: Orc) -> None:
    for nothing in ("", "\n"):
        done = linked("env", "set", "--secret", "API_KEY", stdin=nothing)
        assert (done.code, done.err.splitlines()[0]) == (5, "error: nothing was given for API_KEY")
    assert linked.ok("env", "--json").json == []
    linked.ok("env", "set", "--secret", "API_KEY=")
    assert linked.ok("env", "reveal", "API_KEY").out == ""


def test_secrets_are_read_from_stdin_and_shown_only_on_request(linked: Orc) -> None:
    secret = "pre cious\nof two lines"
    done = linked.ok("env", "set", "--secret", "API_KEY", stdin=secret)
    listed = linked.ok("env", "--json").json
    assert listed == [{**listed[0], "key": "API_KEY", "value": None, "is_secret": True}]
    assert "cious" not in done.out + done.err + linked.ok("env").out
    assert linked.ok("env", "reveal", "API_KEY").out == secret
    assert linked.ok("env", "reveal", "API_KEY", "--json").json == {"key": "API_KEY", "value": secret}
    linked.ok("env", "import", "--secret", "-", stdin="X=1\nY=2\n")
    assert all(each["is_secret"] for each in linked.ok("env", "--json").json)


def test_every_byte_of_a_secret_on_stdin_is_kept(linked: Orc) -> None:
    """Before: the last newline was taken off, and a private key without it is none."""
    key = "-----BEGIN KEY-----\r\nabc\n-----END KEY-----\n"
    linked.ok("env", "set", "--secret", "ssh.key-file", stdin=key)
    assert linked.ok("env", "reveal", "ssh.key-file", "--json").json["value"] == key
    told = linked.ok("env", "set", "--secret", "TOKEN", stdin="abc\n").err
    assert "ends with a newline" in told
    refused = linked("env", "set", "--secret", "BLOB", stdin=b"\x00\xff")
    assert refused.code == 5
    assert "base64" in refused.err


def test_secrets_on_the_command_line_are_refused(linked: Orc) -> None:
    done = linked("env", "set", "--secret", "API_KEY=precious")
    assert done.code == 2
    assert "precious" not in done.err
    assert linked("env", "set", "--secret", "A", "B", stdin="x").code == 2
    assert linked.ok("env", "--json").json == []


def test_secrets_typed_at_a_terminal_are_not_echoed(linked: Orc) -> None:
    with Terminal([sys.executable, "-m", "orca.cli", "env", "set", "--secret", "ONE", "TWO"], linked) as terminal:
        terminal.expect("ONE:")
        terminal.type("first-secret\n")
        terminal.expect("TWO:")
        terminal.type("second-secret\n")
        assert terminal.wait() == 0
    assert "first-secret" not in terminal.seen
    assert linked.ok("env", "reveal", "TWO").out == "second-secret"


def test_shared_variables_belong_to_the_project(linked: Orc, project: str) -> None:
    linked.ok("env", "set", "--shared", "REGION=eu")
    assert linked.ok("env", "--json").json == []
    assert [each["key"] for each in linked.ok("env", "list", "--shared", "--project", project, "--json").json] == [
        "REGION"
    ]
    assert linked.ok("env", "reveal", "--shared", "REGION").out == "eu"
    done = linked.ok("env", "unset", "--shared", "REGION")
    assert done.out == "Removed REGION. It takes effect with the next deployment.\n"


def test_volumes_are_added_detached_attached_and_destroyed(linked: Orc) -> None:
    made = linked.ok("volumes", "add", "data", "/data", "--json").json
    assert "data" in linked.ok("volumes").out
    linked.ok("volumes", "detach", "data")
    assert "detached" in linked.ok("volumes").out
    assert linked("volumes", "detach", "data").code == 4
    assert linked.ok("volumes", "attach", "data", "/other", "--json").json["path"] == "/other"
    assert linked("volumes", "destroy", "data", "--confirm", "data").code == 5, "it is attached"
    linked.ok("volumes", "detach", made["id"])
    assert linked("volumes", "destroy", "data").code == 2
    assert linked("volumes", "destroy", "data", "--confirm", "other").code == 2
    assert linked.ok("volumes", "destroy", "data", "--confirm", "data", "--json").json["destroying_since"]
    assert linked("volumes", "add", "BAD NAME", "/x").code == 5


def test_volumes_are_shared_and_changed_for_one_service(linked: Orc) -> None:
    linked.ok("volumes", "add", "uploads", "/data")
    linked.ok("services", "create", "reader", "--image", "nginx")
    linked.ok("volumes", "attach", "uploads", "/seen", "--service", "reader", "--read-only")
    listed = linked.ok("volumes", "list").out
    assert ", reader" in listed or "reader, " in listed
    assert linked("volumes", "edit", "uploads", "--service", "reader").code == 2
    changed = linked.ok("volumes", "edit", "uploads", "--service", "reader", "--writable", "--json").json
    assert [each["read_only"] for each in changed["mounts"]] == [False, False]
    linked.ok("volumes", "detach", "uploads", "--service", "reader")
    linked.ok("volumes", "detach", "uploads")


def test_tokens_are_shown_once_and_revoked(local: Orc) -> None:
    done = local.ok(
        "tokens", "create", "ci-token", "--scope", "service.deploy", "--scope", "deployment.read", "--days", "3"
    )
    assert done.out.startswith("orca_pat_")
    assert len(done.out.splitlines()) == 1
    assert "only time" in done.err
    listed = local.ok("tokens", "--json")
    assert done.out.strip() not in listed.out
    assert {"service.deploy", "deployment.read"} == set(
        next(each for each in listed.json["items"] if each["name"] == "ci-token")["scopes"]
    )
    assert "in 3 days" in local.ok("tokens").out
    local.ok("tokens", "revoke", "ci-token")
    assert local("tokens", "revoke", "ci-token").code == 4
    assert local("tokens", "create", "x", "--scope", "no.such").code == 5
    assert local("tokens", "create", "x").code == 2


def test_hooks_show_their_secret_once(linked: Orc) -> None:
    linked.ok("services", "edit", "--git", "https://github.com/acme/web")
    made = linked.ok("hooks", "create", "--provider", "github", "--branch", "main", "--watch", "src/**", "--json").json
    assert made["secret"]
    assert made["watch_paths"] == ["src/**"]
    assert made["secret"] not in linked.ok("hooks", "--json").out
    assert "github" in linked.ok("hooks").out
    rotated = linked.ok("hooks", "rotate", made["id"])
    assert made["secret"] not in rotated.out
    assert made["id"] in rotated.out
    assert "warning: localhost is the panel's own machine" in rotated.err
    assert "ORC_BASE_URL" in rotated.err
    assert "Nothing has arrived" in linked.ok("hooks", "pushes", made["id"]).out
    generic = linked.ok("hooks", "create", "--provider", "generic", "--branch", "main")
    assert "X-Orca-Signature-256" in generic.err
    linked.ok("hooks", "delete", made["id"])
    assert linked("hooks", "delete", made["id"]).code == 4
    assert linked("hooks", "delete", "../../projects").code == 4
    assert linked("hooks", "create", "--provider", "svn", "--branch", "x").code == 2


def test_webhooks_show_their_secret_once(local: Orc) -> None:
    assert "There are no webhooks" in local.ok("webhooks").out
    url = "https://hooks.example.org/orca"
    made = local.ok("webhooks", "add", "chat", url, "--event", "deployment.finished", "--json").json
    assert made["secret"].startswith("whsec_")
    assert made["secret"] not in local.ok("webhooks", "--json").out
    assert "deployment.finished" in local.ok("webhooks").out
    rotated = local.ok("webhooks", "rotate", made["id"])
    assert made["secret"] not in rotated.out
    local.ok("webhooks", "update", made["id"], "--all-events", "--no-enabled")
    [shown] = local.ok("webhooks", "--json").json["items"]
    assert (shown["types"], shown["is_enabled"]) == ([], False)
    assert local("webhooks", "update", made["id"]).code == 2
    assert "Nothing was sent" in local.ok("webhooks", "deliveries", made["id"]).out
    assert local("webhooks", "add", "chat", "https://169.254.169.254/").code == 5
    local.ok("webhooks", "remove", made["id"])
    assert local("webhooks", "remove", made["id"]).code == 4


def test_webhook_test_waits_for_the_answer(remote: Orc, stub: Stub) -> None:
    row = {
        "id": "d", "type": "ping", "state": "queued", "attempts": 0, "status_code": None, "problem": "",
        "created_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    stub.json("GET /api/v1/webhooks", {"items": [{"id": "w", "name": "chat"}], "next_cursor": None})
    stub.json("POST /api/v1/webhooks/w/test", row)
    stub.json("GET /api/v1/webhooks/w/deliveries/d", {**row, "state": "delivered", "status_code": 204})
    assert "204" in remote.ok("webhooks", "test", "chat").out
    refused = {**row, "state": "failed", "status_code": 500, "problem": "The receiver answered 500.", "attempts": 1}
    stub.json("GET /api/v1/webhooks/w/deliveries/d", refused)
    failed = remote("webhooks", "test", "w")
    assert failed.code != 0
    assert "The receiver answered 500" in failed.err
    stub.json("GET /api/v1/webhooks/w/deliveries", {"items": [refused], "next_cursor": None})
    assert "500" in remote.ok("webhooks", "deliveries", "w").out


def test_pushes_that_were_refused_are_told_with_their_reason(remote: Orc, stub: Stub) -> None:
    push = {"received_at": "2026-01-01T00:00:00Z", "commit": "a" * 40, "is_accepted": True, "decision": "goes live"}
    refused = {**push, "commit": "", "is_accepted": False, "is_refused": True, "times": 2, "decision": "not signed"}
    stub.json("GET /api/v1/projects", {"items": [{"id": "p", "slug": "shop", "name": "shop"}], "next_cursor": None})
    stub.json("GET /api/v1/projects/p/services", {"items": [{"id": "s", "slug": "web"}], "next_cursor": None})
    stub.json("GET /api/v1/services/s/hooks", {"items": [{"id": "h"}], "next_cursor": None})
    stub.json("GET /api/v1/services/s/hooks/h/pushes", {"items": [refused, push], "next_cursor": None})
    told = remote.ok("hooks", "pushes", "h", "-p", "shop", "-s", "web").out
    assert "refused: not signed (2 times)" in told
    assert "goes live\n" in told


def test_credentials_never_show_their_secrets(local: Orc) -> None:
    assert local("credentials", "add-key", "deploy-key").code == 2
    key = local.ok("credentials", "add-key", "deploy-key", "--host", "Git.Example.org:2222")
    assert key.out.startswith("ssh-ed25519 ")
    again = local("credentials", "add-key", "deploy-key", "--host", "github.com")
    assert (again.code, "there is a deploy key “deploy-key” already" in again.err) == (5, True)
    hub = ("hub-token", "--host", "github.com", "--username", "bot")
    local.ok("credentials", "add-token", *hub, stdin="ghp_precious\n")
    local.ok("credentials", "add-registry", "ghcr.io", "--username", "bot", stdin="pre cious\n")
    listed = local.ok("credentials").out
    for told in ("deploy-key", "git.example.org:2222", "hub-token", "github.com", "bot at ghcr.io"):
        assert told in listed
    assert "precious" not in local.ok("credentials", "--json").out
    moved = local.ok("credentials", "set-host", "hub-token", "git.example.org", stdin="other-precious\n")
    assert moved.out == "hub-token is used at git.example.org only.\n"
    local.ok("credentials", "set-host", "deploy-key", "git.example.org")
    assert local("credentials", "set-host", "nothing", "git.example.org").code == 4
    refused = local("credentials", "set-host", "deploy-key", "https://git.example.org/a")
    assert refused.code != 0
    assert "is not the host of a repository" in refused.err
    assert "github.com" not in local.ok("credentials").out
    for name in ("deploy-key", "hub-token", "ghcr.io"):
        local.ok("credentials", "delete", name)
    assert local("credentials", "delete", "deploy-key").code == 4


def test_nothing_runs_yet(linked: Orc) -> None:
    assert linked.ok("deployments", "--json").json == {"items": [], "next_cursor": None}
    assert "no releases yet" in linked.ok("releases").out
    assert "none yet" in linked.ok("status").out
    assert linked("rollback").code == 5
    assert linked("restart").code == 5
    assert linked("cancel").code == 4
    assert linked("deployments", "show").code == 4
    assert linked("deployments", "show", "7").code == 4
    assert linked("scale", "51").code == 5
    assert linked("run").code == 2
    assert linked("run", "--", "true").code == 5


def test_status_tells_what_it_knows_while_docker_is_away(linked: Orc) -> None:
    told = linked.ok("status").out
    assert "unknown: Docker could not say its version" in told
    assert "replicas" not in told
    known = linked.ok("status", "--json").json
    assert known["containers"] is None
    assert "Docker" in known["containers_problem"]
    assert linked("ps").code == 1


def test_status_lists_all_services(local: Orc, project: str) -> None:
    line = next(line for line in local.ok("status", "--project", project).out.splitlines() if line.startswith(project))
    assert line.split()[:3] == [project, "web", "web"]


def test_init_writes_what_it_finds_and_no_more(local: Orc) -> None:
    (local.folder / "index.html").write_text("<h1>hello</h1>")
    printed = local.ok("init", "--print").out
    assert not (local.folder / "orca.yaml").exists()
    assert "Wrote" in local.ok("init").out
    assert (local.folder / "orca.yaml").read_text() == printed
    assert "name: " in printed
    assert "kind: static " in printed
    (local.folder / "orca.yaml").write_text("name: mine\n")
    done = local("init")
    assert done.code == 5
    assert "--force" in done.err
    assert (local.folder / "orca.yaml").read_text() == "name: mine\n"
    local.ok("init", "--force")
    assert (local.folder / "orca.yaml").read_text() == printed
    assert local("init", "no-such-folder").code == 2


def test_init_says_why_nothing_can_be_built_and_what_would_help(local: Orc) -> None:
    (local.folder / "requirements.txt").write_text("streamlit\n")
    for name in ("shop", "blog"):
        (local.folder / name).mkdir()
        (local.folder / name / "Dockerfile").write_text("FROM scratch\n")
    done = local("init", "--print")
    assert done.code == 3
    assert done.err.startswith("error: A Python project without a program")
    assert "build.options.start" in done.err
    assert "shop could be built: Dockerfile" in done.err
    assert not (local.folder / "orca.yaml").exists()
    (local.folder / "streamlit_app.py").write_text("import streamlit\n")
    (local.folder / "Procfile").write_text(
        "release: ./migrate now\nweb: streamlit run streamlit_app.py\nqueue: rq worker $Q\n"
    )
    printed = local.ok("init", "--print").out
    assert 'release_command: ["./migrate", "now"]' in printed
    assert '#command: ["/bin/sh", "-c", "rq worker $Q"]' in printed


def test_init_and_deploy_ask_which_of_several_ports_is_for_visitors(local: Orc) -> None:
    (local.folder / "Dockerfile").write_text("FROM scratch\nEXPOSE 3000 9000\n")
    asked = local("init", "--print")
    assert asked.code == 5
    assert asked.err.startswith("error: several ports could be the one for visitors: 3000, 9000\n")
    assert "`ports: [{name: http, port: 3000, public: true}]` in orca.yaml" in asked.err
    assert "`orc init --port 3000`" in asked.err
    assert "\nports: [{name: http, port: 9000, public: true}]\n" in local.ok("init", "--print", "--port", "9000").out
    refused = local("deploy", "--yes", "--project", "several", "--service", "web")
    assert refused.code == 2
    assert "`orc deploy --port 3000`" in refused.err
    assert not [each for each in local.ok("projects", "list", "--json").json["items"] if each["slug"] == "several"]


def test_init_ejects_a_dockerfile_and_keeps_one_that_is_there(local: Orc) -> None:
    nothing = local("init", "--eject")
    assert nothing.code == 3
    assert nothing.err.startswith("error: nothing here says how to build it\nhint: ")
    (local.folder / "Dockerfile").write_text("FROM scratch\n")
    assert local("init", "--eject").code == 5
    assert (local.folder / "Dockerfile").read_text() == "FROM scratch\n"
    assert local.ok("init", "--eject", "--print").out == "FROM scratch\n"


def test_the_panel_is_opened_at_the_page_of_what_is_chosen(linked: Orc, project: str, quiet_panel: Panel) -> None:
    panel = linked.ok("whoami", "--json").json["panel_url"]
    assert panel.startswith("http")
    service = linked.ok("services", "show", "--json").json
    assert linked.ok("dashboard").out == f"{panel}/services/{service['id']}\n"
    assert linked.ok("dashboard", f"{project}/web", "--json").json == {"url": f"{panel}/services/{service['id']}"}
    assert linked.ok("dashboard", "--project", project).out == f"{panel}/projects/{service['project_id']}\n"
    linked.ok("link", "--remove")
    assert linked.ok("dashboard").out == f"{panel}/\n"


def test_a_server_of_an_earlier_version_is_its_own_panel(remote: Orc, stub: Stub) -> None:
    stub.json("GET /api/v1/me", {"actor": "ada"})
    assert remote.ok("dashboard", "--print").out == f"{stub.url}/\n"


def test_the_trail_is_listed_and_verified(local: Orc) -> None:
    project = local.ok("projects", "create", "Seen", "--json").json
    local.ok("projects", "delete", project["id"], "--confirm", "Seen")
    about = ("audit", "list", "--object-type", "project", "--object-id", project["id"])
    assert [each["type"] for each in local.ok(*about, "--json").json["items"]] == ["ProjectDeleted", "ProjectCreated"]
    shown = local.ok(*about, "--type", "ProjectCreated").out.splitlines()
    assert shown[0].split() == ["WHEN", "EVENT", "BY", "FROM", "ABOUT", "OUTCOME"]
    assert [("project Seen" in line, "done" in line) for line in shown[1:]] == [(True, True)]
    assert local.ok(*about, "--type", "Project created").out.splitlines() == shown
    with Terminal([sys.executable, "-m", "orca.cli", *about], local) as terminal:
        terminal.expect("Project created")
        assert terminal.wait() == 0
    assert len(local.ok("audit", "list", "--limit", "1", "--json").json["items"]) == 1
    assert local.ok(*about, "--type", "Never").out == "Nothing of that kind has happened.\n"
    assert local("audit", "list", "--limit", "1000").code == 5
    assert local.ok("audit", "verify", "--json").json["is_intact"]
    assert "intact" in local.ok("audit", "verify").out


@pytest.mark.parametrize(
    ("count", "told"), [(1, "1 event, 1 signed checkpoint"), (2, "2 events, 2 signed checkpoints")]
)
def test_one_is_told_as_one(remote: Orc, stub: Stub, count: int, told: str) -> None:
    stub.json("GET /api/v1/events/verify", {"is_intact": True, "events": count, "checkpoints": count})
    assert remote.ok("audit", "verify").out == f"intact: {told}\n"


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"index.html": "<h1>hello</h1>"}, "static"),
        ({"Dockerfile": "FROM scratch\n", "index.html": ""}, "web"),
        ({"main.py": "print(1)\n", "requirements.txt": ""}, "worker"),
        ({"index.html": "", "orca.yaml": "kind: site\n"}, "static"),
        ({"index.html": "", "orca.yaml": "kind: web\n"}, "web"),
    ],
    ids=["static", "dockerfile", "worker", "said-by-an-alias", "said"],
)
def test_the_first_deploy_makes_the_kind_of_service_that_the_folder_is(
    local: Orc, project: str, files: dict[str, str], kind: str
) -> None:
    for name, content in files.items():
        (local.folder / name).write_text(content)
    local.ok("deploy", "--project", project, "--service", "made", "--yes", "--no-follow")
    assert local.ok("services", "show", "--json").json["kind"] == kind


def test_a_wrong_orca_yaml_is_refused_before_anything_is_made_or_sent(local: Orc, project: str) -> None:
    (local.folder / "orca.yaml").write_text("kind: web\nreplicsa: 2\n")
    done = local("deploy", "--project", project, "--service", "made", "--yes")
    assert done.code == 5
    assert done.err.startswith("error: orca.yaml, line 2, column 1: replicsa: unknown key; did you mean “replicas”?")
    assert "hint: " in done.err
    (local.folder / "orca.yaml").write_text("kind: web\nreplicsa: 2\nprots: []\n")
    first, *listed, hint = local("deploy", "--project", project, "--yes").err.splitlines()
    assert first == "error: orca.yaml has 2 mistakes:"
    assert [line.partition(": unknown key")[0] for line in listed] == [
        "  replicsa: line 2, column 1",
        "  prots: line 3, column 1",
    ]
    assert hint.startswith("hint: ")
    assert local("deploy", "--project", "unheard-of", "--yes").code == 5
    assert json.loads(local("deploy", "--project", project, "--yes", "--json").err)["problems"][0]["line"] == 2
    assert [each["slug"] for each in local.ok("services", "list", "--project", project, "--json").json["items"]] == [
        "web"
    ]
    assert all(each["slug"] != "unheard-of" for each in local.ok("projects", "--json").json["items"])
    local.ok("link", "--project", project, "--service", "web")
    assert local("deploy").code == 5
    assert local.ok("deployments", "--json").json["items"] == []
    (local.folder / "orca.yaml").write_text("kind: web\nreplicas: 2\n")
    assert local.ok("deploy", "--no-follow", "--json").json["number"] == 1


def test_a_server_of_another_version_judges_orca_yaml_itself(remote: Orc, stub: Stub) -> None:
    (remote.folder / "orca.yaml").write_text("key_of_tomorrow: 2\nkind: worker\n")
    stub.json("GET /api/v1/projects", {"items": [{"id": "p", "slug": "shop", "name": "shop"}], "next_cursor": None})
    stub.json("GET /api/v1/projects/p/services", {"items": [], "next_cursor": None})
    stub.json("POST /api/v1/projects/p/services", {"id": "s", "slug": "web", "source": {"type": "directory"}})
    stub.json("POST /api/v1/services/s/uploads", {"id": "u"})
    stub.json("POST /api/v1/services/s/deployments", {"number": 1})
    deploy = ("deploy", "--project", "shop", "--service", "web", "--yes", "--no-follow")
    stub.json("GET /api/health", {"version": __version__})
    assert remote(*deploy).code == 5
    assert all(asked.method == "GET" for asked in stub.asked)
    stub.json("GET /api/health", {"version": "99.0.0"})
    remote.ok(*deploy)
    assert [
        json.loads(asked.body) for asked in stub.asked if asked.path == "/api/v1/projects/p/services" and asked.body
    ] == [{"name": "web", "source": {"type": "directory"}, "kind": "worker"}]


def test_systems_are_listed_and_shown_by_name(local: Orc) -> None:
    (listed,) = local.ok("systems", "list", "--json").json["items"]
    assert (listed["id"], listed["connector"], listed["disks"] != []) == ("local", "local", True)
    assert "SYSTEM" in local.ok("systems").out
    shown = local.ok("systems", "show", "local").out
    assert listed["state"] in shown
    assert "connector" in shown
    assert local("systems", "show", "nowhere").code == 4


def test_roles_on_parts_are_given_listed_and_taken(local: Orc, project: str, quiet_panel: Panel) -> None:
    email = "ada@example.org"
    with sqlite3.connect(quiet_panel.data_dir / "orc.db") as database:
        database.execute(
            "INSERT INTO users (id, created_at, email, name, password_hash, password_changed_at, is_instance_admin)"
            " VALUES (?, '2026-01-01', ?, 'Ada', '', '2026-01-01', FALSE)",
            (new_id(), email),
        )
    made = local.ok("grants", "add", email, "--role", "member", "--project", project, "--json").json
    assert (made["user_email"], made["role"]) == (email, "member")
    local.ok("grants", "add", email, "--role", "viewer", "--project", project, "--environment", "production")
    on_system = local.ok("grants", "add", email, "--role", "viewer", "--system", "local")
    assert on_system.out == f"{email} is viewer of local.\n"
    assert {each["part"] for each in local.ok("grants", "--json", "--project", project).json["items"]} == {
        made["part"], f"Production of {made['part']}"
    }  # fmt: skip
    assert "environment" in local.ok("grants", "list").out
    assert local("grants", "add", email, "--role", "member", "--project", project).code == 5
    assert local("grants", "add", email, "--role", "member", "--project", project, "--system", "local").code == 2
    assert local("grants", "add", email, "--role", "member", "--project", project, "--environment", "x").code == 4
    assert local("grants", "remove", email).code == 2
    for each in local.ok("grants", "--json").json["items"]:
        local.ok("grants", "remove", each["id"])
    assert "There are no grants" in local.ok("grants").out
