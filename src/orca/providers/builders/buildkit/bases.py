"""Fetches the base images of a build, checks them, and pins them: the build uses exactly those.

The engine fetches an image with the build's own logins. The check refuses images that Orca built for a service, and
forbidden ONBUILD instructions. The image is then tagged with a name of this build, made of its id, and the Dockerfile
for the engine contains no other names. So no spelling and no race can lead the engine to another image.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from orca.errors import DeadlineExceeded
from orca.kit.cancellation import shield_until_done
from orca.providers.builders.buildkit.addresses import check_instruction
from orca.providers.builders.buildkit.client import DockerClient
from orca.providers.builders.buildkit.errors import AddressForbidden, BaseImageForbidden, BaseImageUnavailable
from orca.sdk.builders import Log
from orca.sdk.dockerfile.errors import BadDockerfile
from orca.sdk.dockerfile.flags import BadFlag, origin_of
from orca.sdk.dockerfile.read import parse_trigger
from orca.sdk.dockerfile.resolve import BaseImage
from orca.sdk.egress import REGISTRY_HINT, AddressNotAllowed, check_registry
from orca.sdk.images import is_guarded, registry_of, split_registry
from orca.sdk.registries import explain_refusal

BUILD_LABEL = "orca.build"
"""The label with the id of the build, by which its image is found again after a crash."""
PINNED = "orca-base"
"""The repository of pinned names; Dockerfiles of users must not refer to it."""

_PULL_DEADLINE, _ANSWER_DEADLINE, _ATTEMPTS = 900.0, 60.0, 3
_OLD_SECONDS = 24 * 3600

Explain = Callable[[str, str], Awaitable[Exception]]
"""Image and docker's message -> the error."""


@dataclass(slots=True)
class BaseImages:
    """The base images of one build, while it runs."""

    docker: DockerClient
    build_id: str
    guarded: frozenset[str]
    env: Mapping[str, str]
    """The environment in which docker finds the logins of this build."""
    log: Log
    explain: Explain
    pins: dict[BaseImage, str] = field(default_factory=dict)

    async def pin(self, image: BaseImage) -> None:
        """Fetch, check and pin an image. Raises BaseImageForbidden, BaseImageUnavailable, AddressForbidden."""
        for _ in range(_ATTEMPTS):  # the image may be removed at any moment by another program's clean-up
            before = await self.docker.find_image(image.name)
            try:
                if await self._fetch_and_name(image, before):
                    return
            finally:
                await shield_until_done(self._put_back(image, before))
        raise BaseImageUnavailable(f"The base image {image.name} was removed again and again.", hint="Try again.")

    async def release(self) -> None:
        """Remove the pinned names of this build, and those that crashed builds left: they would hold images forever."""
        listed = await self.docker.run("image", "ls", "--format", "{{.Tag}}", PINNED)
        oldest = time.time() - _OLD_SECONDS
        stale = [f"{PINNED}:{tag}" for tag in listed.text.split() if _age(tag) < oldest]
        names = list(dict.fromkeys([*self.pins.values(), *stale]))
        if names:
            await self.docker.run("image", "rm", "--no-prune", "--", *names)

    async def _fetch_and_name(self, image: BaseImage, before: dict[str, Any] | None) -> bool:
        """Fetch an image and tag it; return whether it got its pinned name."""
        found = await self._fetch(image, before)
        if found is None:
            return False
        await _check(image.name, found)
        # Recorded before the tag exists, so that a build that is cancelled meanwhile leaves no name behind.
        name = self.pins[image] = f"{PINNED}:{int(time.time())}-{self.build_id[:60]}-{len(self.pins)}"
        return (await self.docker.run("image", "tag", found["Id"], name)).exit_code == 0

    async def _fetch(self, image: BaseImage, before: dict[str, Any] | None) -> dict[str, Any] | None:
        """Pull, unless the engine has the image, the registry need not check the login, and the platform is right."""
        if _path_of(image.name) == f"library/{PINNED}":
            raise BaseImageForbidden(f"{image.name} is a name of Orca's own.", hint="Choose another base image.")
        if before:
            await _check(image.name, before)
            if not image.platform and not is_guarded(image.name, self.guarded):
                return before
        try:
            await check_registry(registry_of(image.name), private=self.docker.config.private_registries)
        except AddressNotAllowed as error:
            raise AddressForbidden(
                f"The base image {image.name} is not fetched: {error}.", hint=REGISTRY_HINT
            ) from None
        await self._pull(image)
        return await self.docker.find_image(image.name)

    async def _put_back(self, image: BaseImage, before: dict[str, Any] | None) -> None:
        """Restore the former tag: all teams see the engine's tags, so a pulled image keeps only its pinned name."""
        if before is None:
            await self.docker.run("image", "rm", "--no-prune", "--", image.name)
        elif image.platform:
            await self.docker.run("image", "tag", before["Id"], image.name)

    async def _pull(self, image: BaseImage) -> None:
        await self.log(f"Fetching the base image {image.name}")
        started = time.monotonic()
        platform = (f"--platform={image.platform}",) if image.platform else ()
        answered = asyncio.Event()

        async def note(_stream: Literal["stdout", "stderr"], _data: bytes) -> None:
            answered.set()

        pull = self.docker.run(
            "pull", *platform, "--", image.name, deadline=_PULL_DEADLINE, env=self.env, on_output=note
        )
        pulling = asyncio.create_task(pull)
        waiting = asyncio.create_task(answered.wait())
        try:
            await asyncio.wait({pulling, waiting}, timeout=_ANSWER_DEADLINE, return_when=asyncio.FIRST_COMPLETED)
            if not pulling.done() and not answered.is_set():
                raise _unanswered(image.name)
            result = await pulling
        except DeadlineExceeded:
            raise _unanswered(image.name) from None
        finally:
            for task in (pulling, waiting):
                task.cancel()
            await asyncio.wait({pulling, waiting})
        if result.exit_code:
            raise await self.explain(image.name, explain_refusal(result.stderr.decode(errors="replace")))
        await self.log(f"Fetched {image.name} in {time.monotonic() - started:.1f} s")


async def _check(name: str, image: dict[str, Any]) -> None:
    """Refuse images that Orca built: all teams share the engine, and one team's image must not be another's base."""
    config = image["Config"]
    if BUILD_LABEL in (config.get("Labels") or {}):
        raise BaseImageForbidden(
            f"{name} was built by Orca for a service, so nothing else can build on it.",
            hint="Push a base image to a registry and use it from there.",
        )
    for trigger in config.get("OnBuild") or []:
        try:
            instruction = parse_trigger(trigger)
            takes = any(origin_of(flag) is not None for flag in instruction.flags)
        except (BadDockerfile, BadFlag):
            takes = True
        if takes or instruction.keyword == "ONBUILD":
            raise BaseImageForbidden(
                f"{name} runs {trigger[:80]!r} by ONBUILD, which takes files from elsewhere or cannot be read.",
                hint="Choose a base image without that instruction.",
            )
        await check_instruction(instruction, f"The base image {name}, by ONBUILD")


def _path_of(name: str) -> str:
    return split_registry(name)[1].partition("@")[0].partition(":")[0]


def _age(tag: str) -> float:
    seconds = tag.partition("-")[0]
    return float(seconds) if seconds.isdecimal() else 0.0


def _unanswered(image: str) -> BaseImageUnavailable:
    return BaseImageUnavailable(
        f"The registry did not answer within {_ANSWER_DEADLINE:g} seconds when asked for the base image {image}.",
        hint=f"Check that this machine reaches {registry_of(image)}, then deploy again.",
    )
