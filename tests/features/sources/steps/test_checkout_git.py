"""INJ-03..06, SEC-01: real git against real servers, friendly and hostile."""

import asyncio
import base64
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cancelling import CancelledAt

from orca.errors import DeadlineExceeded, OrcaError
from orca.features.sources import errors
from orca.sdk.archives import ArchiveLimits
from orca.sdk.connectors import Command

pytestmark = pytest.mark.slow

TOKEN = "canary-token-7c1f"
Fetch = Callable[..., Any]


def leftovers(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "work").iterdir())


async def test_fetches_branch_tag_and_commit(
    fetch: Fetch, server: Any, make_repository: Any, tmp_path: Path, lines: list[str]
) -> None:
    repository = make_repository("app.git")
    first = repository.commit(
        {"index.html": "one", "sub/run.sh": "#!/bin/sh\n"}, "First\n\nwith a body\x1b]0;title\x07"
    )
    (repository.work / "sub/run.sh").chmod(0o755)
    repository.git("tag", "-a", "v1", "-m", "annotated")
    second = repository.commit({"index.html": "two"}, "Second")
    repository.push("refs/tags/v1")
    ca = {"certificate_authority": server.certificate_authority}

    checkout = await fetch(server.url("/app.git"), into=tmp_path / "work" / "branch", **ca)
    assert (checkout.commit, checkout.author, checkout.message) == (second, "Ada Lovelace <ada@example.org>", "Second")
    assert (checkout.tree / "index.html").read_text() == "two"
    assert os.access(checkout.tree / "sub/run.sh", os.X_OK)
    checkout = await fetch(server.url("/app.git"), "v1", into=tmp_path / "work" / "tag", **ca)
    assert (checkout.commit, (checkout.tree / "index.html").read_text()) == (first, "one")
    checkout = await fetch(server.url("/app.git"), first, into=tmp_path / "work" / "commit", **ca)
    assert (checkout.commit, (checkout.tree / "index.html").read_text()) == (first, "one")
    assert leftovers(tmp_path) == ["branch", "commit", "tag"]
    assert not list((tmp_path / "work").rglob(".git"))
    assert f"Checked out {first[:12]}: First" in lines
    assert "\x1b" not in "".join(lines)


async def test_head_is_the_default_branch(fetch: Fetch, server: Any, make_repository: Any, tmp_path: Path) -> None:
    repository = make_repository("app.git")
    first = repository.commit({"a": "main"})
    repository.commit({"a": "other"})
    repository.push("HEAD:refs/heads/other", f"{first}:refs/heads/main")
    ca = {"certificate_authority": server.certificate_authority}
    checkout = await fetch(server.url("/app.git"), "HEAD", into=tmp_path / "work" / "head", **ca)
    assert (checkout.commit, (checkout.tree / "a").read_text()) == (first, "main")
    assert make_repository("empty.git").bare.exists()
    with pytest.raises(errors.GitRefMissing, match="no default branch"):
        await fetch(server.url("/empty.git"), "HEAD", **ca)


async def test_a_branch_wins_over_a_tag_of_the_same_name(fetch: Fetch, server: Any, make_repository: Any) -> None:
    repository = make_repository("app.git")
    repository.commit({"a": "tag"})
    repository.git("tag", "same")
    repository.commit({"a": "branch"})
    repository.push("refs/tags/same", "HEAD:refs/heads/same")
    checkout = await fetch(server.url("/app.git"), "same", certificate_authority=server.certificate_authority)
    assert (checkout.tree / "a").read_text() == "branch"


async def test_a_commit_the_server_does_not_hand_out_alone_is_found_in_the_history(
    fetch: Fetch, ssh_server: Any, make_repository: Any, commands: list[Command]
) -> None:
    repository = make_repository("app.git")
    first = repository.commit({"a": "one"})
    repository.commit({"a": "two"})
    # This sshd does not pass GIT_PROTOCOL on, and without protocol 2 a commit that no ref names is refused.
    url = ssh_server.url("app.git")
    options = {"deploy_key": ssh_server.private_key, "known_hosts": ssh_server.known_hosts}
    checkout = await fetch(url, first, **options)
    assert (checkout.tree / "a").read_text() == "one"
    assert checkout.commit == first
    assert sum("fetch" in command.argv for command in commands) == 2


async def test_fetches_by_ssh_with_a_deploy_key(
    fetch: Fetch, ssh_server: Any, make_repository: Any, tmp_path: Path, commands: list[Command]
) -> None:
    make_repository("app.git").commit({"a": "by ssh"})
    checkout = await fetch(
        ssh_server.url("app.git"), deploy_key=ssh_server.private_key, known_hosts=ssh_server.known_hosts
    )
    assert (checkout.tree / "a").read_text() == "by ssh"
    assert leftovers(tmp_path) == ["tree"]
    secret = ssh_server.private_key.splitlines()[2]
    for command in commands:
        assert not any(secret in text for text in (*command.argv, *command.env.values()))


async def test_an_unknown_host_key_is_shown_and_not_trusted(
    fetch: Fetch, ssh_server: Any, make_repository: Any, tmp_path: Path, commands: list[Command]
) -> None:
    make_repository("app.git").commit({"a": "x"})
    with pytest.raises(errors.GitHostKeyUnknown) as caught:
        await fetch(ssh_server.url("app.git"), deploy_key=ssh_server.private_key)
    assert ssh_server.fingerprint in caught.value.message
    assert caught.value.details["host_keys"] == ssh_server.known_hosts
    assert not any(command.argv[0] == "ssh" or "fetch" in command.argv for command in commands)
    assert leftovers(tmp_path) == []


async def test_a_changed_host_key_is_refused(
    fetch: Fetch, other_key: tuple[str, str], ssh_server: Any, make_repository: Any, tmp_path: Path
) -> None:
    make_repository("app.git").commit({"a": "x"})
    stale = f"[127.0.0.1]:{ssh_server.port} {other_key[1]}"
    with pytest.raises(errors.GitHostKeyChanged, match="SHA256:"):
        await fetch(ssh_server.url("app.git"), deploy_key=ssh_server.private_key, known_hosts=stale)
    assert leftovers(tmp_path) == []


async def test_ssh_failures_are_told_apart(
    fetch: Fetch, other_key: tuple[str, str], ssh_server: Any, make_repository: Any, tmp_path: Path
) -> None:
    make_repository("app.git").commit({"a": "x"})
    trusted = {"known_hosts": ssh_server.known_hosts}
    with pytest.raises(errors.GitLoginRefused, match="deploy key"):
        await fetch(ssh_server.url("app.git"), deploy_key=other_key[0], **trusted)
    with pytest.raises(errors.GitLoginRefused, match="needs a deploy key"):
        await fetch(ssh_server.url("app.git"), **trusted)
    with pytest.raises(errors.GitRepositoryMissing):
        await fetch(ssh_server.url("nothing.git"), deploy_key=ssh_server.private_key, **trusted)
    with pytest.raises(errors.GitRefMissing):
        await fetch(ssh_server.url("app.git"), "nothing", deploy_key=ssh_server.private_key, **trusted)
    with pytest.raises(errors.GitRefMissing):
        await fetch(ssh_server.url("app.git"), "0" * 40, deploy_key=ssh_server.private_key, **trusted)
    assert leftovers(tmp_path) == []


async def test_a_token_opens_a_private_repository_and_is_seen_nowhere(
    fetch: Fetch, server: Any, make_repository: Any, tmp_path: Path, commands: list[Command], lines: list[str]
) -> None:
    make_repository("private/app.git").commit({"a": "private"})
    ca = {"certificate_authority": server.certificate_authority}
    checkout = await fetch(server.url("/private/app.git"), token=TOKEN, **ca)
    assert (checkout.tree / "a").read_text() == "private"
    encoded = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
    assert any(authorization == f"Basic {encoded}" for _, authorization in server.requests)
    for command in commands:
        assert not any(secret in part for part in command.argv for secret in (TOKEN, encoded))
    assert TOKEN not in "".join(lines)
    for path in (tmp_path / "work").rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


async def test_http_failures_are_told_apart(fetch: Fetch, server: Any, make_repository: Any, tmp_path: Path) -> None:
    make_repository("private/app.git").commit({"a": "x"})
    make_repository("app.git").commit({"a": "x"})
    ca = {"certificate_authority": server.certificate_authority}
    cases: list[tuple[str, dict[str, Any], type[OrcaError], str]] = [
        ("/private/app.git", {}, errors.GitLoginRefused, "asks for credentials"),
        ("/private/app.git", {"token": "wrong-token-value"}, errors.GitLoginRefused, "does not accept the token"),
        ("/nothing.git", {}, errors.GitRepositoryMissing, "no repository"),
        ("/app.git", {"ref": "nothing"}, errors.GitRefMissing, "no branch or tag nothing"),
        ("/app.git", {"ref": "0" * 40}, errors.GitRefMissing, "no commit 000"),
        ("/broken/app.git", {}, errors.GitHostUnreachable, "503"),
        ("/page/app.git", {}, errors.GitRepositoryMissing, "no repository"),
        ("/app.git", {"certificate_authority": None}, errors.GitCertificateRejected, "certificate"),
    ]
    for path, options, error, message in cases:
        with pytest.raises(error, match=message) as caught:
            await fetch(server.url(path), **{**ca, **options})
        assert caught.value.hint
        assert "wrong-token-value" not in caught.value.message + caught.value.hint
    assert leftovers(tmp_path) == []


async def test_hosts_that_cannot_be_reached_are_named(fetch: Fetch, tmp_path: Path, unused_tcp_port: int) -> None:
    with pytest.raises(errors.GitHostUnknown, match="no-such-host"):
        await fetch("https://no-such-host.invalid/a")
    with pytest.raises(errors.GitHostUnreachable, match=str(unused_tcp_port)):
        await fetch(f"https://127.0.0.1:{unused_tcp_port}/a")
    assert leftovers(tmp_path) == []


async def test_private_networks_need_permission_and_metadata_never_gets_it(
    fetch: Fetch, server: Any, commands: list[Command]
) -> None:
    for url, allowed in (
        (server.url("/app.git"), False), ("https://localhost/a", False), ("https://10.0.0.1/a", False), ("https://[::1]/a", False),
        ("https://169.254.169.254/a", True), ("https://[::ffff:169.254.169.254]/a", True), ("https://0.0.0.0/a", True), ("https://224.0.0.1/a", True),
    ):  # fmt: skip
        with pytest.raises(errors.GitHostForbidden) as refused:
            await fetch(url, private_networks=allowed)
        assert ("ORC_GIT_PRIVATE_NETWORKS=true" in refused.value.hint) is not allowed
    assert not commands
    assert not server.requests


async def test_redirects_are_not_followed_and_take_no_credentials_along(
    fetch: Fetch, server: Any, other_server: Any, make_repository: Any, tmp_path: Path
) -> None:
    """INJ-06."""
    make_repository("app.git").commit({"a": "x"})
    server.redirect_to = other_server.url("")
    with pytest.raises(errors.GitRepositoryMoved, match=r"redirects to http://127\.0\.0\.1/app\.git"):
        await fetch(server.url("/moved/app.git"), token=TOKEN, certificate_authority=server.certificate_authority)
    assert server.requests
    assert not other_server.requests
    assert leftovers(tmp_path) == []


async def test_a_hostile_repository_runs_nothing(
    fetch: Fetch, server: Any, make_repository: Any, tmp_path: Path, lines: list[str]
) -> None:
    """INJ-05: a hook behind a link, a submodule whose path ends in CR, filters, and an fsmonitor in its attributes."""
    marker = tmp_path / "pwned"
    hook = f"#!/bin/sh\ntouch {marker}\n"
    inner = make_repository("inner.git")
    inner_commit = inner.commit({"hooks/post-checkout": hook, "y": "y"})
    repository = make_repository("app.git")
    repository.commit(
        {
            "hooks/post-checkout": hook,
            ".gitattributes": "* filter=evil diff=evil\n",
            ".gitconfig": "[core]\n\tfsmonitor = x\n",
        }
    )
    (repository.work / "hooks/post-checkout").chmod(0o755)
    (repository.work / "link").symlink_to(".git/hooks")
    (repository.work / "passwd").symlink_to("/etc/passwd")
    module = f'[submodule "x\r"]\n\tpath = "sub\r"\n\turl = {server.url("/inner.git")}\n\tupdate = !touch {marker}\n'
    (repository.work / ".gitmodules").write_text(module)
    repository.git("add", "-A")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{inner_commit},sub\r")
    repository.git("commit", "-qm", "hostile")
    repository.push()
    ca = {"certificate_authority": server.certificate_authority}
    checkout = await fetch(server.url("/app.git"), submodules=False, **ca)
    assert (checkout.tree / "hooks/post-checkout").exists()
    assert not list((checkout.tree / "sub\r").iterdir())
    assert any("Submodules are left out" in line for line in lines)
    with pytest.raises(OrcaError):
        await fetch(server.url("/app.git"), into=tmp_path / "work" / "again", **ca)
    assert not marker.exists()
    assert leftovers(tmp_path) == ["tree"]


async def test_submodules_are_fetched(
    fetch: Fetch, server: Any, other_server: Any, make_repository: Any, tmp_path: Path
) -> None:
    lib, other = make_repository("private/lib.git"), make_repository("other.git")
    lib_commit, other_commit = lib.commit({"lib.py": "lib"}), other.commit({"other.py": "other"})
    repository = make_repository("private/app.git")
    modules = f'[submodule "lib"]\n\tpath = vendor/lib\n\turl = ../lib.git\n[submodule "o"]\n\tpath = other\n\turl = {other_server.url("/other.git")}\n'
    repository.commit({"a": "a", ".gitmodules": modules})
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{lib_commit},vendor/lib")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{other_commit},other")
    repository.git("commit", "-qm", "modules")
    repository.push()
    options = {"token": TOKEN, "certificate_authority": server.certificate_authority}
    with pytest.raises(OrcaError, match="Plain http"):
        await fetch(server.url("/private/app.git"), **options)
    modules = modules.replace(other_server.url(""), server.url(""))
    repository.commit({".gitmodules": modules})
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{lib_commit},vendor/lib")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{other_commit},other")
    repository.git("commit", "-q", "--allow-empty", "-m", "modules")
    repository.push()
    checkout = await fetch(server.url("/private/app.git"), **options)
    assert (checkout.tree / "vendor/lib/lib.py").read_text() == "lib"
    assert (checkout.tree / "other/other.py").read_text() == "other"
    assert not list(checkout.tree.rglob(".git"))
    assert leftovers(tmp_path) == ["tree"]


async def test_a_submodule_that_was_committed_by_mistake_is_left_out(
    fetch: Fetch, server: Any, make_repository: Any, tmp_path: Path, lines: list[str]
) -> None:
    inner = make_repository("inner.git").commit({"evil": "evil"})
    repository = make_repository("app.git")
    repository.commit({".gitmodules": '[submodule "x"]\n\tpath = ../outside\n\turl = ../inner.git\n', "a": "a"})
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{inner},sub")
    repository.git("commit", "-qm", "x")
    repository.push()
    checkout = await fetch(server.url("/app.git"), certificate_authority=server.certificate_authority)
    assert not list((checkout.tree / "sub").iterdir())
    assert "Without an entry in .gitmodules, so left out: sub" in lines
    assert leftovers(tmp_path) == ["tree"]


async def test_what_is_too_large_is_refused(fetch: Fetch, server: Any, make_repository: Any, tmp_path: Path) -> None:
    repository = make_repository("app.git")
    repository.commit({"zeros": "0" * 3_000_000} | {f"f{n}": str(n) for n in range(50)})
    ca = {"certificate_authority": server.certificate_authority}
    for limits in (ArchiveLimits(total_bytes=2_000_000), ArchiveLimits(entries=20)):
        with pytest.raises(errors.SourceTooLarge):
            await fetch(server.url("/app.git"), limits=limits, **ca)
    (repository.work / "random").write_bytes(os.urandom(4_000_000))
    repository.commit({})
    with pytest.raises(errors.SourceTooLarge):
        await fetch(server.url("/app.git"), limits=ArchiveLimits(total_bytes=3_500_000), **ca)
    assert leftovers(tmp_path) == []


async def test_a_tree_that_unfolds_without_end_is_refused_quickly(
    fetch: Fetch, server: Any, make_repository: Any, tmp_path: Path
) -> None:
    """A few objects that name each other ten times over: ten to the ninth files."""
    repository = make_repository("app.git")
    entry = "100644 blob " + repository.git("hash-object", "-w", "--stdin", stdin=b"x")
    for _ in range(9):
        tree = repository.git("mktree", stdin="".join(f"{entry}\tf{n}\n" for n in range(10)).encode())
        entry = f"040000 tree {tree}"
    commit = repository.git("commit-tree", "-m", "bomb", tree)
    repository.git("push", "-q", str(repository.bare), f"{commit}:refs/heads/main")
    started = time.monotonic()
    with pytest.raises(errors.SourceTooLarge):
        await fetch(
            server.url("/app.git"),
            certificate_authority=server.certificate_authority,
            limits=ArchiveLimits(entries=10_000),
        )
    assert time.monotonic() - started < 20
    assert leftovers(tmp_path) == []


async def test_deadline_and_cancel_end_the_processes(
    fetch: Fetch, server: Any, tmp_path: Path, commands: list[Command]
) -> None:
    ca = {"certificate_authority": server.certificate_authority}
    with pytest.raises(DeadlineExceeded, match="took longer than 2"):
        await fetch(server.url("/stalled/app.git"), deadline=2.0, **ca)
    assert leftovers(tmp_path) == []
    task = asyncio.create_task(fetch(server.url("/stalled/app.git"), **ca))
    await asyncio.wait({task}, timeout=1.5)
    assert "ls-remote" in commands[-1].argv
    task.cancel()
    started = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - started < 10
    assert leftovers(tmp_path) == []
    assert not [pid for pid in running() if str(tmp_path) in pid]


def running() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return [line for line in found if line.startswith(("git", "ssh"))]


async def test_every_user_value_is_one_argument_after_the_options(
    fetch: Fetch, server: Any, make_repository: Any, commands: list[Command]
) -> None:
    """INJ-03: and the environment pins what git may do."""
    make_repository("app.git").commit({"a": "x"})
    url = server.url("/app.git")
    await fetch(url, certificate_authority=server.certificate_authority)
    for command in commands:
        assert command.argv[0] == "git"
        assert command.env["GIT_ALLOW_PROTOCOL"] == "https:ssh"
        assert command.env["GIT_PROTOCOL_FROM_USER"] == "0"
        assert command.env["GIT_CONFIG_GLOBAL"] == "/dev/null"
        count = range(int(command.env["GIT_CONFIG_COUNT"]))
        settings = {command.env[f"GIT_CONFIG_KEY_{n}"]: command.env[f"GIT_CONFIG_VALUE_{n}"] for n in count}
        assert settings["protocol.allow"] == "never"
        assert settings["http.followRedirects"] == "false"
        assert settings["core.hooksPath"] == "/dev/null"
        if url in command.argv:
            assert command.argv[command.argv.index(url) - 1] == "--"
    assert sum(url in command.argv for command in commands) == 2


async def test_git_is_pinned_to_the_address_that_was_checked(
    fetch: Fetch, other_server: Any, make_repository: Any, commands: list[Command]
) -> None:
    """The name is looked up once: what another look-up would answer no longer matters."""
    make_repository("app.git").commit({"a": "x"})
    await fetch(f"http://localhost:{other_server.port}/app.git")
    assert f"localhost:{other_server.port}:127.0.0.1" in commands[-1].env.values()
    assert commands[-1].env["GIT_ALLOW_PROTOCOL"] == "https:ssh:http"


async def test_checkout_git_cancelled_at_any_wait_leaves_nothing(
    fetch: Fetch, server: Any, make_repository: Any, tmp_path: Path
) -> None:
    """Also where the wait is the one for the folder itself, which a thread goes on to make."""
    make_repository("app.git").commit({"a.txt": "one"})
    is_cancelled, point = True, 0
    while is_cancelled:
        point += 1
        fetching = fetch(server.url("/app.git"), certificate_authority=server.certificate_authority)
        (outcome,) = await asyncio.gather(CancelledAt(fetching, point), return_exceptions=True)
        is_cancelled = isinstance(outcome, asyncio.CancelledError)
        if is_cancelled:
            assert leftovers(tmp_path) == [], point
    assert (outcome.tree / "a.txt").read_text() == "one"
    assert point > 10
