"""Finds out why git could not fetch, by asking the host directly instead of parsing git's output."""

import asyncio
import ssl
from urllib.parse import urlsplit

import httpx

from orca.errors import StepFailed
from orca.features.sources.errors import (
    GitCertificateRejected,
    GitHostKeyChanged,
    GitHostUnreachable,
    GitLoginRefused,
    GitRepositoryMissing,
    GitRepositoryMoved,
)
from orca.features.sources.rules import RepoUrl
from orca.features.sources.steps.git_environment import find_host_keys, fingerprint
from orca.features.sources.steps.git_request import GitCheckout
from orca.features.sources.steps.git_session import GitSession, git_failed, scan_host_keys
from orca.kit.text import clean_output, shorten

_PROBE_DEADLINE = 15.0
_ADVERTISEMENT = "application/x-git-upload-pack-advertisement"
_SSH_FAILED = 255
"""Exit code of ssh's own failures; any other code is that of the command on the host."""


async def explain_failure(git: GitSession, request: GitCheckout) -> StepFailed:
    """Return the error to raise for a fetch that failed."""
    explained = await (_explain_ssh(git, request) if request.url.scheme == "ssh" else _explain_http(git, request))
    if explained:
        return explained
    return git_failed(await git.run("ls-remote", "--quiet", "--", str(request.url), "HEAD"), "ls-remote")


async def is_repository(git: GitSession, request: GitCheckout) -> bool:
    """Whether the server at the address speaks git; git itself treats any web page as an empty repository."""
    if request.url.scheme == "ssh":
        return True
    try:
        async with asyncio.timeout(_PROBE_DEADLINE):
            response = await _ask(git, request)
    except (httpx.HTTPError, TimeoutError):
        return True
    return bool(response.headers.get("Content-Type") == _ADVERTISEMENT)


async def _explain_http(git: GitSession, request: GitCheckout) -> StepFailed | None:
    url = request.url
    try:
        async with asyncio.timeout(_PROBE_DEADLINE):
            response = await _ask(git, request)
    except (httpx.HTTPError, TimeoutError) as error:
        return _explain_transport(url, error)
    if response.is_redirect:
        target = urlsplit(response.headers.get("Location", ""))
        place = clean_output(f"{target.scheme}://{target.hostname}{target.path}".removesuffix("/info/refs"))
        return GitRepositoryMoved(
            f"{url} redirects to {shorten(place, 200)}.",
            hint="Redirects are not followed; if that is the repository, enter its new address.",
        )
    return explain_status(response.status_code, request)


def explain_status(status: int, request: GitCheckout) -> StepFailed | None:
    """Explain an HTTP status of the repository's address. Pure."""
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        return _login_refused(request, "token" if request.token else None)
    if status in {httpx.codes.NOT_FOUND, httpx.codes.GONE}:
        return repository_missing(request)
    if httpx.codes.is_server_error(status):
        return GitHostUnreachable(f"{request.url.host} answers with status {status}.", hint="Try again later.")
    return None


async def _ask(git: GitSession, wanted: GitCheckout) -> httpx.Response:
    """Send the request that git sends first, to the same address."""
    url = wanted.url
    host = f"[{git.address}]" if ":" in git.address else git.address
    authority = url.origin.partition("://")[2]
    headers = {"Host": authority} | ({"Authorization": git.authorization} if git.authorization else {})
    trust = ssl.create_default_context(cadata=wanted.certificate_authority)
    async with httpx.AsyncClient(trust_env=False, follow_redirects=False, verify=trust) as client:
        request = client.build_request(
            "GET",
            f"{url.scheme}://{host}:{url.port}{url.path}/info/refs?service=git-upload-pack",
            headers=headers,
            extensions={"sni_hostname": url.host},
        )
        response = await client.send(request, stream=True)
        await response.aclose()
        return response


def _explain_transport(url: RepoUrl, error: Exception) -> StepFailed:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            reason = getattr(cause, "verify_message", "") or cause.reason
            return GitCertificateRejected(
                f"The TLS certificate of {url.host} is not valid: {reason}.",
                hint="Check the host name; if a private authority signed it, give that authority's certificate.",
            )
        cause = cause.__cause__ or cause.__context__
    return GitHostUnreachable(f"{url.host} accepts connections but does not answer.", hint="Try again later.")


def _login_refused(request: GitCheckout, credential: str | None) -> GitLoginRefused:
    if credential is None:
        return GitLoginRefused(
            f"{request.url} asks for credentials: it is private, or does not exist.",
            hint="Check the address; for a private repository choose a token or a deploy key.",
        )
    return GitLoginRefused(
        f"{request.url} does not accept the {credential}.",
        hint="Check that it has not expired and may read this repository.",
    )


def repository_missing(request: GitCheckout) -> GitRepositoryMissing:
    """Return the error for an address without a repository."""
    return GitRepositoryMissing(
        f"There is no repository {request.url}, or it is not shown to these credentials.",
        hint="Check the address; for a private repository choose a token or a deploy key that may read it.",
    )


async def _explain_ssh(git: GitSession, request: GitCheckout) -> StepFailed | None:
    url = request.url
    trusted = find_host_keys(request.known_hosts, url)
    shown = await scan_host_keys(git, url)
    if not shown:
        return GitHostUnreachable(f"{url.host} accepts connections but does not speak SSH.", hint="Check the port.")
    if not set(shown) & set(trusted):
        return GitHostKeyChanged(
            f"The SSH host key of {url.host} changed. It now shows: {', '.join(map(fingerprint, shown))}.",
            hint="The connection may be intercepted. Ask the host's operator; trust the new key only if they confirm.",
        )
    path = url.path[1:] if url.from_home else url.path
    probe = ("ssh", "-F", str(git.home / "ssh_config"), "-p", str(url.port), "--", f"{url.user}@{url.host}")
    answer = await git.start(*probe, f"git-upload-pack '{path}'", stdin=b"0000")
    if answer.exit_code == _SSH_FAILED:
        return _login_refused(request, "deploy key")
    return repository_missing(request) if answer.exit_code else None
