"""Addresses as people paste them become repository, reference and folder."""

import pytest

from orca.errors import BadInput
from orca.features.sources.addresses import ParsedAddress, read_pasted
from orca.features.sources.rules import RepoUrl
from orca.features.sources.schemas import GitSource

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("github.com/a/b", ParsedAddress("https://github.com/a/b")),
        (" https://www.github.com/a/b/ ", ParsedAddress("https://github.com/a/b")),
        ("https://github.com/a/b.git", ParsedAddress("https://github.com/a/b.git")),
        ("https://github.com/a/b?tab=readme-ov-file#readme", ParsedAddress("https://github.com/a/b")),
        ("https://github.com/a/b/tree/main", ParsedAddress("https://github.com/a/b", branch="main")),
        ("https://github.com/a/b/tree/main/apps/web/", ParsedAddress("https://github.com/a/b", branch="main", subdirectory="apps/web")),
        ("github.com/a/b/tree/feature%2Fx/my%20app", ParsedAddress("https://github.com/a/b", branch="feature/x", subdirectory="my app")),
        ("https://github.com/a/b/blob/main/README.md#L3", ParsedAddress("https://github.com/a/b", branch="main")),
        ("https://github.com/a/b/blob/v2/src/app/main.py", ParsedAddress("https://github.com/a/b", branch="v2", subdirectory="src/app")),
        (f"https://github.com/a/b/tree/{SHA}", ParsedAddress("https://github.com/a/b", commit=SHA)),
        (f"https://github.com/a/b/commit/{SHA}", ParsedAddress("https://github.com/a/b", commit=SHA)),
        ("https://github.com/a/b/releases/tag/v1.2", ParsedAddress("https://github.com/a/b", tag="v1.2")),
        ("https://github.com/a/b/issues/3", ParsedAddress("https://github.com/a/b")),
        ("gitlab.com/g/s/p/-/tree/x/dir", ParsedAddress("https://gitlab.com/g/s/p", branch="x", subdirectory="dir")),
        ("https://gitlab.example.org:8443/g/s/p/-/blob/main/a/b.txt?ref_type=heads", ParsedAddress("https://gitlab.example.org:8443/g/s/p", branch="main", subdirectory="a")),
        ("https://gitlab.com/g/s/p", ParsedAddress("https://gitlab.com/g/s/p")),
        ("https://gitlab.com/g/s/p/-/issues", ParsedAddress("https://gitlab.com/g/s/p")),
        ("https://bitbucket.org/w/r/src/main/dir/", ParsedAddress("https://bitbucket.org/w/r", branch="main", subdirectory="dir")),
        ("https://me@bitbucket.org/w/r.git", ParsedAddress("https://bitbucket.org/w/r.git")),
        ("https://git.example.org/o/r/src/branch/dev/sub/x", ParsedAddress("https://git.example.org/o/r", branch="dev", subdirectory="sub/x")),
        ("https://git.example.org/o/r/src/tag/v1", ParsedAddress("https://git.example.org/o/r", tag="v1")),
        (f"https://git.example.org/o/r/src/commit/{SHA}/sub", ParsedAddress("https://git.example.org/o/r", commit=SHA, subdirectory="sub")),
        ("git@github.com:a/b", ParsedAddress("git@github.com:a/b")),
        ("git@github.com:a/b.git/", ParsedAddress("git@github.com:a/b.git")),
        ("ssh://git@github.com/a/b.git", ParsedAddress("ssh://git@github.com/a/b.git")),
        ("git+ssh://git@github.com/a/b.git#egg=b", ParsedAddress("ssh://git@github.com/a/b.git")),
        ("git+https://github.com/a/b.git#egg=b", ParsedAddress("https://github.com/a/b.git")),
        ("HTTPS://github.com/a/b", ParsedAddress("https://github.com/a/b")),
        ("https://example.org/deep/er/path/repo.git", ParsedAddress("https://example.org/deep/er/path/repo.git")),
        ("https://u:secret@example.org/r.git", ParsedAddress("https://u:secret@example.org/r.git")),
    ],
)  # fmt: skip
def test_pasted_addresses_are_understood(text: str, found: ParsedAddress) -> None:
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
