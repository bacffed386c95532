"""Which service a command means, seen from a folder that is linked to one, to none, or is no place for a source."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Orc, Stub
from tests.cli.terminal import Terminal

pytestmark = pytest.mark.slow

REPOSITORY = "https://github.com/acme/app"


@pytest.fixture
def shop(local: Orc, request: pytest.FixtureRequest) -> str:
    """A project with one service `web`; its slug."""
    made = local.ok("projects", "create", f"shop {request.node.name}"[:40], "--json").json
    local.ok("services", "create", "web", "--project", made["id"])
    return str(made["slug"])


@pytest.fixture
def blog(local: Orc, shop: str) -> str:
    """Another one, with `web` as well and a service whose name there is once; its slug."""
    made = local.ok("projects", "create", f"blog of {shop}", "--json").json
    for name in ("web", once(shop)):
        local.ok("services", "create", name, "--project", made["id"])
    return str(made["slug"])


def once(shop: str) -> str:
    """The quiet panel is shared by all tests of a session, so that no fixed name is there once."""
    return f"once-{shop}"[:40].strip("-")


@pytest.fixture
def linked(local: Orc, shop: str, blog: str) -> Orc:
    local.ok("link", "--project", shop, "--service", "web")
    assert blog
    return local


def link_of(orc: Orc) -> dict[str, str] | None:
    path = orc.folder / ".orc/link.json"
    return json.loads(path.read_text()) if path.exists() else None


def slugs(orc: Orc, project: str) -> set[str]:
    return {each["slug"] for each in orc.ok("services", "list", "--project", project, "--json").json["items"]}


def projects(orc: Orc) -> set[str]:
    return {each["slug"] for each in orc.ok("projects", "--json").json["items"]}


# ── a link hides nothing ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_linked_folder_sees_the_services_of_other_projects(linked: Orc, shop: str, blog: str) -> None:
    wanted = once(shop)
    found = linked.ok("services", "show", wanted, "--json")
    assert found.json["slug"] == wanted
    assert linked.ok("deployments", "--service", wanted).code == 0
    told = linked.ok("services", "show", "--service", wanted).err
    assert told == f"This is {blog}/{wanted}; {shop} has none of that name.\n"
    assert linked("services", "show", "nothing-like-this").code == 4


def test_the_linked_project_comes_first(linked: Orc, shop: str) -> None:
    own = linked.ok("services", "show", "--json").json
    assert linked.ok("services", "show", "web", "--json").json["id"] == own["id"]
    assert linked.ok("services", "show", "web").err == ""
    linked.ok("link", "--remove")
    done = linked("services", "show", "web")
    assert done.code == 2
    assert shop in done.err
    assert "--project" in done.err


def test_ids_are_found_wherever_they_are(linked: Orc, shop: str, blog: str) -> None:
    wanted = linked.ok("services", "show", once(shop), "--json").json["id"]
    for command in (["services", "show", wanted], ["status", "--service", wanted], ["deployments", "-s", wanted]):
        assert linked.ok(*command).code == 0
    assert linked("services", "show", wanted, "--project", shop).code == 4, "that is another project"
    assert linked.ok("services", "show", wanted, "--project", blog, "--json").json["id"] == wanted
    assert linked("services", "show", "00000000-0000-7000-8000-000000000000").code == 4


# ── what is deployed where ───────────────────────────────────────────────────────────────────────────────────────────


def test_deploying_a_service_that_is_there_once_needs_no_project(local: Orc, shop: str, blog: str) -> None:
    (local.folder / "index.html").write_text("hello")
    before = projects(local)
    deployed = local.ok("deploy", "--service", once(shop), "--no-follow", "--json").json
    assert deployed["service_id"] == local.ok("services", "show", once(shop), "--json").json["id"]
    assert projects(local) == before
    link = link_of(local)
    assert link is not None
    assert (link["project"], link["service"]) == (blog, once(shop))


def test_deploying_a_name_of_several_projects_asks_which(local: Orc, shop: str, blog: str) -> None:
    (local.folder / "index.html").write_text("hello")
    done = local("deploy", "--service", "web", "--yes", "--no-follow")
    assert done.code == 2
    assert shop in done.err
    assert blog in done.err
    assert local.ok("deploy", "--service", "web", "--project", blog, "--no-follow").code == 0


def test_nothing_is_made_without_a_terminal_or_a_yes(local: Orc, shop: str) -> None:
    (local.folder / "index.html").write_text("hello")
    before = projects(local)
    new = local("deploy", "--service", f"new-{shop}")
    assert (new.code, new.err.splitlines()[0]) == (
        2, f"error: there is no project work for the service new-{shop} yet",
    )  # fmt: skip
    assert "--yes" in new.err
    assert local("deploy", "--project", shop, "--service", "api").err.startswith(
        f"error: there is no service api in {shop} yet\nhint: Without a terminal, --yes makes it."
    )
    assert local("deploy", "--git", REPOSITORY).code == 2
    assert (projects(local), slugs(local, shop), link_of(local)) == (before, {"web"}, None)
    made = local.ok("deploy", "--project", shop, "--service", "api", "--yes", "--no-follow")
    assert "Made the service api (static).\n" in made.err
    assert slugs(local, shop) == {"web", "api"}


def test_the_folder_belongs_to_what_was_sent_from_it_and_to_nothing_else(linked: Orc, local: Orc, shop: str) -> None:
    mine = link_of(linked)
    (local.folder / "index.html").write_text("hello")
    local.ok("deploy", "--git", REPOSITORY, "--service", "other", "--yes", "--no-follow")
    local.ok("deploy", ".", "--service", "again", "--yes", "--no-follow")
    assert link_of(local) == mine
    local.ok("link", "--remove")
    local.ok("deploy", "--git", REPOSITORY, "--service", "repo", "--project", shop, "--yes", "--no-follow")
    local.ok("deploy", "--image", "example.org/a:1", "--service", "image", "--project", shop, "--yes", "--no-follow")
    local.ok("deploy", "--service", "repo", "--project", shop, "--no-follow")
    assert link_of(local) is None
    local.ok("deploy", "--service", "again", "--project", shop, "--no-follow")
    assert (link_of(local) or {})["service"] == "again"


def test_a_commit_never_sends_a_folder(local: Orc, shop: str) -> None:
    (local.folder / "index.html").write_text("hello")
    missing = local("deploy", "--service", f"sf-{shop}", "--commit", "abcdef1", "--yes")
    assert missing.code == 4
    assert "`orc deploy --git URL --commit ID` makes one" in missing.err
    assert local("deploy", "--commit", "abcdef1").code == 2, "no service is chosen"
    folder = local("deploy", "--service", "web", "--project", shop, "--commit", "abcdef1", "--yes")
    assert (folder.code, folder.err.splitlines()[0]) == (
        2, "error: web has no repository, so that there are no commits",
    )  # fmt: skip
    for extra in (["."], ["--image", "example.org/a:1"]):
        assert local("deploy", *extra, "--commit", "abcdef1").code == 2
    assert slugs(local, shop) == {"web"}
    local.ok("deploy", "--git", REPOSITORY, "--commit", "abcdef1", "--service", "g", "-p", shop, "--yes", "--no-follow")
    assert local.ok("deploy", "--service", "g", "-p", shop, "--commit", "abcdef2", "--no-follow", "--json").json
    assert link_of(local) is None


def test_a_home_and_the_whole_machine_are_not_sent(local: Orc, shop: str) -> None:
    home = Path(local.env["HOME"])
    (home / "index.html").write_text("hello")
    deploy = ("deploy", "--project", shop, "--service", "all", "--yes", "--no-follow")
    for folder, told in ((home, "your home folder"), (home.parent, "a folder above your home"), (Path("/"), "above")):
        done = Orc(folder, local.env)(*deploy)
        assert done.code == 5
        assert told in done.err
        assert "orc deploy FOLDER" in done.err
        assert not (folder / ".orc").exists()
    assert Orc(home, local.env)(*deploy[:5], ".", *deploy[5:]).code == 5
    assert slugs(local, shop) == {"web"}
    (home / "Dockerfile").write_text("FROM scratch\n")
    assert Orc(home, local.env).ok(*deploy).code == 0


def test_a_refused_source_leaves_nothing_and_claims_nothing(local: Orc, shop: str) -> None:
    before = projects(local)
    for project in (f"new-{shop}", shop):
        done = local("deploy", "--yes", "--project", project, "--service", "app2", "--git", "http://example.org/a.git")
        assert done.code == 5
        assert "Mad" not in done.err, "nor Made"
        assert "Mak" not in done.err, "nor Making"
    assert projects(local) == before
    assert slugs(local, shop) == {"web"}


def test_a_folder_that_cannot_be_sent_leaves_nothing(local: Orc, shop: str) -> None:
    before = projects(local)
    for name in (f"new-{shop}", shop):
        done = local("deploy", "--yes", "--project", name, "--service", "empty")
        assert (done.code, done.err.splitlines()[0]) == (5, f"error: {local.folder} holds nothing to send")
    assert projects(local) == before
    assert slugs(local, shop) == {"web"}


def test_a_deployment_that_was_not_taken_on_links_nothing(remote: Orc, stub: Stub) -> None:
    (remote.folder / "index.html").write_text("hello")
    project = {"id": "p", "slug": "shop", "name": "shop"}
    service = {"id": "s", "slug": "web", "name": "web", "source": {"type": "directory"}}
    stub.json("GET /api/v1/projects", {"items": [project], "next_cursor": None})
    stub.json("GET /api/v1/projects/p/services", {"items": [service], "next_cursor": None})
    stub.json("POST /api/v1/services/s/uploads", {"id": "u"})
    problem = {"status": 409, "code": "conflict", "detail": "not now", "hint": ""}
    stub.json("POST /api/v1/services/s/deployments", problem, 409, "application/problem+json")
    deploy = ("deploy", "--project", "shop", "--service", "web", "--no-follow")
    assert remote(*deploy).code == 5
    assert link_of(remote) is None
    stub.json("POST /api/v1/services/s/deployments", {"number": 1})
    remote.ok(*deploy)
    assert (link_of(remote) or {})["service_id"] == "s"


@pytest.fixture
def asked(local: Orc, shop: str) -> Iterator[Terminal]:
    (local.folder / "index.html").write_text("hello")
    with Terminal([sys.executable, "-m", "orca.cli", "deploy", "-s", f"t-{shop}", "--no-follow"], local) as terminal:
        yield terminal


def test_at_a_terminal_a_new_service_asks_for_its_project(asked: Terminal, local: Orc, shop: str) -> None:
    asked.expect("work (new project)")
    asked.type(f"{shop}\n")
    assert asked.wait() == 0
    assert f"t-{shop}"[:40].strip("-") in slugs(local, shop)
