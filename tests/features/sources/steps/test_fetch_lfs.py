"""Files in Git LFS are fetched from where their server says, by the rules of the repository's host; or it fails."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.features.sources.steps.conftest import TOKEN

from orca.features.sources.errors import GitLfsFailed
from orca.features.sources.steps.git_environment import render_authorization
from orca.features.sources.steps.lfs_pointers import Pointer, find_pointers

CONTENT = b"\x00 a large file " * 1000
OID = hashlib.sha256(CONTENT).hexdigest()
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize {len(CONTENT)}\n"
ATTRIBUTES = "*.bin filter=lfs diff=lfs merge=lfs -text\n"
JSON = [("Content-Type", "application/vnd.git-lfs+json")]


def batch(href: str, **more: Any) -> tuple[int, list[tuple[str, str]], bytes]:
    return 200, JSON, json.dumps({"objects": [{"oid": OID, "actions": {"download": {"href": href, **more}}}]}).encode()


@pytest.fixture
def with_lfs(server: Any, make_repository: Any) -> Callable[..., str]:
    """A private repository whose files lie at an LFS server; gives its address."""

    def make(lfs_url: str, files: dict[str, str] | None = None) -> str:
        repository = make_repository("private/app.git")
        config = {".lfsconfig": f"[lfs]\n\turl = {lfs_url}\n"} if lfs_url else {}
        repository.commit(
            {"a.bin": POINTER, "sub/b.bin": POINTER, "sub/.gitattributes": ATTRIBUTES, **config, **(files or {})}
        )
        return str(server.url("/private/app.git"))

    return make


async def test_files_are_fetched_and_the_login_goes_to_its_own_host_only(
    fetch: Any, server: Any, other_server: Any, with_lfs: Any, lines: list[str]
) -> None:
    url = with_lfs(server.url("/dumb/lfs"))
    options = {"token": TOKEN, "certificate_authority": server.certificate_authority}
    server.dumb["/lfs/objects/batch"] = batch(other_server.url("/dumb/far"), header={"X-Signed": "1", "Host": "evil"})
    other_server.dumb["/far"] = (200, [], CONTENT)
    checkout = await fetch(url, **options)
    for name in ("a.bin", "sub/b.bin"):
        assert (checkout.tree / name).read_bytes() == CONTENT
    assert any("2 files from Git LFS" in line for line in lines)
    login = render_authorization("x-access-token", TOKEN)
    assert ("/dumb/lfs/objects/batch", login) in server.requests
    assert other_server.requests == [("/dumb/far", None)]


@pytest.mark.parametrize(
    ("answer", "content", "message"),
    [
        ((404, [], b"secret words of a stranger"), b"", "status 404"),
        ((200, JSON, b"secret words of a stranger"), b"", "cannot be understood"),
        ((200, JSON, b'{"objects": []}'), b"", "does not have a.bin"),
        ((200, JSON, b'{"objects": ' + b"[" * 1_000_000), b"", "cannot be understood"),
        (batch("http://a.example/", header={"X-Signed": 5}), b"", "headers that none can be"),
        (batch("http://a.example/", header={"X-Signed": "\u2028"}), b"", "headers that none can be"),
        (batch("http://a.example/", header=["X-Signed"]), b"", "headers that none can be"),
        (batch("http://a.example/", header={"X-Signed": "1\r\nX-More: 2"}), b"", "broke off|no address|nothing is sent"),
        ("file:///etc/passwd", b"", "an address that is none"),
        ("http://169.254.169.254/latest", b"", "where nothing is sent to"),
        ("http://[::ffff:a9fe:a9fe]/latest", b"", "where nothing is sent to"),
        ("HERE", CONTENT[:-1] + b"!", "not what was committed"),
        ("HERE", CONTENT + b"more", "not what was committed"),
    ],
)  # fmt: skip
async def test_a_site_with_holes_is_no_site(
    fetch: Any, server: Any, with_lfs: Any, answer: Any, content: bytes, message: str, tmp_path: Path
) -> None:
    url = with_lfs(server.url("/dumb/lfs"))
    here = server.url("/dumb/here")
    server.dumb["/lfs/objects/batch"] = batch(answer.replace("HERE", here)) if isinstance(answer, str) else answer
    server.dumb["/here"] = (200, [], content)
    with pytest.raises(GitLfsFailed, match=message) as caught:
        await fetch(url, token=TOKEN, certificate_authority=server.certificate_authority)
    assert "secret words" not in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.hint


async def test_without_an_lfs_server_it_fails_in_words(fetch: Any, server: Any, with_lfs: Any) -> None:
    options = {"token": TOKEN, "certificate_authority": server.certificate_authority}
    with pytest.raises(GitLfsFailed, match="status"):
        await fetch(with_lfs(""), **options)
    assert any(path.endswith("/private/app.git/info/lfs/objects/batch") for path, _ in server.requests)


def test_pointers_are_found_where_the_repository_speaks_of_lfs(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x.bin").write_text(POINTER)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "no.bin").write_text(POINTER + "more\n")
    assert find_pointers(tmp_path) == []
    (tmp_path / ".gitattributes").write_text(ATTRIBUTES)
    assert find_pointers(tmp_path) == [Pointer("a/x.bin", OID, len(CONTENT))]
