"""A private place for one fetch: the object store, the key, the trusted host keys. All of it is gone afterwards."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

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
from orca.kit.text import clean_output, shorten
from orca.sdk.connectors import Command, CommandResult, Connector, OutputSink

_SCAN_SECONDS = 10
_CA_FILE = "ca.pem"


@dataclass(frozen=True, slots=True)
class GitSession:
    """Runs git and ssh for one fetch."""

    connector: Connector
    home: Path
    """Private to this session; nothing but what it wrote is in it."""
    address: str
    deadline: float
    authorization: str | None = field(repr=False)
    env: dict[str, str] = field(repr=False)

    @property
    def git_dir(self) -> Path:
        """The object store."""
        return self.home / "git"

    async def run(self, *arguments: str, on_output: OutputSink | None = None) -> CommandResult:
        """Run git; a failure is a result."""
        return await self.start("git", f"--git-dir={self.git_dir}", *arguments, on_output=on_output)

    async def start(self, *argv: str, stdin: bytes = b"", on_output: OutputSink | None = None) -> CommandResult:
        """Run any program in this session's environment."""
        command = Command(argv, self.deadline, stdin=stdin, env=self.env, cwd=str(self.home))
        return await self.connector.run(command, on_output)

    async def check(self, *arguments: str, on_output: OutputSink | None = None) -> CommandResult:
        """Run git; GitFailed if it fails."""
        result = await self.run(*arguments, on_output=on_output)
        if result.exit_code:
            raise git_failed(result)
        return result

    async def text(self, *arguments: str) -> str:
        """What git prints; GitFailed if it fails."""
        return (await self.check(*arguments)).text

    async def succeeds(self, *arguments: str) -> bool:
        """Whether git says yes."""
        return (await self.run(*arguments)).exit_code == 0

    def size_bytes(self) -> int:
        """How much has been fetched so far. Blocking."""
        total = 0
        for folder, _, names in os.walk(self.git_dir):
            for name in names:
                try:
                    total += (Path(folder) / name).lstat().st_size
                except FileNotFoundError:  # git renames its temporary files
                    continue
        return total


def git_failed(result: CommandResult) -> GitFailed:
    """Git's own last lines, for what cannot be told apart any further."""
    lines = clean_output(result.stderr.decode(errors="replace"), colours=False).strip().splitlines()
    return GitFailed(
        f"Git failed with exit code {result.exit_code}: {shorten(' / '.join(lines[-3:]), 400)}",
        hint="Look at what git says; if it is about the network, try again.",
    )


@asynccontextmanager
async def open_session(connector: Connector, request: GitCheckout) -> AsyncIterator[GitSession]:
    """Reach the host, check that it is trusted, and make the object store.

    Raises what `reach_host` raises, GitHostKeyUnknown, GitLoginRefused (ssh without a key).
    """
    address = await reach_host(request.url, private_networks=request.private_networks)
    home = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=".git-", dir=request.into.parent))  # born 0700
    try:
        session = _session(connector, request, home, address)
        if request.certificate_authority:
            write_private(home / _CA_FILE, request.certificate_authority)
        if request.url.scheme == "ssh":
            await _prepare_ssh(session, request)
        await session.check("init", "--quiet", "--bare", "--template=", str(session.git_dir))
        yield session
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, home, ignore_errors=True))


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
    """A new file that nobody else can read at any moment."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)


async def scan_host_keys(session: GitSession, url: RepoUrl) -> list[str]:
    """The keys (`type base64`) the host shows now; whether they are the right ones is for a person to say."""
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
