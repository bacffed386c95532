"""The parts of git's surroundings that are pure."""

from pathlib import Path

import pytest

from orca.errors import BadInput
from orca.features.sources.rules import RepoUrl
from orca.features.sources.steps.git_environment import (
    find_host_keys,
    fingerprint,
    render_authorization,
    render_git_environment,
    render_ssh_config,
)
from orca.features.sources.steps.read_submodules import parse_gitmodules, resolve_url

KNOWN = """\
# comment
github.com ssh-ed25519 AAAA
github.com,140.82.121.4 ssh-rsa BBBB
[host]:2222 ssh-ed25519 CCCC
|1|hash|hash ssh-ed25519 DDDD
broken
"""


@pytest.mark.parametrize(
    ("url", "keys"),
    [
        ("git@github.com:a/b", ["ssh-ed25519 AAAA", "ssh-rsa BBBB"]),
        ("ssh://git@host:2222/a", ["ssh-ed25519 CCCC"]),
        ("git@host:a", []),
        ("ssh://git@github.com:2222/a", []),
    ],
)
def test_trusted_keys_are_those_of_host_and_port(url: str, keys: list[str]) -> None:
    assert find_host_keys(KNOWN, RepoUrl.parse(url)) == keys


def test_fingerprints_are_those_of_ssh() -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    assert fingerprint(key) == "ssh-ed25519 SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
    assert fingerprint("ssh-ed25519 %%%") == "ssh-ed25519"


def test_tokens_are_bound_to_the_origin_and_stay_in_one_line() -> None:
    url = RepoUrl.parse("https://host:8443/a")
    env = render_git_environment(url, "::1", Path("/h"), authorization=render_authorization("u", "t"))
    settings = {env[f"GIT_CONFIG_KEY_{n}"]: env[f"GIT_CONFIG_VALUE_{n}"] for n in range(int(env["GIT_CONFIG_COUNT"]))}
    assert settings["http.https://host:8443/.extraHeader"] == "Authorization: Basic dTp0"
    assert settings["http.curloptResolve"] == "host:8443:[::1]"
    for username, token in (("u", "a\r\nX: y"), ("u\n", "t"), ("u:v", "t"), ("u", "\0")):
        with pytest.raises(BadInput):
            render_authorization(username, token)


def test_ssh_reads_nothing_but_its_own_files() -> None:
    config = render_ssh_config("10.0.0.1", Path("/a b%c"))
    assert 'IdentityFile "/a b%%c/key"' in config
    for line in (
        "StrictHostKeyChecking yes",
        "IdentitiesOnly yes",
        "IdentityAgent none",
        "GlobalKnownHostsFile /dev/null",
        "ProxyCommand none",
    ):
        assert line in config.splitlines()


def test_submodules_are_read_from_the_listing_only() -> None:
    listing = "submodule.a.path\nvendor/a\0submodule.a.url\n../a.git\0submodule.x.y.path\nb\0submodule.x.y.url\nu\0submodule.a.update\n!rm\0core.pager\nx\0submodule.c.path\nc\0"
    assert parse_gitmodules(listing) == {"vendor/a": "../a.git", "b": "u"}
    parent = RepoUrl.parse("https://host/team/app.git")
    assert str(resolve_url(parent, "../a.git")) == "https://host/team/a.git"
    assert str(resolve_url(parent, "https://other/b.git")) == "https://other/b.git"
    for text in ("ext::sh", "file:///etc", "/etc", "http://other/b", "-x", "..", "u"):
        with pytest.raises(BadInput):
            resolve_url(parent, text)
