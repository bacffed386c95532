"""Looking at a source through its doors: real Git servers, both databases, hostile trees; nothing stays behind."""

import asyncio
import gzip
import io
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from tests.attacks.argv import META
from tests.attacks.checks import UNKNOWN
from tests.conftest import API_TOKEN, client_of, copy_claimed, make_settings, running_app
from tests.features.services.events import events_of
from tests.features.sources.steps.conftest import (
    TOKEN,
    make_repository,
    repositories,
    server,
    ssh_server,
    tls_files,
)
from tests.open_systems import exchange

from orca.errors import DeadlineExceeded
from orca.features.projects.models import Project
from orca.features.services import pipeline
from orca.features.sources.operations import Leftovers
from orca.features.sources.schemas import GitSource, ImageSource
from orca.sdk.testing.fake_host import FakeHost
from orca.web.guard import Scope

pytestmark = pytest.mark.slow

__all__ = ["make_repository", "repositories", "server", "ssh_server", "tls_files"]

FASTAPI = {"requirements.txt": "fastapi\nuvicorn\n", "main.py": "from fastapi import FastAPI\napp = FastAPI()\n"}
TAR = {"Content-Type": "application/x-tar"}


@pytest.fixture
async def app(
    tmp_path: Path, database_url: str | None, claimed_data: Path, tls_files: tuple[Path, Path, str]
) -> AsyncIterator[FastAPI]:
    """An instance that may fetch from this machine and trusts the test's own authority."""
    copy_claimed(claimed_data, tmp_path / "data", database_url)
    (tmp_path / "authority.pem").write_text(tls_files[2])
    git = {"private_networks": True, "ca_file": tmp_path / "authority.pem"}
    async with running_app(make_settings(tmp_path / "data", database_url=database_url, git=git)) as running:
        yield running
        looks = running.state.settings.data_dir / "looks"
        assert not looks.exists() or list(looks.iterdir()) == [], "something stayed behind"
        assert not running.state.resources.looks, "a turn was not given back"


@pytest.fixture
def look(client: httpx.AsyncClient, project: dict):
    async def ask(source: dict, status: int = 200) -> dict:
        path = f"/api/v1/projects/{project['id']}/detect"
        answer = await client.post(path, json={"build_source": source}, timeout=90)
        assert answer.status_code == status, answer.text
        return answer.json()

    return ask


def git(server, name: str, **more) -> dict:
    return {"type": "git", "repository": server.url(f"/{name}"), **more}


async def test_a_python_repository_is_recognised(app, look, make_repository, server, project):
    commit = make_repository("shop.git").commit(FASTAPI, "Add the shop\n\nWith a body")
    found = await look(git(server, "shop.git"))
    assert (found["builder"], found["template"], found["kind"], found["port"]) == ("template", "python", "web", 8000)
    assert found["name"] == "shop"
    assert "FastAPI" in found["summary"]
    assert (found["commit"], found["commit_message"]) == (commit, "Add the shop")
    assert found["start_command"].startswith("uvicorn main:app")
    assert found["dockerfile"].startswith("# Python")
    assert (found["health"]["type"], found["health"]["path"]) == ("http", "/")
    assert found["orca_file"] is None
    assert "builder: template" in found["suggested_orca_file"]
    event = (await events_of(app, "SourceInspected"))[0]
    assert (event.object_id, event.payload["repository"]) == (project["id"], server.url("/shop.git"))


async def test_a_dockerfile_and_a_valid_orca_yaml_count(look, make_repository, server):
    make_repository("app.git").commit({
        "api/Dockerfile.prod": 'FROM scratch\nEXPOSE 9000\nENTRYPOINT ["/run"]\n',
        "api/orca.yaml": "name: Billing\nbuild: {dockerfile: Dockerfile.prod}\nhealth: {type: http, path: /up}\n",
    })  # fmt: skip
    found = await look(git(server, "app.git", branch="main", subdirectory="api"))
    assert (found["builder"], found["template"], found["port"]) == ("dockerfile", None, 9000)
    assert (found["name"], found["start_command"], found["health"]["path"]) == ("Billing", "/run", "/up")
    assert found["orca_file"]["problems"] == []
    assert found["suggested_orca_file"] is None


async def test_a_broken_orca_yaml_is_told_line_by_line_and_the_rest_is_found_anyway(look, make_repository, server):
    make_repository("app.git").commit({**FASTAPI, "orca.yaml": "kind: web\nreplica: 2\n"})
    found = await look(git(server, "app.git"))
    assert found["template"] == "python"
    (problem,) = found["orca_file"]["problems"]
    assert (problem["key"], problem["line"], problem["column"]) == ("replica", 2, 1)


async def test_a_source_that_nothing_fits_says_where_to_look(look, make_repository, server):
    make_repository("mono.git").commit(
        {"README.md": "x", "apps/shop/main.py": FASTAPI["main.py"], "apps/shop/requirements.txt": "fastapi\nuvicorn\n"}
    )
    found = await look(git(server, "mono.git"))
    assert found["builder"] is None
    assert [each["path"] for each in found["folders"]] == ["apps/shop"]
    assert found["reason"] == "Nothing to build in the root; there is a project in apps/shop."
    assert "Choose one of the folders" in found["hints"][0]
    assert "apps/shop could be built" in found["hints"][1]
    assert "README.md" in " ".join(found["hints"])


async def test_processes_and_the_release_command_of_a_source_are_told(look, make_repository, server):
    procfile = "release: ./migrate\nweb: gunicorn main:app\nqueue: rq worker\n"
    make_repository("app.git").commit({**FASTAPI, "Procfile": procfile})
    found = await look(git(server, "app.git"))
    assert found["processes"] == [{"name": "queue", "command": "rq worker"}]
    assert (found["release_command"], found["framework"], found["language"]) == ("./migrate", "FastAPI", "python")


async def test_a_wrong_branch_lists_those_that_exist(look, make_repository, server):
    repository = make_repository("app.git")
    repository.commit({"a": "1"})
    repository.push("HEAD:refs/heads/release/2")
    problem = await look(git(server, "app.git", branch="mian"), 422)
    assert problem["code"] == "git-ref-missing"
    assert problem["hint"] == "Its branches: main, release/2."


async def test_a_wrong_subdirectory_lists_those_that_exist(look, make_repository, server):
    make_repository("app.git").commit({"backend/a": "1", "frontend/b": "1"})
    problem = await look(git(server, "app.git", subdirectory="back"), 422)
    assert "back" in problem["detail"]
    assert problem["hint"] == "There are: backend, frontend."
    assert "source.git.subdirectory" in problem["fields"]


async def test_an_empty_repository_says_so(look, make_repository, server):
    make_repository("empty.git")
    problem = await look(git(server, "empty.git"), 422)
    assert problem["code"] == "git-ref-missing"
    assert "empty" in problem["detail"]


async def test_a_private_repository_asks_for_a_credential_and_takes_one(
    client, look, make_repository, server, repositories
):
    make_repository("private/app.git").commit(FASTAPI)
    problem = await look(git(server, "private/app.git"), 422)
    assert problem["code"] == "git-login-refused"
    assert "token or a deploy key" in problem["hint"]
    fields = {"name": "shop", "kind": "token", "host": server.host, "token": TOKEN}
    credential = (await client.post("/api/v1/git-credentials", json=fields)).json()
    found = await look(git(server, "private/app.git", credential_id=credential["id"]))
    assert found["template"] == "python"
    assert TOKEN not in str(found)


async def test_an_unknown_host_key_is_shown_by_its_fingerprint(client, look, make_repository, ssh_server):
    make_repository("app.git").commit(FASTAPI)
    fields = {"name": "key", "kind": "ssh", "host": ssh_server.host}
    credential = (await client.post("/api/v1/git-credentials", json=fields)).json()
    source = {"type": "git", "repository": ssh_server.url("app.git"), "credential_id": credential["id"]}
    problem = await look(source, 422)
    assert problem["code"] == "git-host-key-unknown"
    assert ssh_server.fingerprint in problem["detail"]


@pytest.mark.parametrize("path", ["page/app.git", "broken/app.git", "nothing.git", "moved/app.git"])
async def test_a_host_that_does_not_play_along_is_explained(look, server, path):
    server.redirect_to = "https://elsewhere.example"
    problem = await look(git(server, path), 422)
    assert problem["code"].startswith("git-")
    assert problem["hint"]


async def test_a_host_that_never_answers_is_left_in_time(app, project, server):
    async with app.state.resources.db.read() as session:
        team = await session.scalar(select(Project.team_id))
    source = GitSource(repository=server.url("/stalled/app.git"))
    with pytest.raises(DeadlineExceeded) as caught:
        await pipeline.detect(app.state.resources, Scope(team), project["id"], source, deadline=1)
    assert "1 seconds" in caught.value.message
    assert caught.value.status == 504
    server.stall.set()


async def come_true(condition) -> None:
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110 - it is about files
            await asyncio.sleep(0.02)


async def test_the_loop_stays_free_and_leaving_stops_the_work(app, client, project, server):
    """A host that never answers: others are served meanwhile, and nothing goes on once the asker is gone."""
    path = f"/api/v1/projects/{project['id']}/detect"
    asking = asyncio.ensure_future(client.post(path, json={"build_source": git(server, "stalled/app.git")}))
    looks = app.state.settings.data_dir / "looks"
    await come_true(lambda: looks.exists() and list(looks.iterdir()))
    began = time.monotonic()
    assert (await client.get("/api/v1/projects")).status_code == 200
    assert time.monotonic() - began < 2
    asking.cancel()
    await come_true(lambda: not list(looks.iterdir()) and not app.state.resources.looks)
    server.stall.set()


async def test_more_looks_than_allowed_wait_and_are_then_sent_away(app, look, make_repository, server):
    make_repository("app.git").commit(FASTAPI)
    looks = app.state.resources.looks
    looks["somebody else"] = pipeline.AT_ONCE
    problem = await look(git(server, "app.git"), 429)
    assert problem["retry_after"] == 10
    asked = asyncio.ensure_future(look(git(server, "app.git")))
    await asyncio.sleep(0.3)
    del looks["somebody else"]
    assert (await asked)["template"] == "python"


async def test_foreign_and_unknown_ids_answer_alike(app, client, stranger, look, service, server):
    fields = {"name": "theirs", "kind": "token", "host": server.host, "token": "x" * 20}
    theirs = (await stranger.post("/api/v1/git-credentials", json=fields)).json()["id"]
    foreign = await look(git(server, "app.git", credential_id=theirs), 422)
    unknown = await look(git(server, "app.git", credential_id=UNKNOWN), 422)
    assert {**foreign, "request_id": ""} == {**unknown, "request_id": ""}
    assert server.requests == []
    other = (await client.post("/api/v1/projects", json={"name": "Other"})).json()
    site = {"name": "Site", "source": {"type": "directory"}}
    other_service = (await client.post(f"/api/v1/projects/{other['id']}/services", json=site)).json()
    sent = await client.post(f"/api/v1/services/{other_service['id']}/uploads", content=b"x", headers=TAR)
    await look({"type": "directory", "upload_id": sent.json()["id"]}, 422)
    assert await events_of(app, "SourceInspected") == []


async def test_only_who_may_make_services_may_look(viewer, stranger, project, server):
    path, body = f"/api/v1/projects/{project['id']}/detect", {"build_source": git(server, "app.git")}
    assert (await viewer.post(path, json=body)).status_code == 403
    assert (await stranger.post(path, json=body)).status_code == 404
    assert server.requests == []


async def test_an_image_is_not_pulled_for_a_look(look):
    found = await look({"type": "image", "image": "registry.invalid/team/shop:1.4"})
    assert (found["builder"], found["name"], found["port"]) == ("image", "shop", None)
    assert found["warnings"]


async def test_an_image_of_other_teams_is_not_told_from_one_that_is_not_here(app, stranger, project):
    """The engine holds what every team built, and what they pulled with their logins."""
    host = FakeHost()
    host.add_image("docker.io/library/nginx:1", ports=(80,))
    private = host.add_image("ghcr.io/acme/app:1", ports=(80,))
    host.add_image("docker.io/orca/theirs:1", ports=(80,), labels={"orca.instance": "x"})
    login = {"name": "GHCR", "host": "ghcr.io", "username": "robot", "password": "secret"}
    assert (await stranger.post("/api/v1/registry-credentials", json=login)).status_code == 201
    async with app.state.resources.db.read() as session:
        scope = Scope(await session.scalar(select(Project.team_id)))
    resources = exchange(app.state.resources, containers=host)

    async def look_at(image):
        return await pipeline.detect(resources, scope, project["id"], ImageSource(image=image))

    assert (await look_at("nginx:1")).port == 80
    missing = await look_at("nginx:2")
    for image in ("ghcr.io/acme/app:1", "orca/theirs:1", private.id):
        found = await look_at(image)
        assert (found.port, found.warnings) == (None, missing.warnings)


# ── directories ──────────────────────────────────────────────────────────────────────────────────────────────────


def tar(files: dict[str, str], *members: tarfile.TarInfo) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
        for member in members:
            archive.addfile(member)
    return packed.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


async def send(client, project, content: bytes) -> httpx.Response:
    return await client.post(f"/api/v1/projects/{project['id']}/detect/archive", content=content, headers=TAR)


async def test_a_directory_is_looked_at_and_thrown_away(app, client, project):
    answer = await send(client, project, tar({"index.html": "<h1>Hello</h1>"}))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["template"], found["kind"], found["port"]) == ("static", "static", 8080)
    assert list((app.state.settings.data_dir / "uploads").iterdir()) == []


async def test_what_was_sent_for_a_service_is_looked_at_by_its_id(client, look, project):
    body = {"name": "Site", "source": {"type": "directory"}}
    made = (await client.post(f"/api/v1/projects/{project['id']}/services", json=body)).json()
    path = f"/api/v1/services/{made['id']}/uploads"
    sent = (await client.post(path, content=tar(FASTAPI), headers=TAR)).json()
    assert (await look({"type": "directory", "upload_id": sent["id"]}))["template"] == "python"


async def test_a_directory_that_was_not_sent_says_how_to_send_it(look):
    assert "`orc deploy`" in (await look({"type": "directory"}))["hints"][0]


@pytest.mark.parametrize(
    "content",
    [
        b"x" * 2000, tar({"../evil": "x"}), tar({"/etc/evil": "x"}), tar({}, link("out", "/etc/passwd")),
        tar({}, link("hard", "/etc/passwd", tarfile.LNKTYPE)), tar({}, link("fifo", "", tarfile.FIFOTYPE)),
        tar({}, link("Dockerfile", "../../secret.key")), tar({"a\\b": "x"}),
    ],
)  # fmt: skip
async def test_hostile_archives_are_refused(app, client, project, content):
    answer = await send(client, project, content)
    assert answer.status_code == 422, answer.text
    assert answer.json()["hint"]
    assert list((app.state.settings.data_dir / "uploads").iterdir()) == []


async def test_an_archive_of_metadata_keeps_nobody_waiting(client, project):
    """Megabytes of descriptions of nothing, as small as gzip makes them: for a look, and for a deployment."""
    header = tarfile.TarInfo("./PaxHeaders/x")
    header.type, header.size = tarfile.XHDTYPE, 8 * 8000
    content = gzip.compress((header.tobuf(tarfile.USTAR_FORMAT) + b"8 k=000\n" * 8000) * 4000, 1)
    started = time.monotonic()
    answers = await asyncio.gather(*(send(client, project, content) for _ in range(3)), client.get("/api/health"))
    assert [answer.status_code for answer in answers] == [422, 422, 422, 200]
    assert answers[0].json()["code"] == "bad-archive"
    assert time.monotonic() - started < 5


async def test_a_look_that_takes_too_long_gives_its_turn_back_when_its_thread_has_ended(app, project, tmp_path):
    archive = tmp_path / "many.tar"
    archive.write_bytes(tar({f"d{number % 40}/f{number}": "" for number in range(40_000)}))
    async with app.state.resources.db.read() as session:
        team = await session.scalar(select(Project.team_id))
    looks = app.state.settings.data_dir / "looks"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await pipeline.detect_archive(app.state.resources, Scope(team), project["id"], archive)
    assert not app.state.resources.looks
    assert list(looks.iterdir()) == [], "the thread still writes"
    await asyncio.sleep(0.3)
    assert list(looks.iterdir()) == []


# ── hostile repositories and words ───────────────────────────────────────────────────────────────────────────────


async def test_links_that_lead_out_are_not_followed(app, look, make_repository, server, tmp_path):
    (tmp_path / "secret").write_text("FROM canary-of-the-host\n")
    repository = make_repository("app.git")
    for name, target in (("Dockerfile", tmp_path / "secret"), ("orca.yaml", tmp_path / "secret"), ("out", "/etc")):
        (repository.work / name).symlink_to(target)
    repository.commit({"README.md": "x"})
    for source in (git(server, "app.git"), git(server, "app.git", subdirectory="out")):
        problem = await look(source, 422)
        assert problem["code"] == "unsafe-path"
        assert "canary" not in str(problem)


async def test_what_a_repository_says_is_text_and_never_more(look, make_repository, server):
    evil = "<script>alert(1)</script>\x1b[31m{{7*7}}"
    make_repository("app.git").commit({"<b>$(id)": "x", "Cargo.toml": "x"}, message=evil)
    found = await look(git(server, "app.git"))
    assert found["builder"] is None
    assert found["commit_message"] == evil.replace("\x1b[31m", "")


BEYOND = ["../..", "a/../../b", "/etc", "-rf", "a\\b", "a\nb", "\x1b[31m", "x" * 70_000]
"""Names that no folder inside a repository can have."""


def is_branch_name(word: str) -> bool:
    """Git takes names that a shell would not: they reach it as one argument."""
    argv = ["git", "check-ref-format", "--branch", word]
    return "\0" not in word and subprocess.run(argv, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("repository", [*META, "ext::sh -c id", "file:///etc", "http://127.0.0.1/x", "https://u:p@127.0.0.1/x"]),
        ("branch", [*META, "a:b", "a^{tree}", "refs/../x", "-f"]),
        ("subdirectory", BEYOND),
    ],
)  # fmt: skip
async def test_words_that_mean_more_than_themselves_start_nothing(look, server, field, words):
    for word in words:
        if not (field == "branch" and is_branch_name(word)) and word:
            await look({**git(server, "app.git"), field: word}, 422)
    assert server.requests == []


async def test_a_strange_folder_name_is_only_not_found(look, make_repository, server):
    make_repository("app.git").commit({"a": "1"})
    for word in ("$(id)", "`id`", "a;b", "<b>", "{{7*7}}"):
        await look(git(server, "app.git", subdirectory=word), 422)


async def test_a_host_on_a_private_network_is_refused_unless_the_instance_allows_it(tmp_path, claimed_data, server):
    shutil.copytree(claimed_data, tmp_path / "other")
    async with (
        running_app(make_settings(tmp_path / "other")) as app,
        client_of(app, Authorization=f"Bearer {API_TOKEN}") as client,
    ):
        made = (await client.post("/api/v1/projects", json={"name": "Shop"})).json()
        body = {"build_source": git(server, "app.git")}
        answer = await client.post(f"/api/v1/projects/{made['id']}/detect", json=body)
    assert answer.json()["code"] == "git-host-forbidden"
    assert server.requests == []


async def test_a_repository_beyond_the_limit_is_refused(look, make_repository, server):
    repository = make_repository("app.git")
    blob = repository.git("hash-object", "-w", "--stdin", stdin=b"x")
    entries = "".join(f"100644 blob {blob}\t{number}\n" for number in range(pipeline.LIMITS.entries + 1))
    tree = repository.git("mktree", stdin=entries.encode())
    commit = repository.git("commit-tree", tree, "-m", "many")
    repository.git("push", "-q", str(repository.bare), f"{commit}:refs/heads/main")
    assert (await look(git(server, "app.git"), 422))["code"] == "source-too-large"


async def test_what_a_crash_left_behind_is_swept_away(app):
    looks = app.state.settings.data_dir / "looks"
    (looks / "old" / "tree").mkdir(parents=True)
    leftovers = Leftovers(patience=0.2)
    await leftovers.remove(app.state.resources)
    await asyncio.sleep(0.2)
    (looks / "new").mkdir()
    os.utime(looks / "new", (0, 0))  # clocks jump
    await leftovers.remove(app.state.resources)
    assert [each.name for each in looks.iterdir()] == ["new"]
    (looks / "new").rmdir()
