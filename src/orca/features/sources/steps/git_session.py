"""A private folder for one fetch: object store, key, trusted host keys. It is removed afterwards."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from orca.features.sources.errors import GitFailed, GitHostKeyUnknown, GitLoginRefused
from orca.features.sources.rules import RepoUrl
from orca.features.sources.steps.git_environment import (
    find_host_keys,
    fingerprint,
    render_authorization,
    render_git_environment,
    render_known_hosts,
    render_ssh_config,
)
from orca.features.sources.steps.git_request import GitCheckout
from orca.features.sources.steps.reach_host import reach_host
from orca.kit.cancellation import finish_then_cancel
from orca.kit.text import clean_output, shorten
from orca.kit.threads import run_in_thread
from orca.sdk.connectors import Command, CommandResult, Connector, OutputSink

log = structlog.get_logger("orca.sources")
_SCAN_SECONDS = 10
_SIGNALLED = 128
"""An exit code above it is 128 plus a signal's number; 128 itself is Git's code for any fatal error."""
_DOING = {
    "init": "make a place for the repository",
    "ls-remote": "understand what the Git host answers",
    "rev-parse": "find the commit in what the Git host sent",
    "ls-tree": "list the files of the commit",
    "checkout": "write the files of the commit",
    "show": "read the commit",
}
_CA_FILE = "ca.pem"


@dataclass(frozen=True, slots=True)
class GitSession:
    """Runs git and ssh for one fetch."""

    connector: Connector
    home: Path
    """A private folder that contains only files of this session."""
    address: str
    deadline: float
    authorization: str | None = field(repr=False)
    env: dict[str, str] = field(repr=False)

    @property
    def git_dir(self) -> Path:
        """The object store."""
        return self.home / "git"

    async def run(self, *arguments: str, on_output: OutputSink | None = None) -> CommandResult:
        """Run git; a failure is returned as a result."""
        return await self.start("git", f"--git-dir={self.git_dir}", *arguments, on_output=on_output)

    async def start(self, *argv: str, stdin: bytes = b"", on_output: OutputSink | None = None) -> CommandResult:
        """Run any program in this session's environment."""
        command = Command(argv, self.deadline, stdin=stdin, env=self.env, cwd=str(self.home))
        return await self.connector.run(command, on_output)

    async def check(self, *arguments: str, on_output: OutputSink | None = None) -> CommandResult:
        """Run git; raises GitFailed if it fails."""
        result = await self.run(*arguments, on_output=on_output)
        if result.exit_code:
            raise git_failed(result, next(argument for argument in arguments if not argument.startswith("-")))
        return result

    async def text(self, *arguments: str) -> str:
        """Return what git prints; raises GitFailed if it fails."""
        return (await self.check(*arguments)).text

    async def succeeds(self, *arguments: str) -> bool:
        """Whether a git command ends with exit code 0."""
        return (await self.run(*arguments)).exit_code == 0

    def size_bytes(self) -> int:
        """Return how many bytes were fetched so far. Blocking."""
        total = 0
        for folder, _, names in os.walk(self.git_dir):
            for name in names:
                try:
                    total += (Path(folder) / name).lstat().st_size
                except FileNotFoundError:  # git renamed a temporary file
                    continue
        return total


def git_failed(result: CommandResult, command: str) -> GitFailed:
    """Return the error for an unknown failure. Git's output may come from the server, so it is only logged."""
    lines = clean_output(result.stderr.decode(errors="replace"), colours=False).strip().splitlines()
    log.warning("git_failed", command=command, exit_code=result.exit_code, said=shorten(" / ".join(lines[-3:]), 400))
    hint = "Try again; the log of Orca has what Git said, and `git clone` of the same address on the server shows it."
    if result.exit_code < 0 or result.exit_code > _SIGNALLED:
        hint = "It was stopped from outside, most often for memory: try again when this machine has less to do."
    return GitFailed(f"Git could not {_DOING.get(command, command)} (exit code {result.exit_code}).", hint=hint)


@asynccontextmanager
async def open_session(connector: Connector, request: GitCheckout) -> AsyncIterator[GitSession]:
    """Find the host's address, check that the host is trusted, and create the object store.

    Raises what `reach_host` raises, GitHostKeyUnknown, GitLoginRefused (ssh without a key).
    """
    address = await reach_host(request.url, private_networks=request.private_networks)
    making = asyncio.to_thread(tempfile.mkdtemp, prefix=".git-", dir=request.into.parent)  # born 0700
    home = Path(await finish_then_cancel(making))
    try:
        session = _session(connector, request, home, address)
        if request.certificate_authority:
            write_private(home / _CA_FILE, request.certificate_authority)
        if request.url.scheme == "ssh":
            await _prepare_ssh(session, request)
        await session.check("init", "--quiet", "--bare", "--template=", str(session.git_dir))
        yield session
    finally:
        await run_in_thread(shutil.rmtree, home, ignore_errors=True)


def _session(connector: Connector, request: GitCheckout, home: Path, address: str) -> GitSession:
    authorization = None
    if request.token and request.url.scheme == "https":
        authorization = render_authorization(request.username, request.token)
    ca_file = home / _CA_FILE if request.certificate_authority else None
    env = render_git_environment(request.url, address, home, authorization=authorization, ca_file=ca_file)
    return GitSession(connector, home, address, request.deadline, authorization, env)


async def _prepare_ssh(session: GitSession, request: GitCheckout) -> None:
    if not request.deploy_key:
        raise GitLoginRefused(
            f"{request.url} is reached by SSH, which needs a deploy key.",
            hint="Create a deploy key in Orca and add its public half to the repository, or use its https address.",
        )
    keys = find_host_keys(request.known_hosts, request.url)
    if not keys:
        raise _unknown_host_key(request.url, await scan_host_keys(session, request.url))
    write_private(session.home / "key", request.deploy_key.rstrip() + "\n")
    write_private(session.home / "known_hosts", render_known_hosts(keys))
    write_private(session.home / "ssh_config", render_ssh_config(session.address, session.home))


def write_private(path: Path, text: str) -> None:
    """Write a new file that other users cannot read at any moment."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)


async def scan_host_keys(session: GitSession, url: RepoUrl) -> list[str]:
    """Return the keys (`type base64`) that the host presents now; a user must confirm that they are the right ones."""
    result = await session.start("ssh-keyscan", "-T", str(_SCAN_SECONDS), "-p", str(url.port), "--", session.address)
    lines = [line.split() for line in result.text.splitlines() if not line.startswith("#")]
    return sorted(f"{fields[1]} {fields[2]}" for fields in lines if len(fields) == 3)  # noqa: PLR2004 - host, type, key


def _unknown_host_key(url: RepoUrl, keys: list[str]) -> GitHostKeyUnknown:
    shown = ", ".join(map(fingerprint, keys)) or "none"
    name = url.host if url.port == 22 else f"[{url.host}]:{url.port}"  # noqa: PLR2004 - ssh's own port
    return GitHostKeyUnknown(
        f"The SSH host key of {url.host} has not been confirmed yet. It shows: {shown}.",
        hint="Compare the fingerprint with the one the Git host publishes, then trust it in the Git credential.",
        host_keys=render_known_hosts(keys, name),
    )
