"""Names of images and their registries, by Docker's own rules. Pure."""

import re
from collections.abc import Iterable

DOCKER_HUB = "docker.io"
_HUB_NAMES = {"index.docker.io", "index.docker.io/v1", "registry-1.docker.io"}
_NAME_LIMIT = 400
_REGISTRY = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?|\[[0-9a-f:]+\](?::[0-9]{1,5})?")
_PATH_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def normalise_image(text: str) -> str:
    """Complete a reference: `alpine` -> `docker.io/library/alpine:latest`. Raises ValueError for an invalid one."""
    name, at, digest = text.partition("@")
    name, colon, tag = name.rpartition(":") if ":" in name.rpartition("/")[2] else (name, "", "")
    first, _, rest = name.partition("/")
    if rest and ("." in first or ":" in first or first.lower() == "localhost"):
        registry, path = plain_registry(first), rest
    else:
        registry, path = DOCKER_HUB, name
    if registry == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    valid = (
        len(text) <= _NAME_LIMIT
        and _REGISTRY.fullmatch(registry)
        and all(_PATH_PART.fullmatch(part) for part in path.split("/"))
        and (_TAG.fullmatch(tag) or not colon)
        and (_DIGEST.fullmatch(digest) or not at)
    )
    if not valid:
        raise ValueError(f"{text[:80]!r} is not the name of an image")
    if not tag and not digest:
        tag = "latest"
    return f"{registry}/{path}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def registry_of(image: str) -> str:
    """Return the registry by Docker's own rule: `alpine` -> docker.io, `ghcr.io/acme/app:1` -> ghcr.io."""
    return split_registry(image)[0]


def split_registry(image: str) -> tuple[str, str]:
    """Return the registry of an image, and its name there."""
    first, slash, rest = image.partition("/")
    named = slash and (first.lower() == "localhost" or "." in first or ":" in first)
    return (plain_registry(first), rest) if named else (DOCKER_HUB, image)


def is_guarded(image: str, registries: Iterable[str]) -> bool:
    """Whether an image comes from one of these registries; official images of Docker Hub are public and never do."""
    registry, name = split_registry(image)
    official = registry == DOCKER_HUB and ("/" not in name or name.startswith("library/"))
    return not official and registry in {plain_registry(name.rpartition("://")[2]) for name in registries}


def plain_registry(registry: str) -> str:
    """Return the name of a registry in lower case, with one name for Docker Hub."""
    name = registry.rstrip("/").lower()
    return DOCKER_HUB if name in _HUB_NAMES else name
