"""Pulls images from registries, with a limit on the time without progress besides the deadline for the whole."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from orca.errors import ProviderError, ProviderUnavailable, RequestRefused
from orca.providers.engines.docker.config import DockerConfig
from orca.providers.engines.docker.connection import ApiRequest, DockerConnection
from orca.providers.engines.docker.failures import explain_status
from orca.providers.engines.docker.images import Images
from orca.providers.engines.docker.progress import PullReport, explain_pull, explain_stall
from orca.providers.engines.docker.references import ImageReference, parse_reference
from orca.sdk.containers import Image, RegistryLogin
from orca.sdk.egress import REGISTRY_HINT, AddressNotAllowed, check_registry
from orca.sdk.workloads import Progress

_LONGEST_EVENT = 1 << 20
_WHOLE = 3600.0
"""Deadline in seconds of a whole pull, even if it makes progress."""
_OK, _BROKEN = 200, 500
_NOBODY = {"username": "anonymous", "password": "anonymous"}
_HUB_NAMES = {"index.docker.io", "index.docker.io/v1", "registry-1.docker.io"}


class Puller:
    """Pulls for one engine."""

    def __init__(self, connection: DockerConnection, images: Images, config: DockerConfig) -> None:
        self._connection = connection
        self._images = images
        self._stall = config.pull_stall
        self._private = config.private_registries

    async def pull(self, reference: str, login: RegistryLogin | None, progress: Progress) -> Image:
        """Pull an image; return it with its digest in the repository that it came from."""
        wanted = parse_reference(reference)
        auth = render_auth(wanted, login)
        try:
            await check_registry(wanted.registry, private=self._private)
        except AddressNotAllowed as error:
            raise RequestRefused(f"{wanted} is not pulled: {error}.", hint=REGISTRY_HINT) from None
        try:
            async with asyncio.timeout(_WHOLE):
                await self._fetch(wanted, auth, progress)
        except TimeoutError:
            raise explain_stall(wanted, self._stall) from None
        except ProviderError as failure:
            if "status" not in failure.details:
                raise
            raise await self._explain(wanted, auth, failure) from None
        image = await self._images.find(str(wanted))
        if image is None:
            raise ProviderUnavailable(f"Docker pulled {wanted} but does not have it.", hint="Try again.")
        return image

    async def _fetch(self, wanted: ImageReference, auth: Mapping[str, str], progress: Progress) -> None:
        """Pull. Raises TimeoutError when the pull makes no more progress."""
        request = ApiRequest(
            "POST",
            "images/create",
            params={"fromImage": wanted.name, "tag": wanted.digest or wanted.tag or ""},
            headers=auth,
        )
        report = PullReport()
        loop = asyncio.get_running_loop()
        async with (
            asyncio.timeout(self._stall) as watch,
            self._connection.stream(f"pull {wanted}", request, answer=_WHOLE) as response,
        ):
            async for event in _events(response):
                if detail := event.get("errorDetail"):
                    raise explain_status(f"pull {wanted}", detail.get("code", _BROKEN), detail.get("message", ""))
                moved, line = report.take(event, time.monotonic())
                if line:
                    await progress(line)
                if moved:
                    watch.reschedule(loop.time() + self._stall)

    async def _explain(self, wanted: ImageReference, auth: Mapping[str, str], failure: ProviderError) -> ProviderError:
        """Find the reason of a failed pull by requesting the manifest: Docker answers 500 to nearly every failure."""
        registry = await self._ask_registry(wanted, auth)
        if registry == _BROKEN and not auth:
            # Without credentials in the request, Docker does not report that the registry requires some.
            registry = await self._ask_registry(wanted, _auth_header(_NOBODY))
        pull, said = failure.details["status"], failure.details["said"]
        return explain_pull(wanted, pull=pull, registry=registry, said=said, login=bool(auth))

    async def _ask_registry(self, wanted: ImageReference, auth: Mapping[str, str]) -> int | None:
        """Return the status of the registry's answer for the manifest; None when it cannot be determined."""
        try:
            await self._connection.get(f"ask for {wanted}", f"distribution/{wanted}/json", headers=auth)
        except ProviderError as failure:
            return failure.details.get("status")
        return _OK


def render_auth(wanted: ImageReference, login: RegistryLogin | None) -> dict[str, str]:
    """Return the header with the credentials. Raises RequestRefused when they are for another registry."""
    if login is None:
        return {}
    registry = login.registry.partition("://")[2] or login.registry
    registry = registry.rstrip("/").lower()
    if (registry if registry not in _HUB_NAMES else "docker.io") != wanted.registry.lower():
        raise RequestRefused(
            f"The credentials are for {registry}, the image is at {wanted.registry}.",
            hint=f"Choose the credentials for {wanted.registry}, or none.",
        )
    return _auth_header({"username": login.username, "password": login.password, "serveraddress": registry})


def _auth_header(credentials: Mapping[str, str]) -> dict[str, str]:
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(credentials).encode()).decode()}


async def _events(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """Yield the events of a stream with one JSON object per line."""
    buffer = b""
    async for chunk in response.aiter_raw():
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield json.loads(line)
        if len(buffer) > _LONGEST_EVENT:
            raise ProviderUnavailable("Docker sent a progress event of impossible size.", hint="Report this as a bug.")
