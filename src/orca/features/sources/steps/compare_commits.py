"""Asks a repository which files differ between two commits, without fetching the files' contents."""

import asyncio
from typing import Literal

from orca.features.sources.steps.checkout_git import try_fetch
from orca.features.sources.steps.git_request import GitCheckout
from orca.features.sources.steps.git_session import open_session
from orca.sdk.connectors import Connector

_MOST_PATHS = 10_000
_LONGEST = 4 << 20


async def list_changed(connector: Connector, request: GitCheckout, before: str, after: str) -> list[str] | None:
    """Return the paths that differ; None when the host no longer has one of the commits, or there are too many.

    Raises the errors of `sources.errors`, ProviderUnavailable (no git) and TimeoutError.
    """
    async with asyncio.timeout(request.deadline), open_session(connector, request) as git:
        if not await try_fetch(git, request, "--depth=1", "--filter=blob:none", refspecs=(before, after)):
            return None
        found = bytearray()

        async def keep(stream: Literal["stdout", "stderr"], data: bytes) -> None:
            if stream == "stdout" and len(found) < _LONGEST:
                found.extend(data)

        result = await git.run("diff-tree", "-r", "-z", "--name-only", "--no-renames", before, after, on_output=keep)
    paths = found.decode(errors="replace").split("\0")[:-1]
    return None if result.exit_code or len(found) >= _LONGEST or len(paths) > _MOST_PATHS else paths
