"""What is sent of a folder: judged by Git, by Docker, and by the server's own unpacking."""

import io
import os
import socket
import subprocess
import tarfile
from pathlib import Path

import pytest

from orca.cli.failures import CommandFailed
from orca.cli.packing import scan, stream
from orca.sdk.archives import ArchiveLimits, unpack_tar

DOCKER = "/usr/bin/docker"


def plant(root: Path, *paths: str) -> Path:
    """Files with their own path as content; those that end in a slash are folders."""
    for path in paths:
        place = root / path
        if path.endswith("/"):
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(path)
    return root


def archive(root: Path, dockerfile: str = "Dockerfile") -> bytes:
    packing = scan(root, dockerfile)
    content = b"".join(stream(packing, lambda _: None))
    assert len(content) == packing.size_bytes, "the length that was announced"
    return content


def members(root: Path, dockerfile: str = "Dockerfile") -> list[tarfile.TarInfo]:
    return tarfile.open(fileobj=io.BytesIO(archive(root, dockerfile))).getmembers()


def files(root: Path, dockerfile: str = "Dockerfile") -> set[str]:
    return {member.name for member in members(root, dockerfile) if not member.isdir()}


def test_all_of_a_plain_folder_arrives_as_it_is(tmp_path: Path) -> None:
    source = plant(tmp_path / "source", "index.html", "deep/er/page.html", "ünï/cödé ✓.txt", "empty/", ".env.example")
    (source / "run").write_bytes(os.urandom(3_000_001))
    (source / "run").chmod(0o4755)
    (source / "link").symlink_to("deep/er/page.html")
    (source / "deep/up").symlink_to("../index.html")
    os.link(source / "index.html", source / "same.html")
    found = unpack_tar(io.BytesIO(archive(source)), tmp_path / "out", ArchiveLimits())
    assert found.files == 6
    for path in ("index.html", "deep/er/page.html", "ünï/cödé ✓.txt", ".env.example", "run", "same.html"):
        assert (tmp_path / "out" / path).read_bytes() == (source / path).read_bytes()
    assert (tmp_path / "out/empty").is_dir()
    assert (tmp_path / "out/link").readlink() == Path("deep/er/page.html")
    assert (tmp_path / "out/deep/up").read_text() == "index.html"
    assert os.access(tmp_path / "out/run", os.X_OK)


def test_archives_of_the_same_folder_are_the_same_and_tell_nothing_of_the_machine(tmp_path: Path) -> None:
    plant(tmp_path, "b", "a/c", "a/b")
    assert archive(tmp_path) == archive(tmp_path)
    found = members(tmp_path)
    assert [member.name for member in found] == ["a", "a/b", "a/c", "b"]
    assert {(member.uid, member.gid, member.uname, member.gname) for member in found} == {(0, 0, "", "")}


def test_long_names_and_huge_sizes_fit_the_headers(tmp_path: Path) -> None:
    name = "/".join(["x" * 200] * 3)
    plant(tmp_path, name)
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(9 << 30)
    found = scan(tmp_path)
    headers = b"".join(member.header for member in found.members if member.path.name == "huge")
    assert tarfile.TarInfo.frombuf(headers[-512:], "utf-8", "strict") is not None
    assert found.size_bytes > 9 << 30
    (tmp_path / "huge").unlink()
    assert files(tmp_path) == {name}


GIT_TREES = {
    "plain": ({".gitignore": "*.log\nbuild/\n/only-here\n"}, ["a.log", "x/a.log", "build/out", "x/build/out", "only-here", "x/only-here"]),
    "exceptions": ({".gitignore": "*.log\n!keep.log\nbuild/*\n!build/kept\n"}, ["a.log", "keep.log", "build/a", "build/kept", "build/x/y"]),
    "parent is gone": ({".gitignore": "build/\n!build/kept\n"}, ["build/kept", "build/a"]),
    "nested": ({".gitignore": "*.txt\n", "x/.gitignore": "!*.txt\n/z.md\n", "x/y/.gitignore": "a.txt\n"}, ["a.txt", "x/a.txt", "x/y/a.txt", "x/z.md", "x/y/z.md", "z.md"]),
    "stars": ({".gitignore": "**/cache\nlogs/**\nfoo/**/bar\n?at\n[ab].c\n"}, ["cache/a", "x/cache/b", "logs/a/b", "foo/bar", "foo/x/y/bar", "cat", "chat", "a.c", "c.c"]),
    "odd": ({".gitignore": "# comment\n\\#real\n\\!bang\ntrailing \nspaced name\n"}, ["#real", "!bang", "trailing", "spaced name", "# comment"]),
    "everything": ({".gitignore": "*\n!.gitignore\n!src/\n!src/**\n"}, ["a", "src/b", "src/c/d", "other/e"]),
    "venv": ({".venv/.gitignore": "*\n"}, [".venv/bin/x", ".venv/y", "app.py"]),
}  # fmt: skip


@pytest.mark.parametrize("tree", GIT_TREES)
def test_gitignore_means_what_git_says(tmp_path: Path, tree: str) -> None:
    ignores, paths = GIT_TREES[tree]
    plant(tmp_path, *paths)
    for path, text in ignores.items():
        plant(tmp_path, path).joinpath(path).write_text(text)
    git = ["git", "-c", "core.excludesFile=", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / ".git/info/exclude").write_text("excluded-here\n")
    plant(tmp_path, "excluded-here")
    listed = subprocess.run(
        [*git, "ls-files", "-coz", "--exclude-standard"], check=True, capture_output=True, text=True
    )
    assert files(tmp_path) == set(listed.stdout.split("\0")) - {""}


def test_rules_of_the_whole_repository_count_in_a_part_of_it(tmp_path: Path) -> None:
    plant(tmp_path, ".git/", "services/web/node_modules/x", "services/web/app.js", "services/web/a.log")
    (tmp_path / ".gitignore").write_text("node_modules/\n")
    (tmp_path / "services/.gitignore").write_text("*.log\n")
    assert files(tmp_path / "services/web") == {"app.js"}


def test_folder_that_is_ignored_itself_can_be_sent_on_purpose(tmp_path: Path) -> None:
    plant(tmp_path, ".git/", "dist/index.html", "dist/a.map")
    (tmp_path / ".gitignore").write_text("dist/\n")
    (tmp_path / "dist/.gitignore").write_text("*.map\n")
    assert files(tmp_path / "dist") == {"index.html", ".gitignore"}


def test_gitignore_outside_of_any_repository_counts_only_from_the_folder_on(tmp_path: Path) -> None:
    plant(tmp_path, "app/x.log", "app/y")
    (tmp_path / ".gitignore").write_text("*.log\n")
    assert files(tmp_path / "app") == {"x.log", "y"}


DOCKER_TREES = {
    "plain": ("*.log\nbuild\n/rooted\n# comment\n\n", ["a.log", "x/a.log", "build/a", "x/build/a", "rooted", "x/rooted"]),
    "stars": ("**/*.log\ntemp?\n*/skip\n", ["a.log", "x/y/a.log", "temp1", "temp12", "x/skip/a", "x/y/skip", "skip"]),
    "exceptions": ("*\n!src\n!README.md\nsrc/*.tmp\n", ["a", "src/a", "src/x/b", "src/a.tmp", "README.md", "other/b"]),
    "deep exception": ("node_modules\n!node_modules/keep/this\n", ["node_modules/a", "node_modules/keep/this", "node_modules/keep/b", "b"]),
    "paths": ("./a/../b\nc/\n/d/e\n", ["a/b", "b", "c/x", "d/e/f", "d/g"]),
    "classes": ("[ab].txt\n\\[x\\]\n", ["a.txt", "c.txt", "[x]", "x"]),
    "last wins": ("*.md\n!R*.md\nREADME-secret.md\n", ["README.md", "README-secret.md", "other.md"]),
}  # fmt: skip


@pytest.mark.docker
@pytest.mark.parametrize("tree", DOCKER_TREES)
def test_dockerignore_means_what_docker_says(tmp_path: Path, tree: str) -> None:
    text, paths = DOCKER_TREES[tree]
    source = plant(tmp_path / "source", *paths)
    (source / ".dockerignore").write_text(text)
    (source / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    subprocess.run(
        [DOCKER, "build", "-q", "--output", f"type=local,dest={tmp_path / 'out'}", source],
        check=True, capture_output=True, env={**os.environ, "DOCKER_BUILDKIT": "1"}, timeout=120,
    )  # fmt: skip
    copied = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    always = {"Dockerfile", ".dockerignore"}
    assert files(source) - always == copied - always
    assert always <= files(source)


def test_what_a_build_needs_is_sent_whatever_is_ignored(tmp_path: Path) -> None:
    plant(tmp_path, "Dockerfile", "orca.yaml", "deploy/web.Dockerfile", "deploy/secret", "app.py", "notes.md")
    (tmp_path / ".dockerignore").write_text("*\n!app.py\n")
    (tmp_path / ".gitignore").write_text("deploy/\norca.yaml\n")
    sent = files(tmp_path, "deploy/web.Dockerfile")
    assert {"Dockerfile", "orca.yaml", ".dockerignore", "deploy/web.Dockerfile", "app.py"} <= sent
    assert not {"notes.md"} & sent


def test_repository_and_link_are_never_sent(tmp_path: Path) -> None:
    plant(tmp_path, ".git/config", "module/.git", ".orc/link.json", "a")
    assert files(tmp_path) == {"a"}


def test_sockets_and_pipes_are_left_out_and_told(tmp_path: Path) -> None:
    plant(tmp_path, "a")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
    packing = scan(tmp_path)
    assert packing.skipped == ["pipe", "socket"]
    assert packing.files == 1


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "x/../../outside", ".."])
def test_links_that_lead_out_are_refused_before_anything_is_sent(tmp_path: Path, target: str) -> None:
    plant(tmp_path, "a", "x/")
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(CommandFailed, match="link is a symbolic link that leads out") as refused:
        scan(tmp_path)
    assert ".gitignore" in refused.value.hint
    (tmp_path / ".gitignore").write_text("link\n")
    assert files(tmp_path) == {"a", ".gitignore"}


def test_names_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    plant(tmp_path, "a")
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))).write_text("x")
    with pytest.raises(CommandFailed, match="not UTF-8"):
        scan(tmp_path)


def test_nothing_to_send(tmp_path: Path) -> None:
    plant(tmp_path, "empty/", ".git/config")
    with pytest.raises(CommandFailed, match="holds nothing to send"):
        scan(tmp_path)


def test_file_that_shrinks_or_goes_while_it_is_sent(tmp_path: Path) -> None:
    plant(tmp_path, "a", "b")
    (tmp_path / "b").write_bytes(bytes(1000))
    packing = scan(tmp_path)
    (tmp_path / "b").write_bytes(bytes(10))
    with pytest.raises(CommandFailed, match="became shorter"):
        list(stream(packing, lambda _: None))
    (tmp_path / "b").unlink()
    with pytest.raises(CommandFailed, match="cannot be read: No such file"):
        list(stream(packing, lambda _: None))


def test_file_that_grows_is_sent_as_far_as_was_announced(tmp_path: Path) -> None:
    plant(tmp_path, "a")
    packing = scan(tmp_path)
    (tmp_path / "a").write_text("a" + "b" * 10_000)
    content = b"".join(stream(packing, lambda _: None))
    assert len(content) == packing.size_bytes
    with tarfile.open(fileobj=io.BytesIO(content)) as read:
        assert read.extractfile("a").read() == b"a"


def test_file_that_becomes_a_link_is_not_followed(tmp_path: Path) -> None:
    plant(tmp_path, "a")
    packing = scan(tmp_path)
    (tmp_path / "a").unlink()
    (tmp_path / "a").symlink_to("/etc/passwd")
    with pytest.raises(CommandFailed, match="cannot be read"):
        list(stream(packing, lambda _: None))


def test_a_thousand_times_as_large_takes_no_more_memory(tmp_path: Path) -> None:
    import tracemalloc

    with (tmp_path / "large").open("wb") as file:
        file.truncate(256 << 20)
    tracemalloc.start()
    total = sum(map(len, stream(scan(tmp_path), lambda _: None)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total > 256 << 20
    assert peak < 8 << 20


@pytest.mark.parametrize("name", [".dockerignore", ".gitignore"])
@pytest.mark.parametrize("target", ["/dev/zero", "pipe", "endless"])
def test_patterns_that_never_end_are_refused(tmp_path: Path, name: str, target: str) -> None:
    """A repository that was cloned may hold links to anything."""
    plant(tmp_path, "index.html")
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "endless").open("wb") as file:
        file.truncate(1 << 40)
    (tmp_path / name).symlink_to(target)
    with pytest.raises(CommandFailed, match="cannot be read: it is"):
        scan(tmp_path)


def test_patterns_behind_a_link_to_a_plain_file_count(tmp_path: Path) -> None:
    plant(tmp_path, "index.html", "secret.txt")
    (tmp_path / "patterns").write_text("secret.txt\n")
    (tmp_path / ".dockerignore").symlink_to("patterns")
    assert "secret.txt" not in {each.name for each in members(tmp_path)}
