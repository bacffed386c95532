"""Addresses as people paste them become repository, reference and folder."""

import pytest

from orca.errors import BadInput
from orca.features.sources.addresses import Pasted, read_pasted
from orca.features.sources.rules import RepoUrl
from orca.features.sources.schemas import GitSource

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("github.com/a/b", Pasted("https://github.com/a/b")),
        (" https://www.github.com/a/b/ ", Pasted("https://github.com/a/b")),
        ("https://github.com/a/b.git", Pasted("https://github.com/a/b.git")),
        ("https://github.com/a/b?tab=readme-ov-file#readme", Pasted("https://github.com/a/b")),
        ("https://github.com/a/b/tree/main", Pasted("https://github.com/a/b", branch="main")),
        ("https://github.com/a/b/tree/main/apps/web/", Pasted("https://github.com/a/b", branch="main", subdirectory="apps/web")),
        ("github.com/a/b/tree/feature%2Fx/my%20app", Pasted("https://github.com/a/b", branch="feature/x", subdirectory="my app")),
        ("https://github.com/a/b/blob/main/README.md#L3", Pasted("https://github.com/a/b", branch="main")),
        ("https://github.com/a/b/blob/v2/src/app/main.py", Pasted("https://github.com/a/b", branch="v2", subdirectory="src/app")),
        (f"https://github.com/a/b/tree/{SHA}", Pasted("https://github.com/a/b", commit=SHA)),
        (f"https://github.com/a/b/commit/{SHA}", Pasted("https://github.com/a/b", commit=SHA)),
        ("https://github.com/a/b/releases/tag/v1.2", Pasted("https://github.com/a/b", tag="v1.2")),
        ("https://github.com/a/b/issues/3", Pasted("https://github.com/a/b")),
        ("gitlab.com/g/s/p/-/tree/x/dir", Pasted("https://gitlab.com/g/s/p", branch="x", subdirectory="dir")),
        ("https://gitlab.example.org:8443/g/s/p/-/blob/main/a/b.txt?ref_type=heads", Pasted("https://gitlab.example.org:8443/g/s/p", branch="main", subdirectory="a")),
        ("https://gitlab.com/g/s/p", Pasted("https://gitlab.com/g/s/p")),
        ("https://gitlab.com/g/s/p/-/issues", Pasted("https://gitlab.com/g/s/p")),
        ("https://bitbucket.org/w/r/src/main/dir/", Pasted("https://bitbucket.org/w/r", branch="main", subdirectory="dir")),
        ("https://me@bitbucket.org/w/r.git", Pasted("https://bitbucket.org/w/r.git")),
        ("https://git.example.org/o/r/src/branch/dev/sub/x", Pasted("https://git.example.org/o/r", branch="dev", subdirectory="sub/x")),
        ("https://git.example.org/o/r/src/tag/v1", Pasted("https://git.example.org/o/r", tag="v1")),
        (f"https://git.example.org/o/r/src/commit/{SHA}/sub", Pasted("https://git.example.org/o/r", commit=SHA, subdirectory="sub")),
        ("git@github.com:a/b", Pasted("git@github.com:a/b")),
        ("git@github.com:a/b.git/", Pasted("git@github.com:a/b.git")),
        ("ssh://git@github.com/a/b.git", Pasted("ssh://git@github.com/a/b.git")),
        ("git+ssh://git@github.com/a/b.git#egg=b", Pasted("ssh://git@github.com/a/b.git")),
        ("git+https://github.com/a/b.git#egg=b", Pasted("https://github.com/a/b.git")),
        ("HTTPS://github.com/a/b", Pasted("https://github.com/a/b")),
        ("https://example.org/deep/er/path/repo.git", Pasted("https://example.org/deep/er/path/repo.git")),
        ("https://u:secret@example.org/r.git", Pasted("https://u:secret@example.org/r.git")),
    ],
)  # fmt: skip
def test_pasted_addresses_are_understood(text: str, found: Pasted) -> None:
    assert read_pasted(text) == found
    if "secret" not in text:
        RepoUrl.parse(found.repository)


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "github.com", "https://", "https://github.com", "file:///etc", "ext::sh -c x", "https://a\\@evil.org/r", "https://a b.org/r/r",
        "https://github.com/a/b\n--upload-pack=x", "https://127.1/a/b", "https://0x7f.1/a/b", "https://2130706433/a/b", "https://[fe80::1%25eth0]/a/b",
        "https://ex\u0430mple.org/a/b", "https://good.org\t@evil.org/a/b", "https://good.org#@evil.org/a/b", "https://good.org?@evil.org/a/b",
        "https://github.com/a/../b", "https://github.com/a/%2e%2e", "javascript://x.org/a/b", "-oProxyCommand=x@h:p", "https://u:p@h.org/a/b",
        "https://" + "a/" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_whichever_way_it_is_read(text: str) -> None:
    with pytest.raises(BadInput):
        RepoUrl.parse(read_pasted(text).repository)


def test_what_is_given_explicitly_wins() -> None:
    pasted = "https://github.com/a/b/tree/main/sub"
    assert GitSource(repository=pasted).model_dump(exclude={"type", "credential_id"}) == {
        "repository": "https://github.com/a/b", "branch": "main", "tag": None, "commit": None, "subdirectory": "sub", "submodules": True,
    }  # fmt: skip
    source = GitSource(repository=pasted, tag="v1", subdirectory="other")
    assert (source.branch, source.tag, source.subdirectory) == (None, "v1", "other")
    with pytest.raises(ValueError, match="not a directory inside"):
        GitSource(repository="https://github.com/a/b/tree/main/%2e%2e/x")
