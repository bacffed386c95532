"""Fetches the files that a repository stores at its LFS server, by the batch API of Git LFS with the basic transfer.

The server names the location of each file, which may be any host: each address is checked by the same policy as the
repository (sdk.egress), is pinned, and receives the repository's credentials only at the origin they are bound to. A
downloaded file must have the digest that the commit names.
"""

import asyncio
import hashlib
import json
import shlex
import shutil
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from orca.errors import BadInput
from orca.features.sources.errors import GitLfsFailed
from orca.features.sources.rules import RepoUrl
from orca.features.sources.steps.git_request import GitCheckout
from orca.features.sources.steps.git_session import GitSession
from orca.features.sources.steps.lfs_pointers import Pointer, find_pointers
from orca.kit.amounts import counted, show_bytes
from orca.kit.threads import run_in_thread
from orca.sdk.builders import Log
from orca.sdk.egress import AddressNotAllowed, PinnedTransport, Unresolved, is_allowed

_MEDIA = "application/vnd.git-lfs+json"
_BATCH, _AT_ONCE, _ANSWER_LIMIT = 100, 4, 4 << 20
_OK = 200
_HEADERS = 20
_NOT_TAKEN = {"host", "content-length", "transfer-encoding", "connection"}
_HINT = "Check that the files are on the LFS server (`git lfs push --all`) and that the credential may read them."


async def fetch_lfs_files(git: GitSession, request: GitCheckout, commit: str, log: Log) -> None:
    """Replace the pointers in the tree by the files. Raises GitLfsFailed."""
    pointers = await asyncio.to_thread(find_pointers, request.into)
    if not pointers:
        return
    if len({(wanted.oid, wanted.size) for wanted in pointers}) > len({wanted.oid for wanted in pointers}):
        raise GitLfsFailed("Two pointers of Git LFS give one file different sizes.", hint=_HINT)
    total = sum(pointer.size for pointer in pointers)  # duplicates count: each one is written
    if total > request.limits.total_bytes:
        raise GitLfsFailed(
            f"The files in Git LFS have {show_bytes(total)}, which is more than this instance allows.",
            hint="Keep large data out of the repository, or ask an administrator for a higher limit.",
        )
    await log(f"Fetching {counted(len(pointers), 'file')} from Git LFS ({show_bytes(total)})")
    try:
        await _fetch(git, request, commit, pointers)
    except (AddressNotAllowed, Unresolved) as error:
        raise GitLfsFailed(f"Git LFS keeps the files where nothing is fetched from: {error}.", hint=_HINT) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise GitLfsFailed(f"The LFS server broke off ({type(error).__name__}).", hint="Try again.") from None


async def _fetch(git: GitSession, request: GitCheckout, commit: str, pointers: Sequence[Pointer]) -> None:
    by_oid: dict[str, list[Pointer]] = {}
    for pointer in pointers:
        by_oid.setdefault(pointer.oid, []).append(pointer)
    private = request.private_networks
    transport = PinnedTransport(lambda address: is_allowed(address, private=private, loopback=private), _trust(request))
    async with httpx.AsyncClient(transport=transport, timeout=30) as client:
        endpoint, headers = await _find_endpoint(git, request, commit)
        slots = asyncio.Semaphore(_AT_ONCE)
        oids = list(by_oid)
        for at in range(0, len(oids), _BATCH):
            wanted = [by_oid[oid][0] for oid in oids[at : at + _BATCH]]
            actions = await _ask(client, endpoint, headers, wanted)
            try:
                async with asyncio.TaskGroup() as group:
                    for oid, action in actions.items():
                        own = _headers_for(git, request, action)
                        download = _download(client, slots, action["href"], own, request.into, by_oid[oid])
                        group.create_task(download)
            except ExceptionGroup as failures:
                raise failures.exceptions[0] from None


def _trust(request: GitCheckout) -> ssl.SSLContext:
    """Trust the Git host's own authority and the public ones: large files are often stored at another host."""
    context = ssl.create_default_context()
    if request.certificate_authority:
        context.load_verify_locations(cadata=request.certificate_authority)
    return context


async def _find_endpoint(git: GitSession, request: GitCheckout, commit: str) -> tuple[str, dict[str, str]]:
    """Return URL and headers of the API: from `.lfsconfig`, by SSH, or derived from the repository's address."""
    told = await git.run("config", f"--blob={commit}:.lfsconfig", "--get", "lfs.url")
    if told.exit_code == 0:
        try:
            url = RepoUrl.parse(told.text.strip(), allow_http=request.url.scheme == "http")
        except BadInput as error:
            raise GitLfsFailed(
                f".lfsconfig names no address that files are fetched from: {error.message}", hint=_HINT
            ) from None
        if url.scheme != "ssh":
            return str(url), _own_headers(git, request, url.origin)
    if request.url.scheme != "ssh":
        path = request.url.path.removesuffix(".git") + ".git"
        return f"{request.url.origin}{path}/info/lfs", _own_headers(git, request, request.url.origin)
    return await _ask_by_ssh(git, request.url)


async def _ask_by_ssh(git: GitSession, url: RepoUrl) -> tuple[str, dict[str, str]]:
    path = url.path[1:] if url.from_home else url.path
    command = f"git-lfs-authenticate {shlex.quote(path)} download"
    ssh = ("ssh", "-F", str(git.home / "ssh_config"), "-p", str(url.port), f"{url.user}@{url.host}", command)
    answer = await git.start(*ssh)
    try:
        said = json.loads(answer.text[:_ANSWER_LIMIT]) if answer.exit_code == 0 else {}
        action = _check_action(said)
        return action["href"], _given_headers(action)
    except (ValueError, RecursionError):
        raise GitLfsFailed(
            f"{url.host} does not say by SSH where its LFS files are.", hint="Use the https address of the repository."
        ) from None


def _own_headers(git: GitSession, request: GitCheckout, origin: str) -> dict[str, str]:
    """Return the repository's login, if it is bound to this origin."""
    if git.authorization and origin == request.url.origin:
        return {"Authorization": git.authorization}
    return {}


def _headers_for(git: GitSession, request: GitCheckout, action: Mapping[str, Any]) -> dict[str, str]:
    given = _given_headers(action)
    if any(name.lower() == "authorization" for name in given):
        return given
    url = httpx.URL(action["href"])
    return {**_own_headers(git, request, f"{url.scheme}://{url.netloc.decode()}"), **given}


def _given_headers(action: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that the server names for a request. Raises GitLfsFailed for invalid ones."""
    wanted = action.get("header") or {}
    pairs = list(wanted.items())[:_HEADERS] if isinstance(wanted, dict) else [("", None)]
    given = {}
    for name, value in pairs:
        if not isinstance(value, str) or not f"{name}{value}".isascii():
            raise GitLfsFailed("The LFS server asks for headers that none can be.", hint=_HINT)
        if name.lower() not in _NOT_TAKEN:
            given[name] = value
    return given


async def _ask(
    client: httpx.AsyncClient, endpoint: str, headers: Mapping[str, str], wanted: Sequence[Pointer]
) -> dict[str, dict[str, Any]]:
    """Return digest -> download action."""
    objects = [{"oid": pointer.oid, "size": pointer.size} for pointer in wanted]
    body = json.dumps({"operation": "download", "transfers": ["basic"], "objects": objects})
    media = {"Accept": _MEDIA, "Content-Type": _MEDIA}
    async with client.stream("POST", f"{endpoint}/objects/batch", content=body, headers={**headers, **media}) as answer:
        if answer.status_code != _OK:
            raise GitLfsFailed(f"The LFS server answered with status {answer.status_code}.", hint=_HINT)
        content = b""
        async for chunk in answer.aiter_bytes():
            content += chunk
            if len(content) > _ANSWER_LIMIT:
                raise GitLfsFailed("The LFS server's answer is too long.", hint=_HINT)
    return _read_batch(content, wanted)


def _read_batch(content: bytes, wanted: Sequence[Pointer]) -> dict[str, dict[str, Any]]:
    try:
        found = {object_["oid"]: object_ for object_ in json.loads(content)["objects"]}
        actions = {pointer.oid: found.get(pointer.oid, {}).get("actions", {}).get("download") for pointer in wanted}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise GitLfsFailed("The LFS server's answer cannot be understood.", hint=_HINT) from None
    missing = [pointer.path for pointer in wanted if not actions[pointer.oid]]
    if missing:
        shown = f"{missing[0]} and {len(missing) - 1} more" if len(missing) > 1 else missing[0]
        raise GitLfsFailed(f"The LFS server does not have {shown}.", hint=_HINT)
    return {oid: _check_action(action) for oid, action in actions.items()}


def _check_action(action: Any) -> dict[str, Any]:
    if not isinstance(action, dict) or not str(action.get("href", "")).startswith(("https://", "http://")):
        raise GitLfsFailed("The LFS server names an address that is none.", hint=_HINT)
    return action


async def _download(
    client: httpx.AsyncClient,
    slots: asyncio.Semaphore,
    href: str,
    headers: Mapping[str, str],
    tree: Path,
    pointers: Sequence[Pointer],
) -> None:
    first, *others = pointers
    async with slots, client.stream("GET", href, headers=dict(headers)) as answer:
        if answer.status_code != _OK:
            raise GitLfsFailed(f"{first.path}: the LFS server answered with status {answer.status_code}.", hint=_HINT)
        digest, size = hashlib.sha256(), 0
        with (tree / first.path).open("wb") as file:
            async for chunk in answer.aiter_bytes():
                size += len(chunk)
                if size > first.size:
                    break
                digest.update(chunk)
                await run_in_thread(file.write, chunk)
    if size != first.size or digest.hexdigest() != first.oid:
        raise GitLfsFailed(f"What the LFS server sent for {first.path} is not what was committed.", hint=_HINT)
    for other in others:
        await run_in_thread(shutil.copyfile, tree / first.path, tree / other.path)
