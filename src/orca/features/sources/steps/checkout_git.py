"""Checks out one commit of a Git repository into a directory, and nothing else: no history, no `.git`, no hooks.

The repository and its server are treated as hostile. Git runs in an environment of its own (git_environment.py), is
pinned to one address (reach_host.py), and all user input follows `--` in its arguments.
"""

import asyncio
import difflib
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from orca.errors import BadInput, DeadlineExceeded
from orca.features.sources.errors import GitFailed, GitRefMissing, SourceTooLarge
from orca.features.sources.rules import GitRef
from orca.features.sources.steps.explain_failure import explain_failure, is_repository, repository_missing
from orca.features.sources.steps.fetch_lfs import fetch_lfs_files
from orca.features.sources.steps.git_request import Checkout, GitCheckout
from orca.features.sources.steps.git_session import GitSession, open_session
from orca.features.sources.steps.read_submodules import Submodule, read_submodules
from orca.kit.cancellation import finish_then_cancel
from orca.kit.text import clean_output
from orca.kit.threads import run_in_thread
from orca.sdk.builders import Log
from orca.sdk.connectors import Connector
from orca.sdk.trees import Tree

__all__ = ["Checkout", "GitCheckout", "checkout_git"]

_WANTED = "refs/orca/wanted"
_MEASURE_EVERY = 0.5
_SUBMODULE_DEPTH = 3
_BRANCHES_SHOWN = 12
_BRANCHES_OFFERED = 200
_COMPARED, _COMPARED_LENGTH = 300, 80
"""Limits of the similarity search: it takes quadratic time or more per branch, and a hostile server names them."""
_ENTRY = re.compile(rb"(?P<mode>\d+) (?:blob|commit) (?P<id>[0-9a-f]+) +(?P<size>\d+|-)\t(?P<path>.*)", re.DOTALL)


async def checkout_git(connector: Connector, request: GitCheckout, log: Log) -> Checkout:
    """Fetch and unpack. Raises the errors of `sources.errors`, DeadlineExceeded, ProviderUnavailable (no git).

    On failure and on cancellation neither tree nor key remains.
    """
    try:
        async with asyncio.timeout(request.deadline):
            return await _checkout(connector, request, log, depth=0)
    except TimeoutError:
        raise DeadlineExceeded(
            f"Fetching {request.url} took longer than {request.deadline:g} seconds.",
            hint="Try again; if the repository is large, keep data and build output out of it.",
        ) from None


async def _checkout(connector: Connector, request: GitCheckout, log: Log, depth: int) -> Checkout:
    await log(f"Fetching {request.ref} of {request.url}")
    async with _new_directory(request.into), open_session(connector, request) as git:
        await _fetch(git, request)
        commit = await git.text("rev-parse", "--verify", "--end-of-options", f"{_WANTED}^{{commit}}")
        submodule_ids = await _measure(git, request, commit)
        await git.check(f"--work-tree={request.into}", "checkout", "--quiet", "--force", "--detach", commit)
        checkout = await _describe(git, request, commit)
        if request.lfs:
            await fetch_lfs_files(git, request, commit, log)
        if submodule_ids:
            submodules = await read_submodules(git, request.url, commit, submodule_ids)
            if missing := submodule_ids.keys() - {submodule.path for submodule in submodules}:
                await log(f"Without an entry in .gitmodules, so left out: {clean_output(', '.join(sorted(missing)))}")
            await _add_submodules(connector, request, submodules, log, depth)
    await log(f"Checked out {commit[:12]}: {clean_output(checkout.message).partition(chr(10))[0]}")
    return checkout


@asynccontextmanager
async def _new_directory(path: Path) -> AsyncIterator[None]:
    await finish_then_cancel(asyncio.to_thread(path.mkdir, mode=0o755))
    try:
        yield
    except BaseException:
        await run_in_thread(shutil.rmtree, path, ignore_errors=True)
        raise


async def _fetch(git: GitSession, request: GitCheckout) -> None:
    """Fetch only the wanted commit if the server allows that, else everything."""
    remote, found = await _find_ref(git, request)
    if await try_fetch(git, request, "--depth=1", refspecs=(f"+{remote}:{_WANTED}",)):
        return
    every = ("+refs/heads/*:refs/orca/heads/*", "+refs/tags/*:refs/orca/tags/*")
    if not await try_fetch(git, request, refspecs=every):
        raise await explain_failure(git, request)
    if not await git.succeeds("update-ref", _WANTED, f"{found}^{{commit}}"):
        raise no_such_ref(request)


async def _find_ref(git: GitSession, request: GitCheckout) -> tuple[str, str]:
    """Return the full name and object of a branch (tried first), a tag, or HEAD (last); a commit is its own name."""
    if request.ref.is_commit:
        return str(request.ref), str(request.ref)
    names = [f"refs/heads/{request.ref}", f"refs/tags/{request.ref}", *(("HEAD",) if request.ref.is_default else ())]
    result = await git.run("ls-remote", "--quiet", "--", str(request.url), *names)
    if result.exit_code:
        raise await explain_failure(git, request)
    found = {name: object_id for object_id, _, name in (line.partition("\t") for line in result.text.splitlines())}
    for name in names:
        if name in found:
            return name, found[name]
    if not await is_repository(git, request):
        raise repository_missing(request)
    raise no_such_ref(request, await _list_branches(git, request))


async def _list_branches(git: GitSession, request: GitCheckout) -> list[str]:
    """Return the existing branches; empty when the host does not list them."""
    result = await git.run("ls-remote", "--quiet", "--heads", "--", str(request.url))
    names = (line.partition("\trefs/heads/")[2] for line in result.text.splitlines())
    return [name for name in names if name and clean_output(name, colours=False) == name]


def no_such_ref(request: GitCheckout, branches: Sequence[str] = ()) -> GitRefMissing:
    """Return the error, with the branches most similar to the requested one. Pure."""
    if request.ref.is_default:
        return GitRefMissing(
            f"{request.url} has no default branch; is it empty?", hint="Push a commit, or name a branch.",
            branches=list(branches[:_BRANCHES_SHOWN]),
        )  # fmt: skip
    kind = "commit" if request.ref.is_commit else "branch or tag"
    message = f"{request.url} has no {kind} {request.ref}."
    if request.ref.is_commit or not branches:
        hint = "Check the name (a commit must be given with all its digits), and that it was pushed."
        return GitRefMissing(message, hint=hint)
    comparable = [name for name in branches if len(name) <= _COMPARED_LENGTH][:_COMPARED]
    near = difflib.get_close_matches(str(request.ref)[:_COMPARED_LENGTH], comparable, n=_BRANCHES_SHOWN, cutoff=0.5)
    # The address of a folder does not say where the name of its branch ends: the first part was taken for it.
    longer = [name for name in comparable if name.startswith(f"{request.ref}/")][:_BRANCHES_SHOWN]
    shown = list(dict.fromkeys([*longer, *near, *branches]))[:_BRANCHES_SHOWN]
    more = f" and {len(branches) - len(shown)} more" if len(branches) > len(shown) else ""
    slash = f" If {longer[0]} is meant, correct branch and subdirectory." if longer else ""
    return GitRefMissing(message, hint=f"Its branches: {', '.join(shown)}{more}.{slash}", branches=shown)


async def try_fetch(git: GitSession, request: GitCheckout, *options: str, refspecs: tuple[str, ...]) -> bool:
    """Fetch into the object store, and stop when it grows beyond the limits (SourceTooLarge)."""
    command = ("fetch", "--quiet", "--no-tags", "--no-auto-maintenance", *options, "--", str(request.url), *refspecs)
    fetching = asyncio.create_task(git.run(*command))
    try:
        while not fetching.done():
            await asyncio.wait({fetching}, timeout=_MEASURE_EVERY)
            if await asyncio.to_thread(git.size_bytes) > request.limits.total_bytes:
                raise _too_large(request)
    finally:
        fetching.cancel()
        await asyncio.wait({fetching})
    return fetching.result().exit_code == 0


def _too_large(request: GitCheckout) -> SourceTooLarge:
    return SourceTooLarge(
        f"{request.url} holds more than {request.limits.total_bytes >> 20} MiB or {request.limits.entries} files.",
        hint="Keep data and build output out of the repository, or ask an administrator for a higher limit.",
    )


async def _measure(git: GitSession, request: GitCheckout, commit: str) -> dict[str, str]:
    """Refuse a tree that exceeds the limits before any file is written. Returns path -> commit of its submodules."""
    submodules: dict[str, str] = {}
    total = entries = 0
    rest = b""

    async def count(_stream: Literal["stdout", "stderr"], data: bytes) -> None:
        nonlocal rest, total, entries
        *lines, rest = (rest + data).split(b"\0")
        for match in filter(None, map(_ENTRY.fullmatch, lines)):
            entries += 1
            total += int(match["size"]) if match["size"] != b"-" else 0
            if match["mode"] == b"160000":
                submodules[match["path"].decode(errors="replace")] = match["id"].decode()
        if total > request.limits.total_bytes or entries > request.limits.entries:
            raise _too_large(request)

    await git.check("ls-tree", "-r", "-l", "-z", "--full-tree", commit, on_output=count)
    return submodules


async def _describe(git: GitSession, request: GitCheckout, commit: str) -> Checkout:
    shown = await git.text("show", "--no-patch", "--no-show-signature", "--format=%an <%ae>%x00%B", commit)
    author, _, message = shown.partition("\0")
    branches = (await _list_branches(git, request))[:_BRANCHES_OFFERED] if request.branches else ()
    return Checkout(commit, author, message.strip(), request.into, branches)


async def _add_submodules(
    connector: Connector, request: GitCheckout, submodules: list[Submodule], log: Log, depth: int
) -> None:
    if not request.submodules and submodules:
        names = ", ".join(submodule.path for submodule in submodules)
        await log(f"Submodules are left out ({clean_output(names)}); they can be turned on in the source settings.")
    if not request.submodules:
        return
    if depth == _SUBMODULE_DEPTH:
        raise GitFailed(f"{request.url} nests submodules too deeply.", hint=f"At most {_SUBMODULE_DEPTH} levels.")
    for submodule in submodules:
        folder = await run_in_thread(_vacate, request.into, submodule.path)
        same_host = submodule.url.origin == request.url.origin
        wanted = replace(
            request,
            url=submodule.url,
            ref=GitRef.parse(submodule.commit),
            branches=False,
            into=folder,
            token=request.token if same_host else None,
            deploy_key=request.deploy_key if same_host else None,
        )
        await _checkout(connector, wanted, log, depth + 1)


def _vacate(tree: Path, path: str) -> Path:
    """Return the submodule's folder: git left an empty directory there; it must not be reached by a symbolic link."""
    folder = tree / path
    if Tree(tree).directory(path) != folder.parent.resolve() / folder.name:
        raise BadInput(f"The submodule {path!r} lies behind a symbolic link.", hint="Remove the link.")
    folder.rmdir()
    return folder
