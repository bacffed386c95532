"""INJ-01..04 and INJ-10: what is let through has no second meaning to git, ssh, Docker or a shell."""

import re
import subprocess

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from orca.errors import BadInput
from orca.features.sources.rules import GitRef, ImageRef, RepoUrl, parse_subdirectory

META = [
    ";",
    "&",
    "|",
    "<",
    ">",
    "`",
    "$(x)",
    "${x}",
    "'",
    '"',
    "\\",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    "*",
    "?",
    "[",
    "~^:",
    "ё",
    "\uff0e",
    "\u202e",
]
metacharacters = st.sampled_from(META)
plain = st.text("abcXYZ019", min_size=0, max_size=5)
with_meta = st.builds(lambda a, meta, b: f"{a}{meta}{b}", plain, metacharacters, plain)


@pytest.mark.parametrize(
    "name",
    ["main", "release/1.2", "feature/a_b-c", "v1.0.0+build", "a", "dependabot/npm/x-1.2", "fix/#12", "a@b", "0" * 40],
)
def test_usual_refs_are_taken(name: str) -> None:
    assert str(GitRef.parse(name)) == name
    assert subprocess.run(["git", "check-ref-format", f"refs/heads/{name}"], check=False).returncode == 0


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-x",
        "--exec=x",
        "--upload-pack=x",
        "a..b",
        "a b",
        "@{",
        "x@{1}",
        "@",
        "a.lock",
        "a.lock/b",
        "/a",
        "a/",
        "a//b",
        ".a",
        "a/.b",
        "a.",
        "HEAD~1",
        "a:b",
        "x" * 300,
        "a\n",
        "\nmain",
    ],
)
def test_refs_that_mean_something_else_are_refused(name: str) -> None:
    with pytest.raises(BadInput) as caught:
        GitRef.parse(name)
    assert caught.value.hint


@pytest.mark.parametrize(
    "name",
    ["müller/ümlaut", "feat/🚀", "👩\u200d💻", "fix(scope)", "o'brien", 'say"hi"', "a&b", "x;y", "{x}", "$x", "`x`", "a|b",
     "<x>", "!x", "日本語", "a=b", "x" * 255, "/".join(["y" * 200] * 4), "a./b", "a@b{c", "ё", "\uff0e"],
)  # fmt: skip
def test_every_name_that_git_takes_is_taken(name: str) -> None:
    assert str(GitRef.parse(name)) == name
    assert (
        subprocess.run(["git", "check-ref-format", "--branch", name], check=False, capture_output=True).returncode == 0
    )


@given(st.one_of(with_meta, st.text("ab./-@{}~^:?*[\\\x7f\x00 \t#", max_size=12), st.text(max_size=30)))
@example("a" + "\n")
@example("a.lock\n")
def test_git_and_we_agree_on_names(name: str) -> None:
    try:
        GitRef.parse(name)
    except BadInput:
        is_taken = False
    else:
        is_taken = True
    if "\x00" in name or any("\ud800" <= each <= "\udfff" for each in name):
        assert not is_taken
        return
    command = ["git", "check-ref-format", f"refs/heads/{name}"]
    by_git = subprocess.run(command, check=False, capture_output=True).returncode == 0
    assert is_taken == (by_git and not name.startswith("-") and name != "@")


def test_only_whole_commit_ids_are_commits() -> None:
    assert GitRef.parse("a" * 40).is_commit
    assert GitRef.parse("a" * 64).is_commit
    assert not GitRef.parse("a" * 39).is_commit
    assert not GitRef.parse("A" * 40).is_commit


@pytest.mark.parametrize(
    ("text", "shown", "origin", "name"),
    [
        ("https://github.com/a/b.git", "https://github.com/a/b.git", "https://github.com", "b"),
        ("https://GitHub.com:443/a/b", "https://github.com/a/b", "https://github.com", "b"),
        ("https://git.example.org:8443/a/b/", "https://git.example.org:8443/a/b", "https://git.example.org:8443", "b"),
        (
            "https://dev.azure.com/org/My%20Project/_git/repo",
            "https://dev.azure.com/org/My%20Project/_git/repo",
            "https://dev.azure.com",
            "repo",
        ),
        ("git@github.com:a/b.git", "git@github.com:a/b.git", "ssh://github.com", "b"),
        ("ssh://git@host:2222/a/b.git", "ssh://git@host:2222/a/b.git", "ssh://host:2222", "b"),
        ("ssh://host/~user/b", "ssh://git@host/~user/b", "ssh://host", "b"),
        ("https://[2001:DB8::1]/a", "https://[2001:db8::1]/a", "https://[2001:db8::1]", "a"),
    ],
)
def test_usual_addresses_are_taken(text: str, shown: str, origin: str, name: str) -> None:
    url = RepoUrl.parse(text)
    assert (str(url), url.origin, url.name) == (shown, origin, name)
    assert RepoUrl.parse(str(url)) == url


@pytest.mark.parametrize(
    "text",
    [
        "", "-x", "--upload-pack=touch /tmp/x", "-oProxyCommand=x@host:a", "git@-oProxyCommand=x:a/b", "ssh://-oProxyCommand=x/a",
        "ssh://git@-x/a", "https://-x/a", "ext::sh -c touch% /tmp/x", "fd::17", "file:///etc", "/etc", "../x", "./x", "git://host/a",
        "ftp://host/a", "http://host/a", "https://user:pass@host/a", "https://token@host/a", "https://host", "https://host/", "https://host/a?b",
        "https://host/a#b", "https://host/../a", "https://host/a/..", "https://host/-a", "https://host//a", "https://host:0/a",
        "https://host:70000/a", "https://host:22x/a", "https://0x7f.1/a", "https://2130706433/a", "https://017700000001/a",
        "https://host\n/a", "https://host/a\n", "https://ho st/a", "https://xn--/../a", "ssh://a b@host/x", "ssh://-l@host/x",
        "git@host:-a/b", "git@host:a/../b", "transport::https://host/a", "HTTPS://host/a", "https://host/%00", "https://" + "a" * 600 + "/x",
        "https://ex\u0430mple.org/a", "https://host\\@evil/a", "https://[::1/a", "https://[1.2.3.4.5]/a",
    ],
)  # fmt: skip
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        RepoUrl.parse(text)
    assert caught.value.hint


def test_plain_http_needs_to_be_allowed() -> None:
    assert RepoUrl.parse("http://host/a", allow_http=True).port == 80
    for text in ("ext::x", "file:///etc", "git://host/a"):
        with pytest.raises(BadInput):
            RepoUrl.parse(text, allow_http=True)


@given(
    with_meta,
    st.sampled_from(
        ["https://{}/a", "https://host/{}", "ssh://{}@host/a", "ssh://host/{}", "git@{}:a", "git@host:{}", "{}"]
    ),
)
def test_addresses_with_metacharacters_are_refused(text: str, shape: str) -> None:
    assume("~" not in text or "{}@" in shape)
    with pytest.raises(BadInput):
        RepoUrl.parse(shape.format(text))


@given(
    st.text(max_size=60)
    | st.from_regex(r"(https|ssh)://[^\n]{1,40}", fullmatch=True)
    | st.from_regex(r"\w+@[^\n]{1,40}", fullmatch=True)
)
def test_whatever_is_taken_as_an_address_is_plain(text: str) -> None:
    try:
        url = RepoUrl.parse(text)
    except BadInput:
        return
    assert re.fullmatch(r"[A-Za-z0-9._~%+@=,:/\[\]-]+", str(url))
    assert url.scheme in {"https", "ssh"}
    assert not str(url).startswith("-")
    assert ".." not in url.path.split("/")
    assert RepoUrl.parse(str(url)) == url


def test_relative_addresses_stay_on_the_host() -> None:
    parent = RepoUrl.parse("https://host/team/app.git")
    assert str(parent.join("../lib.git")) == "https://host/team/lib.git"
    assert str(parent.join("../../../../other.git")) == "https://host/other.git"
    assert str(RepoUrl.parse("git@host:team/app.git").join("../lib.git")) == "git@host:team/lib.git"
    for text in ("../../..", "./a b", "../-x"):
        with pytest.raises(BadInput):
            parent.join(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("a/b:1.2", "docker.io/a/b:1.2"),
        ("localhost:5000/a", "localhost:5000/a:latest"),
        ("ghcr.io/Owner/x".lower(), "ghcr.io/owner/x:latest"),
        (
            "registry.example.org:5000/a/b/c:v1@sha256:" + "a" * 64,
            "registry.example.org:5000/a/b/c:v1@sha256:" + "a" * 64,
        ),
        ("redis@sha256:" + "0" * 64, "docker.io/library/redis@sha256:" + "0" * 64),
    ],
)
def test_usual_images_are_taken(text: str, shown: str) -> None:
    assert str(ImageRef.parse(text)) == shown
    assert str(ImageRef.parse(shown)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-x",
        "--privileged",
        "A/b",
        "a:",
        "a@",
        "a@sha256:1",
        "a@md5:" + "a" * 64,
        "a//b",
        "/a",
        "a/",
        "a:b:c",
        "a b",
        "a:-x",
        "a/../b",
        "a" * 600,
        "host:port/x",
        "nginx\n",
    ],
)
def test_other_images_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        ImageRef.parse(text)


@given(with_meta)
def test_images_with_metacharacters_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        ImageRef.parse(text)


@pytest.mark.parametrize(
    ("text", "plain"),
    [("", ""), (".", ""), ("./", ""), ("apps/web", "apps/web"), ("./apps//web/", "apps/web"), ("a b/ü", "a b/ü")],
)
def test_subdirectories_are_made_plain(text: str, plain: str) -> None:
    assert parse_subdirectory(text) == plain


@pytest.mark.parametrize(
    "text", ["/", "/etc", "..", "a/../..", "../x", "a\0b", "a\nb", "a\\b", "-x", "a/-x", "x" * 300]
)
def test_subdirectories_that_lead_out_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_subdirectory(text)
